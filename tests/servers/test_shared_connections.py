"""Mailers in several processes, and relays, keep to the connections of a mailbox together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from postbearer import Account, AsyncMailer
from postbearer.settings import Limits
from postbearer.store.postgres import connection_share
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from servers.postgresql import Postgresql
from servers.sink import Sink
from support.persisting import GivenKey

pytestmark = pytest.mark.servers


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def mailer(url: str, sink: Sink, connections: int, request: pytest.FixtureRequest) -> AsyncMailer:
    """As if it were in a process of its own."""
    state = PostgresState(PostgresUrl.parse(url), GivenKey())
    request.addfinalizer(state.close)
    account = Account.smtp(
        "alerts@example.org",
        servers=[f"127.0.0.1:{sink.port}"],
        tls="none-loopback",
        authentication="none",
        limits=Limits(connections=connections),
    )
    return AsyncMailer(account, state=state)


async def send(one: AsyncMailer, count: int) -> None:
    for number in range(count):
        await one.send(to="ada@example.org", subject=str(number), text="Hello")


@pytest.mark.parametrize("connections", [1, 2])
async def test_mailers_send_all_they_have_by_few_connections(
    schema: str, sink: Sink, connections: int, request: pytest.FixtureRequest
) -> None:
    """None waits for ever, though each has one message after the other."""
    mailers = [mailer(schema, sink, connections, request) for _ in range(3)]
    await asyncio.gather(*(send(one, 5) for one in mailers for _ in range(2)))
    assert len(sink.messages()) == 30
    for one in mailers:
        await one.close()
    assert sink.most == connections


async def test_one_that_is_busy_all_the_time_gives_way(
    schema: str, sink: Sink, request: pytest.FixtureRequest
) -> None:
    busy, other = (mailer(schema, sink, 1, request) for _ in range(2))

    async def go_on() -> None:
        while True:
            await send(busy, 1)

    going = asyncio.create_task(go_on())
    async with asyncio.timeout(60.0):
        await send(other, 3)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    await busy.close()
    await other.close()
    assert sink.most == 1


async def test_who_goes_leaves_the_place_at_once(
    schema: str, sink: Sink, request: pytest.FixtureRequest
) -> None:
    first, second = (mailer(schema, sink, 1, request) for _ in range(2))
    async with first:
        await send(first, 1)
    async with second, asyncio.timeout(10.0):
        await send(second, 1)
    assert sink.most == 1


class _Line:
    """A way to the database that can be held: then nothing goes through any more, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free = asyncio.Event()
        self._free.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def hold(self) -> None:
        self._free.clear()

    async def close(self) -> None:
        self._free.set()
        self._server.close()
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        for pair in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._copy(*pair)))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._free.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


async def test_who_cannot_reach_the_database_closes_what_it_has_before_others_have_it(
    database: Postgresql,
    schema: str,
    sink: Sink,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_share, "LEASE", 4.0)
    monkeypatch.setattr(connection_share, "HEARTBEAT", 1.0)
    line = _Line(database.port)
    far = schema.replace(f":{database.port}/", f":{await line.open()}/")
    first, second = mailer(far, sink, 1, request), mailer(schema, sink, 1, request)
    await send(first, 1)
    line.hold()
    assert sink.open == 1
    async with asyncio.timeout(60.0):
        await send(second, 3)
    assert (len(sink.messages()), sink.most) == (4, 1)
    await line.close()
    await first.close()
    await second.close()
