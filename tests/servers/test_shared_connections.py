"""Mailers in several processes, and relays, keep to the connections of a mailbox together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from postbearer import Account, AsyncMailer
from postbearer.settings import Limits
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
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
