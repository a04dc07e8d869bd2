"""Signing in by a code that a person types elsewhere (RFC 8628)."""

from __future__ import annotations

import pytest

from postbearer.errors import GrantRefused
from postbearer.oauth import DeviceCode, DeviceSignIn, Endpoint, GrantContext, Invitation, TokenAnswer
from postbearer.secret import Secret
from postbearer.testing import ManualClock, Sandbox
from support.tokenserver import TokenServer, said

BEGUN = said(
    device_code="dev-1", user_code="WXYZ", verification_uri="https://login.example.org/d", expires_in=60
)
PENDING = said(400, error="authorization_pending")
OTHER = "e30.eyJlbWFpbCI6ICJvdGhlckBleGFtcGxlLm9yZyJ9.x"  # {"email": "other@example.org"}
SIGNED_IN = said(access_token="abc", token_type="Bearer", expires_in=3600, refresh_token="r-1")


async def sign_in(server: TokenServer, clock: ManualClock, *script: object) -> TokenAnswer:
    server.script.extend(script)  # type: ignore[arg-type]
    grant = DeviceCode(
        "relay", device_url=server.url, authentication="none", scopes=["mail"], user="alerts@example.org"
    )
    shown: list[Invitation] = []
    answer = await DeviceSignIn(grant, Endpoint(server.url), clock, "alerts").run(shown.append)
    assert shown == [Invitation("https://login.example.org/d", "WXYZ", 60)]
    return answer


async def test_it_waits_until_the_person_is_done(server: TokenServer, clock: ManualClock) -> None:
    answer = await sign_in(server, clock, BEGUN, PENDING, said(400, error="slow_down"), PENDING, SIGNED_IN)
    assert answer.refresh == Secret("r-1")
    assert clock.slept == [5, 5, 10, 10]
    assert server.asked[0].form == {"client_id": "relay", "scope": "mail"}
    assert server.asked[1].form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "dev-1",
        "client_id": "relay",
    }


async def test_a_fault_in_between_ends_nothing(server: TokenServer, clock: ManualClock) -> None:
    answer = await sign_in(server, clock, BEGUN, said(503), PENDING, SIGNED_IN)
    assert answer.access == Secret("abc")
    assert clock.slept == [5, 10, 10]


@pytest.mark.parametrize("interval", [90, 7, 60])
async def test_no_failure_shortens_the_interval_that_the_server_wants(
    server: TokenServer, clock: ManualClock, interval: int
) -> None:
    begun = {"device_code": "dev-1", "user_code": "WXYZ", "expires_in": 60_000, "interval": interval}
    server.script += [
        said(verification_uri="https://login.example.org/d", **begun),
        *[said(503)] * 6,
        SIGNED_IN,
    ]
    grant = DeviceCode("relay", device_url=server.url, authentication="none", scopes=["mail"])
    await DeviceSignIn(grant, Endpoint(server.url), clock).run(lambda _: None)
    assert clock.slept == sorted(clock.slept)
    assert min(clock.slept) == interval


async def test_the_server_may_ask_for_more_time_by_a_date(server: TokenServer, clock: ManualClock) -> None:
    later = said(503, {"Retry-After": "Fri, 15 Jan 2027 08:00:35 GMT"})
    await sign_in(server, clock, BEGUN, later, SIGNED_IN)
    assert clock.slept == [5, 30]


async def test_a_refusal_at_the_first_step_says_nothing_about_a_clock_that_is_right(
    server: TokenServer, clock: ManualClock
) -> None:
    refused = said(400, {"Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, error="invalid_client")
    with pytest.raises(GrantRefused) as caught:
        await sign_in(server, clock, refused)
    assert "clock" not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "code", "hint"),
    [
        ([BEGUN, said(400, error="access_denied")], "access_denied", "agree to what the page asks for"),
        ([BEGUN, said(400, error="authorization_declined")], "authorization_declined", "agree to what"),
        ([BEGUN, said(400, error="bad_verification_code")], "bad_verification_code", "Sign in again"),
        ([BEGUN, *[PENDING] * 20], "expired_token", "Begin again"),
        ([BEGUN, said(access_token="abc", expires_in=3600)], "no_refresh_token", "offline_access"),
        ([BEGUN, said(access_token="abc", refresh_token="r", id_token=OTHER)], "other_user", "token-user ="),
        ([said(400, error="invalid_client")], "invalid_client", "client-id"),
        ([said(verification_uri="x")], "unfit_token", "token-url"),
    ],
)
async def test_what_ends_it_is_named(
    server: TokenServer, clock: ManualClock, script: list[object], code: str, hint: str
) -> None:
    with pytest.raises(GrantRefused) as caught:
        await sign_in(server, clock, *script)
    assert caught.value.code == code
    assert hint in caught.value.hint
    assert "dev-1" not in str(caught.value)


def test_nobody_has_signed_in_yet_names_the_command() -> None:
    with pytest.raises(GrantRefused) as caught:
        next(DeviceCode("relay").request(GrantContext("https://login.example.org/token", "alerts", now=0.0)))
    assert caught.value.hint == "Run: postbearer login alerts"


async def test_the_sandbox_lets_a_person_in(postbearer_sandbox: Sandbox, clock: ManualClock) -> None:
    described = postbearer_sandbox.describe()
    scopes = postbearer_sandbox.personality.scopes[:1]
    grant = DeviceCode(
        described["client_id"],
        client_secret=Secret(postbearer_sandbox.client_secret),
        device_url=described["device_url"],
        scopes=scopes,
    )

    def approve(invitation: Invitation) -> None:
        postbearer_sandbox.authorization.approve(invitation.code, "alerts@example.org")

    sign_in = DeviceSignIn(grant, Endpoint(postbearer_sandbox.token_url), clock)
    answer = await sign_in.run(approve)
    assert answer.refresh
