"""The reply to content tells what the spool did, and nothing before it has done it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

import pytest

from postbearer.clock import SystemClock
from postbearer.errors import OutcomeUnknown, StoreError, StoreFull
from postbearer.store import Claimed, Incoming, MemorySpool, Query, Staging
from support.submitting import MESSAGE, Talk, running


class Troubled(MemorySpool):
    """Raises what it is told to, where it is told to; `accept` may be held."""

    def __init__(self, **errors: Exception) -> None:
        super().__init__(SystemClock())
        self.errors = errors
        self.free = True
        self.held: asyncio.Event | None = None
        self.asked = asyncio.Event()

    def _trouble(self, place: str) -> None:
        if place in self.errors:
            raise self.errors[place]

    def stage(self, message: str) -> Staging:
        self._trouble("stage")
        staging = super().stage(message)
        return Failing(staging, self.errors["write"]) if "write" in self.errors else staging

    async def accept_all(self, batch: Sequence[Incoming]) -> Sequence[Claimed]:
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        self._trouble("accept")
        return await super().accept_all(batch)

    async def room(self, size: int) -> bool:
        self._trouble("room")
        return self.free


class Failing:
    def __init__(self, inner: Staging, error: Exception) -> None:
        self._inner, self._error = inner, error

    async def write(self, data: bytes) -> None:
        raise self._error

    @property
    def size(self) -> int:
        return self._inner.size

    @property
    def sha256(self) -> str:
        return self._inner.sha256

    def blocks(self, size: int = 65536) -> Iterator[bytes]:
        return self._inner.blocks(size)

    async def discard(self) -> None:
        await self._inner.discard()


FULL = StoreFull("The disk is full.")
BROKEN = StoreError("The disk does not answer.")
UNKNOWN = OutcomeUnknown("Nobody knows.")


@pytest.mark.parametrize(
    ("place", "error", "code"),
    [
        ("stage", FULL, "452"), ("stage", BROKEN, "451"), ("write", FULL, "452"), ("write", BROKEN, "451"),
        ("accept", FULL, "452"), ("accept", BROKEN, "451"), ("accept", UNKNOWN, "451"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunked", [False, True], ids=["data", "bdat"])
async def test_trouble_is_never_250_and_the_client_may_try_again(
    place: str, error: Exception, code: str, chunked: bool
) -> None:
    spool = Troubled(**{place: error})
    async with running(spool=spool) as relay, await relay.client() as client:
        for _ in range(2):
            await client.addressed()
            if chunked:
                said = await client.say(b"BDAT %d LAST\r\n%b" % (len(MESSAGE), MESSAGE))
            else:
                said = await client.say("DATA")
                said = await client.say(MESSAGE + b".\r\n") if said.startswith("354") else said
            assert said.startswith(code)
            await client.say("RSET")
        spool.errors.clear()
        assert (await client.deliver()).startswith("250")


async def test_a_refused_data_leaves_the_transaction_to_be_tried_again() -> None:
    spool = Troubled(stage=FULL)
    async with running(spool=spool) as relay, await relay.client() as client:
        await client.addressed()
        assert (await client.say("DATA")).startswith("452 4.3.1")
        assert (await client.say("RCPT TO:<c@example.net>")).startswith("250")
        spool.errors.clear()
        assert (await client.say("DATA")).startswith("354")
        assert (await client.say(MESSAGE + b".\r\n")).startswith("250")


@pytest.mark.parametrize("chunks", [b"BDAT 2\r\nab", b"BDAT 2\r\nabBDAT 2 LAST\r\ncd"], ids=["first", "both"])
async def test_a_refused_chunk_makes_no_message_of_the_rest(chunks: bytes) -> None:
    spool = Troubled(stage=FULL)
    async with running(spool=spool) as relay, await relay.client() as client:
        await client.addressed()
        client.send(chunks + b"NOOP\r\n")
        refused = ["452", "503"][: chunks.count(b"BDAT")]
        assert await client.replies(len(refused) + 1) == [*refused, "250"]
        spool.errors.clear()
        assert (await client.say("RCPT TO:<c@example.net>")).startswith("503")
        assert (await client.deliver()).startswith("250")


async def test_a_full_disk_is_told_at_mail_before_it_is_too_late() -> None:
    spool = Troubled()
    spool.free = False
    async with running(spool=spool) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        assert (await client.say("MAIL FROM:<app@example.org> SIZE=5000")).startswith("452 4.3.1")
        spool.errors["room"] = BROKEN
        assert (await client.say("MAIL FROM:<app@example.org>")).startswith("452 4.3.1")
        spool.errors.clear()
        spool.free = True
        assert (await client.deliver()).startswith("250")


async def test_250_only_when_it_is_accepted() -> None:
    spool = Troubled()
    spool.held = asyncio.Event()
    async with running(spool=spool) as relay, await relay.client() as client:
        said = asyncio.create_task(client.deliver())
        await spool.asked.wait()
        done, _ = await asyncio.wait([said], timeout=0.05)
        assert not done
        spool.held.set()
        assert (await said).startswith("250")


async def test_a_client_that_leaves_while_its_message_is_written_does_not_undo_it() -> None:
    spool = Troubled()
    spool.held = asyncio.Event()
    async with running(spool=spool) as relay:
        client = await relay.client()
        await client.addressed()
        await client.say("DATA")
        client.send(MESSAGE + b".\r\n")
        await spool.asked.wait()
        client.writer.transport.abort()
        spool.held.set()
        async with await relay.client() as other:
            await other.say("NOOP")
        assert len(await spool_messages(spool)) == 1


async def spool_messages(spool: MemorySpool) -> list[str]:
    return [entry.message.id for entry in await spool.search(Query())]


async def test_shutting_down_lets_a_message_under_way_finish_and_nobody_else() -> None:
    async with running() as relay, AsyncExitStack() as stack:
        port = relay.port
        clients = [await stack.enter_async_context(await relay.client()) for _ in range(3)]
        busy, idle, between = clients
        await busy.addressed()
        await busy.say("DATA")
        busy.send(MESSAGE[:10])
        await between.say("EHLO client.example.org")
        stopping = asyncio.create_task(relay.listener.stop(5.0))
        for each in (idle, between):
            assert await each.all_replies() == ["421 4.3.2 The relay is shutting down"]
        with pytest.raises(OSError):
            await Talk.open("127.0.0.1", port)
        assert not stopping.done()
        busy.send(MESSAGE[10:] + b".\r\nMAIL FROM:<app@example.org>\r\n")
        said = await busy.all_replies()
        assert [reply[:3] for reply in said] == ["250", "421"]
        await stopping
        assert await relay.contents() == [MESSAGE]


async def test_shutting_down_does_not_wait_for_ever() -> None:
    async with running() as relay, await relay.client() as client:
        await client.addressed()
        await client.say("DATA")
        await relay.listener.stop(0.05)
        assert await client.reply() == ""
        assert await relay.messages() == []
