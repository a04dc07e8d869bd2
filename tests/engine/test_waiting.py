"""What waits beside a message costs it nothing: others are neither read nor looked at for its sake."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from postbearer.engine import Route, Router, RouteRule
from postbearer.engine.waiting import WaitingLanes
from postbearer.store import Lane, LaneKey, MemorySpool, Pause, Priority
from support.relay import WaitingClock, account, relaying

MANY = [f"a{number}" for number in range(100)]
NOW = 1_800_000_000.0


class Watched(MemorySpool):
    """Notes how many lanes it was asked for; None: for all."""

    asked: list[int | None]

    def __init__(self, clock: WaitingClock) -> None:
        super().__init__(clock)
        self.asked = []

    async def lanes(self, now: float, among: Collection[LaneKey] | None = None) -> Sequence[Lane]:
        self.asked.append(None if among is None else len(among))
        return await super().lanes(now, among)


async def test_lanes_of_others_are_not_read_for_each_message() -> None:
    accounts = [account("out"), *(account(name) for name in MANY)]
    rules = [RouteRule(from_=f"{name}@example.org", route=Route(account=name)) for name in MANY]
    pauses = [Pause(account=name, since=NOW, reason="Paused by hand.") for name in MANY]
    clock = WaitingClock()
    spool = Watched(clock)
    async with relaying(
        *accounts, router=Router(rules, "out"), pauses=pauses, clock=clock, spool=spool
    ) as relay:
        for name in MANY:
            await relay.submit(sender=f"{name}@example.org")
        await relay.settle()
        spool.asked.clear()
        relay.providers["out"].delay = 0.5  # so that some have to wait for their turn
        for _ in range(20):
            await relay.submit()
        await relay.pass_time(60)
        assert len(relay.providers["out"].sent) == 20
        assert None not in spool.asked
        assert max(each or 0 for each in spool.asked) <= 2


async def test_all_that_waits_goes_on_once_its_accounts_may_send() -> None:
    accounts = [account("out"), *(account(name) for name in MANY)]
    rules = [RouteRule(from_=f"{name}@example.org", route=Route(account=name)) for name in MANY]
    async with relaying(*accounts, router=Router(rules, "out")) as relay:
        for name in MANY:
            await relay.dispatcher.pause(name)
            await relay.submit(sender=f"{name}@example.org")
        await relay.settle()
        for name in MANY:
            await relay.dispatcher.resume(name)
        await relay.settle()
        assert all(len(relay.providers[name].sent) == 1 for name in MANY)


def lane(account: str, client: str = "app", due: float = 0.0) -> Lane:
    return Lane(account=account, priority=Priority.NORMAL, client=client, due=due)


def test_an_account_is_looked_at_again_when_its_time_has_come() -> None:
    waiting = WaitingLanes()
    waiting.read(waiting.take_unread(), [lane("a"), lane("b"), lane("b", "other")])
    assert len(waiting.worth_a_look(0.0)) == 3
    waiting.wait([("a", 50.0), ("b", 70.0), ("b", 60.0)])
    assert waiting.worth_a_look(49.0) == []
    assert waiting.next_time() == 50.0
    assert waiting.worth_a_look(50.0) == [lane("a")]
    assert waiting.next_time() == 60.0


def test_nobody_is_looked_at_for_whom_nothing_waits() -> None:
    waiting = WaitingLanes()
    waiting.read(waiting.take_unread(), [lane("a")])
    waiting.wait([("a", float("inf"))])
    assert not waiting.look_at(["b"])
    assert waiting.look_at(["b", "a"])
    waiting.changed([lane("a").key])
    waiting.read(waiting.take_unread(), [])
    assert not waiting.lanes
    assert waiting.worth_a_look(0.0) == []


def test_what_joins_others_that_are_due_is_not_looked_for() -> None:
    waiting = WaitingLanes()
    assert waiting.put([lane("a").key], 10.0)  # before anything was read
    waiting.read(waiting.take_unread(), [lane("a"), lane("b", due=50.0)])
    assert not waiting.put([lane("a").key], 10.0)
    assert waiting.put([lane("a").key, lane("b").key], 10.0)  # sooner than what waits there
    assert waiting.put([lane("c").key], 10.0)
    assert waiting.take_unread() == {lane("b").key, lane("c").key}
    assert waiting.put([lane("a").key], 10.0)  # while the store is asked, it may give what was there before
    waiting.read({lane("b").key, lane("c").key}, [lane("b"), lane("c")])
    waiting.changed([lane("b").key])
    assert waiting.put([lane("b").key], 10.0)  # what was due may be gone


STEP = st.tuples(
    st.sampled_from(["put", "empty", "wait", "look", "all"]), st.sampled_from("abc"), st.integers(0, 9)
)


@given(st.lists(STEP, max_size=60))
def test_it_agrees_with_looking_at_everything(steps: list[tuple[str, str, int]]) -> None:
    waiting, now = WaitingLanes(), 0.0
    there: set[str] = set()
    times: dict[str, float] = {}  # of those that were told to wait
    for what, name, number in steps:
        now += 1.0
        if what == "put":
            there.add(name)
            times.pop(name, None)
            waiting.changed([lane(name).key])
        elif what == "empty":
            there.discard(name)
            times.pop(name, None)
            waiting.changed([lane(name).key])
        elif what == "wait" and name in there:
            times[name] = now + number
            waiting.wait([(name, now + number)])
        elif what == "look":
            times.pop(name, None)
            waiting.look_at([name])
        elif what == "all":
            times.clear()
            waiting.changed(None)
        unread = waiting.take_unread()
        known = there if unread is None else {key[0] for key in unread} & there
        waiting.read(unread, [lane(each) for each in sorted(known)])
        expected = {each for each in there if times.get(each, 0.0) <= now}
        assert {each.account for each in waiting.worth_a_look(now)} == expected
        for each in expected:
            times.pop(each, None)
        later = [at for each, at in times.items() if each in there]
        assert waiting.next_time() <= min(later, default=float("inf"))  # nobody is forgotten
