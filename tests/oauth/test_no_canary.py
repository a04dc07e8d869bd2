"""NO-CANARY: no secret in logs, reprs, errors, tracebacks with local variables, or on disk."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.keeping import KeyFile, StateFolder, TokenFile
from postbearer.oauth import (
    CachedSource,
    Endpoint,
    RefreshToken,
)
from postbearer.secret import Secret
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
