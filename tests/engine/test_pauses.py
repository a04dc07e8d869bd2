"""How far a pause reaches, and what ends it: hours and days of a relay, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.account import Account
from postbearer.assembly import Assembly
from postbearer.engine import Channel, Route, Router, RouteRule
from postbearer.errors import (
    ConfigError,
    CredentialRefused,
    GrantRefused,
    PostbearerError,
    StoreFull,
    TlsFailed,
)
from postbearer.events import AccountPaused, AccountResumed
from postbearer.log import sentence
from postbearer.state import StateFolder
from postbearer.store import MemorySpool, Pause, Status
from postbearer.testing.replies import parse_reply
from support.relay import Relay, account, relaying, rules

HOUR, DAY = 3600.0, 86_400.0
REFUSED = "535 5.7.139 Authentication unsuccessful, "
OFF = REFUSED + "SmtpClientAuthentication is disabled for the Tenant."
DEFAULTS = REFUSED + "user is locked by your organization's security defaults policy."
TENANT_QUOTA = "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit"
NAMES = ("a", "b", "c")
ROUTER = Router(tuple(RouteRule(to=(f"{name}@example.net",), route=Route(account=name)) for name in NAMES))


def sister(name: str) -> Account:
    return replace(account(name), organisations=frozenset({"microsoft domain example.org"}))


def refusal(text: str) -> CredentialRefused:
    return CredentialRefused("Refused.", reply=parse_reply(text))


def paused(relay: Relay) -> list[str]:
    return [event.account for event in relay.said(AccountPaused)]


# The organisation ----------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("text", [OFF, DEFAULTS], ids=["switched off", "security defaults"])
@pytest.mark.parametrize("busy", [True, False], ids=["its sister sends", "its sister is idle at first"])
async def test_a_mailbox_that_may_not_send_does_not_stop_one_that_may(text: str, busy: bool) -> None:
    async with relaying(sister("a"), sister("b"), router=ROUTER) as relay:
        relay.providers["b"].always = refusal(text)
        if busy:
            await relay.submit("a@example.net")
            await relay.pass_time(60)
        stuck = await relay.submit("b@example.net")
        await relay.settle()
        late = 0
        for _ in range(12 * 60):  # one message a minute, for twelve hours
            await relay.submit("a@example.net")
            await relay.pass_time(60)
            late += len(relay.providers["a"].sent) < 1
        assert len(relay.providers["a"].sent) == 12 * 60 + busy
        assert late <= (0 if busy else 16)  # minutes that the first refusal may cost
        assert paused(relay).count("a") == (0 if busy else 1)
        assert paused(relay).count("b") == 1
        relay.providers["b"].always = None
        await relay.pass_time(HOUR)
        assert await relay.statuses(stuck) == ["delivered"]


async def test_what_a_sister_disproved_stays_with_its_account_also_when_it_is_met_anew() -> None:
    async with relaying(sister("a"), sister("b"), router=ROUTER) as relay:
        relay.providers["b"].always = refusal(OFF)
        await relay.submit("b@example.net")
        await relay.settle()
        await relay.submit("a@example.net")
        await relay.pass_time(HOUR)
        assert len(relay.providers["a"].sent) == 1  # it was probed, and works
        for _ in range(3):
            await relay.pass_time(6 * HOUR)
            await relay.dispatcher.resume("b")
            await relay.settle()
        assert paused(relay).count("a") == 1


async def test_a_quota_of_the_organisation_stops_it_again_the_next_day() -> None:
    async with relaying(sister("a"), sister("b"), router=ROUTER) as relay:
        for _ in range(2):
            await relay.submit("a@example.net")
            await relay.settle()
            relay.providers["b"].answers = [TENANT_QUOTA]
            await relay.submit("b@example.net")
            await relay.settle()
            assert relay.dispatcher.account_states["a"].paused
            await relay.submit("a@example.net")
            await relay.pass_time(DAY + 60)
            assert not relay.dispatcher.account_states["a"].paused
        assert paused(relay) == ["b", "a"] * 2


# What is cured at the provider -----------------------------------------------------------------------

CURED_ELSEWHERE = {
    "delegation": GrantRefused(
        "Client is unauthorized to retrieve access tokens using this method.",
        code="unauthorized_client",
        configuration=True,
    ),
    "clock of the host": GrantRefused("AADSTS700024: Client assertion is not within its valid time range."),
    "clock, at Google": GrantRefused(
        "Invalid JWT: Token must be a short-lived token (60 minutes)", code="invalid_grant"
    ),
    "app": GrantRefused("AADSTS700016: Application was not found.", code="unauthorized_client"),
    "certificate": GrantRefused("AADSTS700027: The key was not found.", code="invalid_client"),
    "resource": GrantRefused("AADSTS500011: The resource principal was not found.", code="invalid_resource"),
    "a new secret": GrantRefused("AADSTS7000215: Invalid client secret.", code="invalid_client"),
    "consent": GrantRefused("AADSTS65001: no consent", code="invalid_grant", configuration=False),
    "permission": refusal("535 5.7.3 Authentication unsuccessful"),
}


@pytest.mark.parametrize("name", list(CURED_ELSEWHERE))
@pytest.mark.parametrize("provider", ["microsoft", "google"])
async def test_what_is_cured_at_the_provider_is_noticed_within_the_hour(name: str, provider: str) -> None:
    async with relaying(account(provider=provider)) as relay:
        relay.providers["alerts"].always = CURED_ELSEWHERE[name]
        message = await relay.submit()
        await relay.pass_time(DAY)
        relay.providers["alerts"].always = None
        await relay.pass_time(HOUR + 1)
        assert await relay.statuses(message) == ["delivered"]
        assert [event.account for event in relay.said(AccountResumed)] == ["alerts"]


# What may not send, wherever it is told ----------------------------------------------------------------

MAY_NOT_SEND = [
    "550 5.7.705 Access denied, tenant has exceeded threshold",
    "554 5.2.2 mailbox full; STOREDRV.Submission; QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
    "430 4.2.0 STOREDRV; mailbox logon failure; failure category: Storage:MapiExceptionLogonFailed",
    "550 5.1.8 Access denied, bad outbound sender",
]


@pytest.mark.parametrize("text", MAY_NOT_SEND)
async def test_what_may_not_send_is_held_for_a_person_and_never_bounces(text: str) -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = text
        tried_before = await relay.submit()
        fresh = await relay.submit()
        await relay.pass_time(7 * DAY)
        assert await relay.statuses(tried_before) == ["held"]
        assert await relay.statuses(fresh) == ["held"]
        told = [each.content for each in relay.providers["alerts"].sent]
        assert not any(b"Action: failed" in content for content in told)
        assert [each.server for each in (await relay.entry(fresh)).attempts] == [""]  # none but its end
        assert relay.providers["alerts"].attempts < 7 * 24 + 30  # hourly, not by the message's own schedule


async def test_mail_that_had_its_tries_before_the_account_stood_still_is_held_too() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = "451 4.7.1 Greylisted"
        message = await relay.submit()
        await relay.pass_time(DAY)
        relay.providers["alerts"].always = MAY_NOT_SEND[0]
        await relay.pass_time(7 * DAY)
        assert (await relay.statuses(message)) == ["held"]
        reports = [entry.message.subject for entry in await relay.reports()]
        assert not any("not delivered" in subject for subject in reports)


# A mistake of our own ----------------------------------------------------------------------------------


async def test_a_local_mistake_is_told_with_its_place_wherever_it_is_told(tmp_path: Path) -> None:
    configuration = tmp_path / "postbearer.toml"
    configuration.write_text(
        "[accounts.alerts]\n"
        'provider = "smtp"\n'
        'address = "alerts@example.org"\n'
        'servers = ["127.0.0.1:1"]\n'
        'ca-file = "gone.pem"\n'
        'grant = "static"\n'
        'token = "env:TOKEN"\n'
    )
    configuration.chmod(0o600)
    assembly = Assembly.load(configuration, {"TOKEN": "x"}, StateFolder(tmp_path / "state"))
    with pytest.raises(ConfigError) as caught:
        assembly.account("alerts").smarthost.tls_context()
    place = f"{configuration}:5: accounts.alerts.ca-file: {tmp_path}/gone.pem cannot be read"
    async with relaying() as relay:
        relay.providers["alerts"].always = caught.value
        message = await relay.submit()
        await relay.settle()
        (row,) = (await relay.entry(message)).rows
        (pause,) = await relay.spool.pauses()
        (told,) = relay.said(AccountPaused)
        for text in (row.cause, pause.reason, told.reason, sentence(told)):
            assert place in text
        assert pause.remedy.startswith("It must exist and be readable by the user that sends mail.")


# What is no pause ------------------------------------------------------------------------------------

TLS = [
    TlsFailed("no TLS: the connection was closed.", stage="tls"),
    TlsFailed("certificate verify failed: unable to get local issuer certificate", stage="tls"),
    TlsFailed("certificate verify failed: Hostname mismatch", stage="tls"),
    TlsFailed("certificate verify failed: certificate has expired", stage="tls"),
    TlsFailed("no TLS: wrong version number.", stage="tls"),
    TlsFailed("mail.example.org:587 does not offer STARTTLS, and nothing is sent without TLS.", stage="tls"),
]


@pytest.mark.parametrize("error", TLS, ids=str)
async def test_tls_trouble_rests_for_seconds_first_and_pauses_nothing(error: PostbearerError) -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.answers = [error]
        messages = [await relay.submit() for _ in range(3)]
        await relay.pass_time(16)
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 3
        provider.always = error
        message = await relay.submit()
        await relay.pass_time(2 * HOUR)
        assert relay.dispatcher.account_states["alerts"].last_error
        provider.always = None
        await relay.pass_time(301)
        assert await relay.statuses(message) == ["delivered"]
        assert paused(relay) == []


# What others do in the same queue -------------------------------------------------------------------


def command(relay: Relay) -> MemorySpool:
    """A program that works on the queue, beside the relay."""
    assert isinstance(relay.spool, MemorySpool)
    return MemorySpool(relay.clock, node="", beside=relay.spool)


async def test_a_pause_that_somebody_else_writes_stops_the_account_and_its_end_lets_it_go() -> None:
    async with relaying(account("a"), router=ROUTER) as relay:
        await relay.settle()
        other = command(relay)
        await other.pause(Pause(account="a", since=relay.clock.now(), reason="Paused by hand."))
        await relay.settle()
        waits = await relay.submit("a@example.net")
        await relay.pass_time(DAY)
        assert (await relay.statuses(waits), relay.providers["a"].attempts) == (["ready"], 0)
        assert paused(relay) == ["a"]
        assert await other.resume("a")
        await relay.settle()
        assert await relay.statuses(waits) == ["delivered"]
        assert [event.account for event in relay.said(AccountResumed)] == ["a"]


async def test_what_somebody_else_lets_go_is_sent_at_once() -> None:
    async with relaying(account("a"), router=ROUTER) as relay:
        relay.providers["a"].always = "450 4.2.0 Later"
        waits = await relay.submit("a@example.net")
        await relay.settle()
        relay.providers["a"].always = None
        assert await command(relay).change(waits, Status.READY, relay.clock.now()) == 1
        await relay.settle()
        assert await relay.statuses(waits) == ["delivered"]


async def test_a_pause_that_could_not_be_written_holds_whatever_others_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def full(pause: Pause) -> None:
        raise StoreFull("No room.")

    async with relaying(account("a"), account("b"), router=ROUTER) as relay:
        relay.providers["a"].always = refusal(OFF)
        with monkeypatch.context() as patched:
            patched.setattr(relay.spool, "pause", full)
            await relay.submit("a@example.net")
            await relay.settle()
        other = command(relay)
        await other.pause(Pause(account="b", since=relay.clock.now(), reason="Paused by hand."))
        await relay.settle()
        assert {name: each.paused for name, each in relay.dispatcher.account_states.items()} == {
            "a": True,
            "b": True,
        }


async def test_an_account_that_is_configured_again_is_still_paused() -> None:
    pause = Pause(account="b", since=0.0, reason="Paused by hand.")
    async with relaying(account("a"), pauses=[pause], router=ROUTER) as relay:
        await relay.settle()
        channels = {name: each.channel for name, each in relay.dispatcher.account_states.items()}
        again = Channel(account("b"), relay.providers["a"])
        await relay.dispatcher.reload(channels | {"b": again}, rules())
        assert relay.dispatcher.account_states["b"].pause == pause
