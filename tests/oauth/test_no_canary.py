"""NO-CANARY: no secret in logs, reprs, errors, tracebacks with local variables, or on disk."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from postbearer.errors import GrantRefused
from postbearer.oauth import CachedSource, Endpoint, RefreshToken
from postbearer.secret import Secret
from postbearer.state import KeyFile, StateFolder, TokenFile
from postbearer.testing import ManualClock
from support.canary import assert_absent
from support.tokenserver import Answer, TokenServer, said

Make = Callable[..., CachedSource]


CANARIES = {
    "client": "0.AAACANARY-client+secret/~x",
    "access": "ya29.CANARY-access-token",
    "refresh": "1//CANARY-refresh-token",
}


@pytest.mark.parametrize("authentication", ["post", "basic"])
@pytest.mark.parametrize(
    "answer",
    [
        said(access_token=CANARIES["access"], token_type="Bearer", refresh_token=CANARIES["refresh"]),
        said(access_token=CANARIES["access"] + "\x01", token_type="Bearer"),
        said(access_token=CANARIES["access"], token_type="mac", refresh_token=CANARIES["refresh"]),
        said(access_token=CANARIES["access"], token_type="Bearer", expires_in=-1),
        said(401, error="invalid_client", error_description=f"no {CANARIES['client']} {CANARIES['refresh']}"),
        Answer(500, CANARIES["client"].encode()),
        Answer(302, headers={"Location": f"https://x.example.org/?s={CANARIES['client']}"}),
        Answer(200, b"x" * 70_000 + CANARIES["access"].encode()),
        Answer(hang_up=True),
    ],
)
async def test_o9_no_canary_in_logs_reprs_and_tracebacks_with_local_variables(
    make: Make,
    server: TokenServer,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    authentication: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    grant = RefreshToken(
        "relay",
        Secret(CANARIES["refresh"]),
        Secret(CANARIES["client"]),
        authentication=authentication,  # type: ignore[arg-type]
    )
    source = make(grant)
    server.script.append(answer)
    written = [repr(source), repr(grant)]
    try:
        written.append(repr(await source.token()))
    except Exception as error:
        logging.getLogger("test").exception("failed")
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        for one in (report, report.__cause__, report.__context__):
            # Only frames of ours and of libraries: the test itself holds the canaries.
            stack = one.stack if one is not None else []
            written += [repr(frame.locals) for frame in stack if frame.filename != __file__]
        written += [str(error), repr(error), repr(error.args)]
    for canary in CANARIES.values():
        assert_absent(canary, caplog.text, *written)


def everywhere(text: str) -> list[Answer]:
    """`text` in each place of an answer that is ever shown."""
    return [
        said(400, error="invalid_client", error_description=f"bad {text} here"),
        said(400, error=text[:60]),
        said(400, error={"message": text, "code": text[:40]}),
        said(400, error="invalid_client", trace_id=text[:60], correlation_id=text[:60]),
        said(400, message=text),
        Answer(302, headers={"Location": f"https://x.example.org/{text}"}),
    ]


PAIR = base64.b64encode(f"relay:{quote_plus(CANARIES['client'])}".encode()).decode()
ECHOES = {
    "the header": f"Basic {PAIR}",
    "its base64": PAIR,
    "a piece of it": PAIR[8:40],
    "a piece of the secret": CANARIES["client"][:20],
    "the end of the token": CANARIES["refresh"][-16:],
    "backwards": CANARIES["client"][::-1],
    "in hex": CANARIES["refresh"].encode().hex(),
    "base64 of the form": base64.b64encode(f"x&refresh_token={CANARIES['refresh']}".encode()).decode(),
}


@pytest.mark.parametrize("authentication", ["post", "basic"])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=list(ECHOES))
async def test_o9_what_an_answer_repeats_in_whatever_form_is_not_shown(
    make: Make, server: TokenServer, echo: str, authentication: str
) -> None:
    grant = RefreshToken(
        "relay",
        Secret(CANARIES["refresh"]),
        Secret(CANARIES["client"]),
        authentication=authentication,  # type: ignore[arg-type]
    )
    for answer in everywhere(echo):
        server.script.append(answer)
        with pytest.raises(GrantRefused) as caught:
            await make(grant).token()
        shown = f"{caught.value} {caught.value.code}"
        assert echo not in shown
        for canary in (CANARIES["client"], CANARIES["refresh"]):
            assert_absent(canary[:14], shown)
            assert_absent(canary[-14:], shown)
        if authentication == "basic":
            assert PAIR[8:24] not in shown


async def test_o8_the_state_on_disk_shows_no_secret(
    server: TokenServer, tmp_path: Path, clock: ManualClock
) -> None:
    server.script.append(
        said(access_token=CANARIES["access"], token_type="Bearer", refresh_token=CANARIES["refresh"])
    )
    folder = StateFolder(tmp_path / "state")
    store = TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box, clock=clock)
    grant = RefreshToken("relay", Secret("1//another-CANARY"), Secret(CANARIES["client"]))
    await CachedSource(grant, Endpoint(server.url), account="alerts", store=store, clock=clock).token()
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"key", "alerts", "alerts.lock"}
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o600
        for canary in (*CANARIES.values(), "1//another-CANARY"):
            assert_absent(canary, path.read_bytes())
