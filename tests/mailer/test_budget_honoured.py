"""The account's budget: paced, told, shared by all processes of a user, counted as the provider does."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.errors import BudgetSpent, ConfigError, CredentialError, NetworkError, Rejected, StoreError
from postbearer.mailer import AsyncMailer
from postbearer.oauth import StaticToken
from postbearer.outcome import Receipt
from postbearer.secret import Secret
from postbearer.settings import Limits
from postbearer.state import StateFolder
from postbearer.testing import BackgroundSandbox, Faults, ManualClock, Sandbox, SmtpFault
from postbearer.transport import ServerAddress
from support.sandboxed import RAW, TO_YOU, environment

A_MINUTE = Limits(messages_per_minute=30)


def limited(sandbox: Sandbox, state: Any, clock: ManualClock, limits: Limits = A_MINUTE) -> AsyncMailer:
    return AsyncMailer(replace(sandbox.account(), limits=limits), state=state, clock=clock)


@pytest.mark.parametrize("memory", [True, False])
async def test_half_a_minute_goes_at_once_and_the_rest_is_paced(
    sandbox: Sandbox, state: StateFolder, memory: bool
) -> None:
    clock = ManualClock()
    began, left = clock.now(), []
    async with limited(sandbox, "memory" if memory else state, clock) as mailer:
        for _ in range(31):
            await mailer.send(RAW, TO_YOU)
            left.append(clock.now() - began)
    assert left[:15] == [0.0] * 15
    assert [later - earlier for earlier, later in pairwise(left[14:30])] == pytest.approx([60.5 / 30] * 15)
    assert left[30] == pytest.approx(60.5)  # a minute after the first, and a little for the network
    assert len(sandbox.inbox.messages) == 31


async def test_whoever_does_not_want_to_wait_is_told_when_there_is_room(sandbox: Sandbox) -> None:
    clock = ManualClock()
    async with limited(sandbox, "memory", clock) as mailer:
        for _ in range(15):
            await mailer.send(RAW, TO_YOU, wait=False)
        for options in ({"wait": False}, {"timeout": 2.0}, {"wait": False, "timeout": 60.0}):
            with pytest.raises(BudgetSpent) as spent:
                await mailer.send(RAW, TO_YOU, **options)
            assert spent.value.retry_at == pytest.approx(clock.now() + 60.5 / 30)
            assert spent.value.account == "sandbox"
            assert "sandbox" in str(spent.value)
        assert len(sandbox.inbox.messages) == 15
        assert clock.slept == []
        await mailer.send(RAW, TO_YOU, timeout=2.1)
        clock.advance(spent.value.retry_at - clock.now())
        clock.advance(60.5 / 30)
        await mailer.send(RAW, TO_YOU, wait=False)  # at the time it named, there is room


@pytest.mark.parametrize("reply", ["550 5.7.1 no", "451 4.3.0 later", ""])
async def test_a_message_refused_still_counts(sandbox: Sandbox, reply: str) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="content", reply=reply)]))
    async with limited(sandbox, "memory", ManualClock(), Limits(messages_per_day=2)) as mailer:
        for _ in range(2):
            with pytest.raises(Rejected):
                await mailer.send(RAW, TO_YOU)
        with pytest.raises(BudgetSpent):
            await mailer.send(RAW, TO_YOU, wait=False)


async def test_what_is_refused_here_does_not_count(sandbox: Sandbox) -> None:
    async with limited(sandbox, "memory", ManualClock(), Limits(messages_per_day=1)) as mailer:
        for _ in range(3):
            with pytest.raises(ValueError, match="boss"):
                await mailer.send(RAW, Envelope.of("boss@example.org", ["you@example.org"]))
        await mailer.send(RAW, TO_YOU, wait=False)


async def test_two_mailers_of_one_state_folder_share_the_budget(sandbox: Sandbox, state: StateFolder) -> None:
    clock = ManualClock()
    one, other = (limited(sandbox, state, clock, Limits(messages_per_day=3)) for _ in range(2))
    async with one, other:
        await one.send(RAW, TO_YOU)
        await other.send(RAW, TO_YOU)
        await one.send(RAW, TO_YOU)
        with pytest.raises(BudgetSpent) as spent:
            await other.send(RAW, TO_YOU, wait=False)
    assert spent.value.retry_at == pytest.approx(clock.now() + 86_400)


WORKER = """
import sys
from postbearer import BudgetSpent, Envelope, Mailer
from postbearer.settings import Limits

with Mailer.from_config("sandbox") as mailer:
    print("ready", flush=True)
    sys.stdin.readline()
    sent = 0
    try:
        while True:
            mailer.send(b"From: alerts@example.org\\r\\n\\r\\nx\\r\\n",
                        Envelope.of("alerts@example.org", ["you@example.org"]), wait=False)
            sent += 1
    except BudgetSpent:
        print(sent)
"""


def test_processes_share_one_budget_and_one_token(tmp_path: Path) -> None:
    with BackgroundSandbox() as sandbox:
        config = sandbox.folder / "postbearer.toml"
        config.write_text(sandbox.configuration() + "[accounts.sandbox.limits]\nmessages-per-day = 20\n")
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(sandbox, tmp_path / "state"),
                text=True,
            )
            for _ in range(4)
        ]
        for dispatcher in workers:
            assert dispatcher.stdout is not None
            assert dispatcher.stdout.readline() == "ready\n", dispatcher.communicate()
        for dispatcher in workers:
            assert dispatcher.stdin is not None
            dispatcher.stdin.write("go\n")
            dispatcher.stdin.flush()
        ends = [dispatcher.communicate(timeout=60) for dispatcher in workers]
        assert [dispatcher.returncode for dispatcher in workers] == [0] * 4, ends
        assert sum(int(out) for out, _ in ends) == 20
        assert len(sandbox.inbox.messages) == 20
        assert sandbox.token_requests == 1


# State that cannot be used -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AsyncMailer, Mailer])
@pytest.mark.parametrize("place", ["", "tokens"])
def test_a_state_folder_that_cannot_be_made_is_told_at_once_and_done_without(
    sandbox: Sandbox, tmp_path: Path, kind: type[AsyncMailer] | type[Mailer], place: str
) -> None:
    told: list[str] = []

    class Listener:
        def notice(self, event: object) -> None:
            told.append(getattr(event, "text", ""))

    in_the_way = tmp_path / "state" / place if place else tmp_path / "state"
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("a file")
    account = replace(sandbox.account(), limits=A_MINUTE)
    kind(account, state=StateFolder(tmp_path / "state"), observer=Listener())
    assert [text for text in told if str(in_the_way) in text]


def test_a_folder_of_budgets_that_cannot_be_made_is_told_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "budgets").write_text("a file")
    account = replace(sandbox.account(), limits=A_MINUTE)
    with pytest.raises(StoreError, match=str(tmp_path / "state" / "budgets")):
        Mailer(account, state=StateFolder(tmp_path / "state"))


def test_a_state_folder_that_others_may_write_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    with pytest.raises(ConfigError, match="chmod go-w"):
        Mailer(sandbox.account(), state=StateFolder(tmp_path / "state"))


@pytest.mark.parametrize("name", ["../escaped", "a/b", "", ".hidden", "with blank", "Ä"])
def test_an_account_name_never_leaves_the_state_folder(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    account = replace(sandbox.account(), name=name, limits=A_MINUTE, grant=None)
    with pytest.raises(ValueError, match="no account name"):
        Mailer(
            replace(account, outgoing=replace(account.smarthost, authentication="none")),
            state=StateFolder(tmp_path / "state"),
        )


async def test_a_budget_that_cannot_be_written_stops_the_message(
    sandbox: Sandbox, state: StateFolder, tmp_path: Path
) -> None:
    async with limited(sandbox, state, ManualClock()) as mailer:
        file = state.budget(mailer.account.mailbox)
        os.mkdir(file)
        with pytest.raises(StoreError, match=rf"{re.escape(file)} cannot be used.*permissions"):
            await mailer.send(RAW, TO_YOU)
    assert sandbox.inbox.messages == []


def test_memory_leaves_nothing_on_the_disk(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTBEARER_STATE", str(tmp_path / "state"))
    with Mailer(replace(sandbox.account(), limits=A_MINUTE), state="memory") as mailer:
        mailer.send(RAW, TO_YOU)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trouble", ["no connection", "no token", "the login is refused", "cancelled"])
async def test_what_reached_nobody_is_not_counted(sandbox: Sandbox, state: StateFolder, trouble: str) -> None:
    account = replace(sandbox.account(), limits=Limits(messages_per_day=2))
    broken = account
    if trouble in ("no connection", "cancelled"):
        broken = replace(
            account, outgoing=replace(account.smarthost, servers=(ServerAddress("127.0.0.1", 1),))
        )
    elif trouble == "no token":
        broken = replace(account, endpoint=replace(account.endpoint, url="https://127.0.0.1:1/token"))
    else:
        broken = replace(account, grant=StaticToken(Secret("canary-unknown-token")))
    async with AsyncMailer(broken, state=state) as mailer:
        for _ in range(4):
            if trouble == "cancelled":
                mailer._transport.deliver = forever  # type: ignore[method-assign]
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(mailer.send(RAW, TO_YOU, wait=False), 0.05)
            else:
                with pytest.raises((NetworkError, CredentialError)):
                    await mailer.send(RAW, TO_YOU, wait=False)
    other = replace(account, name="the-same-mailbox")
    async with AsyncMailer(other, state=state) as mailer:
        if trouble != "no connection":  # whose mailbox is at another server
            await mailer.send(RAW, TO_YOU, wait=False)
        await mailer.send(RAW, TO_YOU, wait=False)


async def forever(envelope: Envelope, content: object) -> Receipt:
    await asyncio.Event().wait()
    raise AssertionError


async def test_two_accounts_of_one_mailbox_share_its_budget(sandbox: Sandbox, state: StateFolder) -> None:
    account = replace(sandbox.account(), limits=Limits(messages_per_day=1))
    async with (
        AsyncMailer(account, state=state) as first,
        AsyncMailer(replace(account, name="another"), state=state) as second,
    ):
        await first.send(RAW, TO_YOU)
        with pytest.raises(BudgetSpent):
            await second.send(RAW, TO_YOU, wait=False)
