"""One mailer for many: tasks, threads, event loops, processes; and what an interruption leaves behind."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from postbearer.account import Account
from postbearer.blocking import Mailer
from postbearer.events import Authenticated, Connected, Event, TlsStarted
from postbearer.mailer import AsyncMailer
from postbearer.outcome import Receipt
from postbearer.state import StateFolder
from postbearer.testing import Sandbox
from postbearer.transport import PoolLimits
from support.sandboxed import RAW, TO_YOU, at, environment, message

T = TypeVar("T")


class Reacting:
    """An observer that does something the first time it hears of an event of some kind."""

    def __init__(self, kind: type[Event], react: Callable[[], object]) -> None:
        self._kind = kind
        self._react: Callable[[], object] | None = react

    def notice(self, event: Event) -> None:
        if isinstance(event, self._kind) and self._react is not None:
            react, self._react = self._react, None
            react()


@pytest.fixture
def counted(sandbox: Sandbox) -> Callable[[], tuple[int, int, int]]:
    """Messages, connections and token requests since the test began."""
    connections, requests = sandbox.mail.connections, sandbox.token_requests
    return lambda: (
        len(sandbox.inbox.messages),
        sandbox.mail.connections - connections,
        sandbox.token_requests - requests,
    )


Counted = Callable[[], tuple[int, int, int]]


async def test_many_tasks_share_two_connections_and_one_token(
    sandbox: Sandbox, state: StateFolder, counted: Counted
) -> None:
    async with AsyncMailer(sandbox.account(), state=state) as mailer:
        receipts = await asyncio.gather(*(mailer.send(RAW, TO_YOU) for _ in range(20)))
    assert len({receipt.queue_id for receipt in receipts}) == 20
    assert counted() == (20, 2, 1)


def test_many_threads_share_one_mailer(sandbox: Sandbox, state: StateFolder, counted: Counted) -> None:
    with Mailer(sandbox.account(), state=state) as mailer, ThreadPoolExecutor(20) as threads:
        receipts = list(threads.map(lambda number: mailer.send(message(Subject=f"{number}")), range(60)))
    assert len({receipt.queue_id for receipt in receipts}) == 60
    assert counted() == (60, 2, 1)


async def test_the_number_of_connections_is_the_accounts(sandbox: Sandbox, counted: Counted) -> None:
    account = at(sandbox.account(), limits=PoolLimits(connections=1))
    async with AsyncMailer(account, state="memory") as mailer:
        await asyncio.gather(*(mailer.send(RAW, TO_YOU) for _ in range(5)))
    assert counted() == (5, 1, 1)


def test_one_mailer_serves_one_event_loop_after_another(sandbox: Sandbox, counted: Counted) -> None:
    mailer = AsyncMailer(sandbox.account(), state="memory")

    async def send() -> Receipt:
        async with mailer:
            return await mailer.send(RAW, TO_YOU)

    assert asyncio.run(send()).queue_id != asyncio.run(send()).queue_id
    assert counted() == (2, 2, 1)


def test_a_mailer_may_be_closed_in_another_event_loop(sandbox: Sandbox) -> None:
    mailer = AsyncMailer(sandbox.account(), state="memory")
    for _ in range(2):
        asyncio.run(mailer.send(RAW, TO_YOU))
        with pytest.warns(ResourceWarning):  # its connection is left with the loop it was made in
            close_elsewhere(mailer)
    assert len(sandbox.inbox.messages) == 2


def close_elsewhere(mailer: AsyncMailer) -> None:
    asyncio.run(mailer.close())
    gc.collect()


def test_threads_with_an_event_loop_each_share_the_token_by_the_state_folder(
    sandbox: Sandbox, state: StateFolder, counted: Counted
) -> None:
    def run(number: int) -> Receipt:
        async def send() -> Receipt:
            async with AsyncMailer(sandbox.account(), state=state) as mailer:
                return await mailer.send(RAW, TO_YOU)

        return asyncio.run(send())

    with ThreadPoolExecutor(5) as threads:
        assert all(receipt.delivered for receipt in threads.map(run, range(5)))
    assert counted() == (5, 5, 1)


def test_a_mailer_that_was_closed_may_be_used_again(sandbox: Sandbox, counted: Counted) -> None:
    mailer = Mailer(sandbox.account(), state="memory")
    for _ in range(2):
        with mailer:
            mailer.send(RAW, TO_YOU)
    mailer.close()
    assert counted() == (2, 2, 1)
    assert not [thread for thread in threading.enumerate() if thread.name == "postbearer"]


def test_a_mailer_that_was_forgotten_says_so_and_leaves_nothing_behind(sandbox: Sandbox) -> None:
    forgotten = [Mailer(sandbox.account(), state="memory")]
    forgotten[0].send(RAW, TO_YOU)
    (thread,) = (each for each in threading.enumerate() if each.name == "postbearer")
    with pytest.warns(ResourceWarning, match="mailer of sandbox was not closed"):
        forgotten.clear()
    thread.join(10)
    assert not thread.is_alive()


def test_closing_waits_for_whoever_is_sending(sandbox: Sandbox) -> None:
    closers: list[threading.Thread] = []

    def close() -> None:
        closers.append(threading.Thread(target=mailer.close))
        closers[0].start()

    mailer = Mailer(sandbox.account(), state="memory", observer=Reacting(Connected, close))
    assert mailer.send(RAW, TO_YOU).delivered
    closers[0].join(10)
    assert not closers[0].is_alive()


# Processes ---------------------------------------------------------------------------------------

FORKING = """
import os, threading
from postbearer import Envelope, Mailer

def send():
    return mailer.send(b"From: alerts@example.org\\r\\n\\r\\nx\\r\\n",
                       Envelope.of("alerts@example.org", ["you@example.org"])).queue_id

mailer = Mailer.from_config("sandbox")
send()
busy = [threading.Thread(target=lambda: [send() for _ in range(5)]) for _ in range(4)]
for thread in busy:
    thread.start()
child = os.fork()  # while others hold locks and connections
if child == 0:
    ids = {send() for _ in range(3)}
    mailer.close()
    os._exit(len(ids))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
for thread in busy:
    thread.join()
send()
mailer.close()
print("sent")
"""

WORKER = """
from postbearer import Envelope, Mailer
with Mailer.from_config("sandbox") as mailer:
    mailer.send(b"From: alerts@example.org\\r\\n\\r\\nx\\r\\n",
                Envelope.of("alerts@example.org", ["you@example.org"]))
"""


def python(program: str, sandbox: Sandbox, state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "default", "-W", "ignore::DeprecationWarning", "-c", program]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(sandbox, state),
        text=True,
    )


def test_after_fork_child_and_parent_go_on_with_connections_of_their_own(
    sandbox: Sandbox, tmp_path: Path, counted: Counted
) -> None:
    out, err = python(FORKING, sandbox, tmp_path / "state").communicate(timeout=60)
    assert (out, err) == ("sent\n", "")
    messages, connections, tokens = counted()
    assert (messages, tokens) == (25, 1)  # one token for both
    assert 2 <= connections <= 3  # one of the child; one of the parent, or two if its threads met


def test_processes_started_at_once_cost_one_token_request(
    sandbox: Sandbox, tmp_path: Path, counted: Counted
) -> None:
    workers = [python(WORKER, sandbox, tmp_path / "state") for _ in range(4)]
    assert [dispatcher.communicate(timeout=60) for dispatcher in workers] == [("", "")] * 4
    assert counted() == (4, 4, 1)


# L8: interruptions -------------------------------------------------------------------------------


@types.coroutine
def cancelled_at(place: int, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Run `work`, and cancel the task that does at the `place`-th time it waits for something."""
    error: BaseException | None = None
    while True:
        try:
            awaited = work.send(None) if error is None else work.throw(error)
        except StopIteration as done:
            return done.value
        place -= 1
        if place == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        error = None
        try:
            yield awaited
        except BaseException as raised:
            error = raised


def one_at_a_time(sandbox: Sandbox) -> Account:
    """An account with one connection, so that a lost one shows, to an address that needs no race.

    asyncio before 3.12.8 can drop a socket when the race of several addresses (RFC 8305) is cancelled.
    """
    server = f"127.0.0.1:{sandbox.starttls_port}"
    return at(sandbox.account(), server, limits=PoolLimits(connections=1))


@pytest.mark.parametrize(("warm", "content"), [(False, RAW), (True, RAW), (True, RAW + b"\r\nx" * 300_000)])
async def test_l8_cancelled_at_any_await_the_mailer_stays_usable(
    sandbox: Sandbox, warm: bool, content: bytes
) -> None:
    account = one_at_a_time(sandbox)
    place, ended = 0, False
    while not ended:
        place += 1
        sandbox.reset()
        async with asyncio.timeout(10), AsyncMailer(account, state="memory") as mailer:
            if warm:
                await mailer.send(RAW, TO_YOU)
            before = len(sandbox.inbox.messages)
            try:
                await cancelled_at(place, mailer.send(content, TO_YOU))
                ended = True  # there is no such place any more
            except asyncio.CancelledError:
                receipt = await mailer.send(RAW, TO_YOU)
                assert sandbox.inbox.find(receipt.queue_id)
            assert 1 <= len(sandbox.inbox.messages) - before <= 2
            assert {each.content.rstrip() for each in sandbox.inbox.messages} <= {RAW, content}  # whole ones
    assert place > (1 if warm else 8)


@pytest.mark.parametrize(
    "interrupted", [AsyncMailer.close, partial(AsyncMailer.send, message=RAW, envelope=TO_YOU)]
)
def test_l8_a_connection_is_closed_though_the_event_loop_ends_meanwhile(
    sandbox: Sandbox, interrupted: Callable[[AsyncMailer], Coroutine[Any, Any, object]]
) -> None:
    async def send_and_leave() -> None:
        mailer = AsyncMailer(one_at_a_time(sandbox), state="memory")
        await mailer.send(RAW, TO_YOU)
        await cancelled_at(1, interrupted(mailer))

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(send_and_leave())
    gc.collect()  # a socket that was left is a ResourceWarning here, and so an error


@pytest.mark.parametrize("moment", [Connected, TlsStarted, Authenticated])
def test_l8_an_interrupt_leaves_the_mailer_usable(sandbox: Sandbox, moment: type[Event]) -> None:
    main = threading.get_ident()
    observer = Reacting(moment, lambda: signal.pthread_kill(main, signal.SIGINT))
    with Mailer(one_at_a_time(sandbox), state="memory", observer=observer) as mailer:
        with pytest.raises(KeyboardInterrupt):
            mailer.send(RAW, TO_YOU)
        receipt = mailer.send(RAW, TO_YOU)
    assert sandbox.inbox.find(receipt.queue_id)
