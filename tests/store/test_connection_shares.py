"""All who send from a mailbox keep to its connections together, whatever becomes of one of them."""

from __future__ import annotations

import asyncio
import random

import pytest

from postbearer.state import PATIENCE, SHORT_TURN, TURN, ConnectionShare
from postbearer.store import LEASE
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from postbearer.testing import ManualClock
from support.persisting import GivenKey
from support.spooling import postgresql

pytestmark = pytest.mark.servers

MAILBOX = "smtp=alerts@example.org"


class Processes:
    """Each share is that of another process."""

    def __init__(self, url: str, clock: ManualClock, request: pytest.FixtureRequest) -> None:
        self._url = PostgresUrl.parse(url)
        self.clock = clock
        self._request = request

    def share(self, most: int = 2, node: str = "", mailbox: str = MAILBOX) -> ConnectionShare:
        state = PostgresState(self._url, GivenKey(), own_clock=True)
        self._request.addfinalizer(state.close)
        return state.connection_share(mailbox, most, clock=self.clock, node=node)

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def processes(schema: str, clock: ManualClock, request: pytest.FixtureRequest) -> Processes:
    return Processes(schema, clock, request)


def opened(share: ConnectionShare) -> int:
    count = 0
    while share.take():
        count += 1
    return count


async def test_two_processes_have_no_more_than_the_mailbox(processes: Processes) -> None:
    a, b = processes.share(), processes.share()
    await a.ask(2)
    await b.ask(2)
    assert (opened(a), opened(b)) == (2, 0)


async def test_other_mailboxes_are_no_matter(processes: Processes) -> None:
    a, b = processes.share(), processes.share(mailbox="smtp=other@example.org")
    await a.ask(2)
    await b.ask(2)
    assert (a.held, b.held) == (2, 2)


async def test_who_closes_one_gives_it_back(processes: Processes) -> None:
    a, b = processes.share(), processes.share()
    await a.ask(2)
    assert opened(a) == 2
    a.free()
    await a.ask(1)
    await b.ask(1)
    assert (a.held, opened(b)) == (1, 1)


async def test_what_is_open_is_given_to_nobody(processes: Processes) -> None:
    """Whatever is asked, or said to be wanted."""
    a, b = processes.share(), processes.share()
    await a.ask(2)
    assert opened(a) == 2
    await a.ask(0)
    await b.ask(2)
    assert (a.held, a.over, b.held) == (2, 2, 0)


async def test_who_has_more_than_its_share_is_told_once_others_wait(processes: Processes) -> None:
    a, b = processes.share(), processes.share()
    await a.ask(2)
    assert opened(a) == 2
    await b.ask(1)
    processes.later(SHORT_TURN)
    await a.look(2)
    assert a.over == 1
    a.free()
    await a.look(2)
    await b.ask(1)
    assert (a.held, a.over, b.held) == (1, 0, 1)


@pytest.mark.parametrize(("node", "turn"), [("", SHORT_TURN), ("b", TURN)], ids=["mailer", "relay"])
async def test_one_connection_goes_from_one_to_the_other_by_turns(
    processes: Processes, node: str, turn: float
) -> None:
    a, b = processes.share(1, node="a"), processes.share(1, node=node)
    await a.ask(1)
    assert a.take()
    await b.ask(1)
    await a.ask(1)
    assert a.over == 0
    processes.later(turn)
    await b.ask(1)
    processes.later(0.1)
    await a.ask(1)
    assert a.over == 1
    a.free()
    await a.ask(1)
    await b.ask(1)
    assert (a.held, b.held) == (0, 1)
    assert b.take()
    await a.ask(1)
    await b.ask(1)
    assert b.over == 0  # now it is the turn of this one


async def test_who_waits_no_more_is_forgotten(processes: Processes) -> None:
    a, b = processes.share(1), processes.share(1)
    await a.ask(1)
    assert a.take()
    await b.ask(1)
    processes.later(PATIENCE + 1)
    await a.look(1)
    await a.ask(1)
    assert a.over == 0


async def test_the_connections_of_a_process_that_died_are_taken_over(processes: Processes) -> None:
    a, b = processes.share(), processes.share()
    await a.ask(2)
    assert opened(a) == 2
    processes.later(LEASE - 1)
    await b.ask(2)
    assert b.held == 0
    processes.later(2)
    await b.ask(2)
    assert b.held == 2


async def test_a_process_that_stood_still_has_none_before_anybody_else_has(processes: Processes) -> None:
    a, b = processes.share(), processes.share()
    await a.ask(2)
    assert opened(a) == 2
    processes.later(LEASE)
    assert (a.held, a.over) == (0, 2)  # all are to be closed, without a look at the database
    assert not a.take()
    await b.ask(2)
    await a.look(2)
    await a.ask(2)
    assert (a.held, b.held) == (0, 2)
    a.free()
    assert not a.take()


async def test_looks_renew_what_is_held(processes: Processes) -> None:
    a, b = processes.share(), processes.share()
    await a.ask(2)
    assert opened(a) == 2
    for _ in range(10):
        processes.later(LEASE / 3)
        await a.look(2)
    await b.ask(2)
    assert (a.held, b.held) == (2, 0)


async def test_a_relay_that_begins_anew_has_what_it_had(
    processes: Processes, schema: str, clock: ManualClock
) -> None:
    """It was killed, and its connections ended with it: nobody waits until its time is over."""
    before, other = processes.share(node="a"), processes.share(node="b")
    await before.ask(2)
    await other.ask(1)
    assert (opened(before), other.held) == (2, 0)
    spool = postgresql(schema, clock, node="a")
    await spool.open()
    again = processes.share(node="a")
    await again.ask(1)
    await other.ask(1)
    assert (again.held, other.held) == (1, 1)
    await spool.close()


async def test_who_was_given_none_asks_less_and_less(processes: Processes) -> None:
    a, b = processes.share(1), processes.share(1)
    await a.ask(1)
    pauses = []
    for _ in range(6):
        await b.ask(1)
        pauses.append(b.may_ask)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


async def test_never_more_than_there_are_whatever_they_do(processes: Processes) -> None:
    """Processes that ask, open, close, die, stand still and go on, at random."""
    chance = random.Random(7)
    most = 3
    shares = [processes.share(most, node=node) for node in ("a", "b", "")]
    open_ = dict.fromkeys(shares, 0)
    given = set()

    async def step(share: ConnectionShare) -> None:
        match chance.randrange(4):
            case 0:
                await share.ask(chance.randrange(most + 1))
            case 1:
                await share.look(chance.randrange(most + 1))
            case 2 if share.take():
                open_[share] += 1
                given.add(share)
            case 3 if open_[share]:
                open_[share] -= 1
                share.free()

    for _ in range(150):
        running = chance.sample(shares, 2)  # the other one stands still
        await asyncio.gather(*(step(each) for each in running for _ in range(2)))
        processes.later(chance.choice([0.1, 1.0, 10.0, LEASE]))
        for each in shares:
            if not each.held:  # it sees that before it does anything else
                for _ in range(open_[each]):
                    each.free()
                open_[each] = 0
        assert sum(open_.values()) <= most
        assert all(open_[each] <= each.held for each in shares)
    assert given == set(shares)
