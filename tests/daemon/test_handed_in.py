"""Tokens, budgets and notes of alerts are kept where whoever puts a relay together says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.errors import BudgetSpent
from postbearer.events import DeliveryEnded, Event
from postbearer.mailer import AsyncMailer
from postbearer.state import Persistence, StateFolder
from postbearer.testing import Sandbox
from support.local import short_folder
from support.persisting import EACH, PERSISTENCES
from support.relay import Ears
from support.sandboxed import RAW, TO_YOU
from support.submitting import PATIENCE, Talk

MORE = '[accounts.sandbox.limits]\nmessages-per-day = 2\n[relay]\nlisten = ["127.0.0.1:0"]\n'


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def load(home: Path, sandbox: Sandbox, persistence: Persistence | None) -> Assembly:
    config = home / "postbearer.toml"
    config.write_text(sandbox.configuration() + MORE)
    environ = {"POSTBEARER_ALLOW_EPHEMERAL": "true"}
    return Assembly.load(config, environ, StateFolder(home / "state"), persistence)


async def relay_one(assembly: Assembly) -> None:
    """Start a relay, have it deliver a message, and stop it."""
    delivered = asyncio.Event()

    class Waiting(Ears):
        def notice(self, event: Event) -> None:
            if isinstance(event, DeliveryEnded):
                delivered.set()

    relay = Relay(assembly, observer=Waiting())
    await relay.start()
    host, _, port = relay.addresses[0].rpartition(":")
    async with await Talk.open(host, int(port)) as client:
        await client.reply()
        for line in ("EHLO client", "MAIL FROM:<app@example.org>", "RCPT TO:<you@example.org>", "DATA"):
            assert (await client.say(line))[0] in "23"
        client.send(RAW + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250")
    async with asyncio.timeout(PATIENCE):
        await delivered.wait()
    await relay.stop(0.0)


@pytest.mark.parametrize("kind", EACH)
async def test_a_relay_and_a_program_share_what_is_handed_to_them(
    home: Path,
    tmp_path: Path,
    postbearer_sandbox: Sandbox,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    opening, before = PERSISTENCES[kind](request, tmp_path), postbearer_sandbox.token_requests
    await relay_one(load(home, postbearer_sandbox, opening()))
    assert await opening().document("notices").read()

    assembly = load(home, postbearer_sandbox, opening())
    async with AsyncMailer(assembly.account("sandbox"), state=assembly.persistence) as mailer:
        await mailer.send(RAW, TO_YOU)
        with pytest.raises(BudgetSpent):
            await mailer.send(RAW, TO_YOU, wait=False)
    assert postbearer_sandbox.token_requests == before + 1

    kept = {path.name for path in (home / "state").rglob("*") if path.is_file()}
    assert not kept & {"key", "sandbox", "notices.json"}
    assert not (home / "state" / "budgets").exists()


async def test_else_all_of_it_is_in_the_state_folder(home: Path, postbearer_sandbox: Sandbox) -> None:
    await relay_one(load(home, postbearer_sandbox, None))
    kept = {path.name for path in (home / "state").rglob("*") if path.is_file()}
    assert kept >= {"key", "sandbox", "notices.json"}
    assert any((home / "state" / "budgets").iterdir())
