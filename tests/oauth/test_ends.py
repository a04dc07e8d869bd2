"""A renewal outlives whoever asked for it: no way to stop waiting loses a rotated refresh token."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from postbearer.oauth import CachedSource, Endpoint, GrantStore, MemoryStore, RefreshToken, StoredGrant, Token
from postbearer.oauth.single_flight import insist
from postbearer.secret import Secret
from postbearer.state import KeyFile, StateFolder, TokenFile
from support.tokenserver import Slow, TokenServer

NewStore = Callable[[], GrantStore]


class Own(MemoryStore):
    """A program's own store: every call takes a while, and one of them may meet a cancellation."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = -1  # the await at which the task is cancelled
        self._awaits = 0

    async def load(self) -> StoredGrant:
        await self._moment()
        return await super().load()

    async def save(self, kept: StoredGrant) -> bool:
        await self._moment()
        saved = await super().save(kept)
        await self._moment()
        return saved

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        await self._moment()
        yield
        await self._moment()

    def lock(self) -> object:  # type: ignore[override]
        return self._held()

    async def _moment(self) -> None:
        self._awaits += 1
        if self._awaits == self.cut:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)


@pytest.fixture(params=["file", "memory", "own"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    """Each call gives what the next process, or the next object, finds."""
    if request.param == "file":
        folder = StateFolder(tmp_path / "state")
        return lambda: TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box)
    store = MemoryStore() if request.param == "memory" else Own()
    return lambda: store


@pytest.fixture
def slow(server: TokenServer) -> Slow:
    return Slow(server)


def source_of(slow: Slow, store: GrantStore) -> CachedSource:
    grant = RefreshToken("relay", Secret("refresh-0"))
    return CachedSource(grant, Endpoint(slow.server.url), account="alerts", store=store)


async def cancelled(slow: Slow, source: CachedSource) -> None:
    asking = asyncio.create_task(source.token())
    await slow.until_asked()
    asking.cancel()
    slow.answer.set()


async def out_of_time(slow: Slow, source: CachedSource) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await source.token()
    slow.answer.set()


async def left_to_the_end_of_the_loop(slow: Slow, source: CachedSource) -> None:
    task = asyncio.create_task(source.token())
    await slow.until_asked()
    threading.Timer(0.2, slow.answer.set).start()
    del task


async def closed(slow: Slow, source: CachedSource) -> None:
    asking = asyncio.create_task(source.token())
    await slow.until_asked()
    asking.cancel()
    threading.Timer(0.2, slow.answer.set).start()
    await source.aclose()


async def interrupted(slow: Slow, source: CachedSource) -> None:
    asyncio.get_running_loop().call_soon(asyncio.create_task, strike(slow))
    await source.token()


async def strike(slow: Slow) -> None:
    await slow.until_asked()
    threading.Timer(0.2, slow.answer.set).start()
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("end", [cancelled, out_of_time, left_to_the_end_of_the_loop, closed, interrupted])
def test_o6_no_way_to_stop_waiting_loses_a_rotated_refresh_token(
    slow: Slow, new_store: NewStore, end: Callable[[Slow, CachedSource], Awaitable[None]]
) -> None:
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(end(slow, source_of(slow, new_store())))  # type: ignore[arg-type]
    after = source_of(slow, new_store())
    assert after.token_blocking().access == Secret("access-1")
    assert asyncio.run(new_store().load()).refresh == Secret(slow.server.good_refresh_token or "")
    assert len(slow.server.asked) == 1


def test_o6_a_loop_that_just_stops_leaves_the_answer_to_the_next_who_asks(
    slow: Slow, new_store: NewStore
) -> None:
    source = source_of(slow, new_store())
    loop = asyncio.new_event_loop()
    asking = loop.create_task(source.token())
    loop.run_until_complete(slow.until_asked())
    slow.answer.set()  # nobody runs this loop again
    assert source.token_blocking().access == Secret("access-1")
    assert len(slow.server.asked) == 1
    assert loop.run_until_complete(asking).access == Secret("access-1")  # somebody runs it after all
    loop.close()
    assert asyncio.run(new_store().load()).refresh == Secret(slow.server.good_refresh_token or "")


@pytest.mark.parametrize("cut", range(1, 12))
def test_o6_a_cancellation_at_any_moment_of_a_store_loses_no_rotated_refresh_token(
    slow: Slow, cut: int
) -> None:
    slow.answer.set()
    store = Own()
    store.cut = cut
    source = source_of(slow, store)
    for _ in range(2):
        with suppress(asyncio.CancelledError):
            assert isinstance(asyncio.run(source.token()), Token)
    store.cut = -1
    assert asyncio.run(store.load()).refresh == Secret(slow.server.good_refresh_token or "")
    assert len(slow.server.asked) == 1


async def test_o6_in_memory_a_token_refused_during_a_renewal_takes_no_refresh_token_along(
    slow: Slow, new_store: NewStore
) -> None:
    slow.answer.set()
    store = new_store()
    source = source_of(slow, store)
    first = await source.token()
    slow.answer.clear()
    slow.asked.clear()
    renewing = asyncio.create_task(source.fresh())
    await slow.until_asked()
    refusing = asyncio.create_task(source.invalidate(first))
    await asyncio.sleep(0.05)
    slow.answer.set()
    await renewing
    await refusing
    kept = await store.load()
    assert kept.refresh == Secret(slow.server.good_refresh_token or "")
    assert (await source.fresh()).access == Secret("access-3")


async def test_o6_a_sign_in_that_came_during_a_renewal_stands(slow: Slow) -> None:
    store = MemoryStore()
    source = source_of(slow, store)
    asking = asyncio.create_task(source.token())
    await slow.until_asked()
    await store.save(StoredGrant(refresh=Secret("signed-in anew")))
    slow.answer.set()
    await asking
    assert (await store.load()).refresh == Secret("signed-in anew")


async def test_patience_ends() -> None:
    async def endless() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(insist(endless, patience=0.01))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


PROGRAM = """
import asyncio, sys
from postbearer.oauth import CachedSource, Endpoint, RefreshToken
from postbearer.state import KeyFile, StateFolder, TokenFile
from postbearer.secret import Secret

folder = StateFolder(sys.argv[2])
store = TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box)
source = CachedSource(RefreshToken("relay", Secret("refresh-0")), Endpoint(sys.argv[1]), store=store)
loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(asyncio.wait_for(source.token(), timeout=1))
except TimeoutError:
    print("out of time", flush=True)
"""


def test_o6_a_program_that_ends_without_closing_anything_keeps_what_is_on_its_way(
    slow: Slow, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, slow.server.url, state], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "out of time\n"
        slow.answer.set()
        assert process.wait(timeout=30) == 0
    folder = StateFolder(state)
    kept = asyncio.run(TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box).load())
    assert kept.refresh == Secret("refresh-1")
