"""What may be sent when: in order for each message, again on the schedule, and nothing lost by a restart."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from postbearer.store import StateChange, Status, WaitingEvent
from postbearer.testing import ManualClock
from postbearer.webhooks import PendingEvents
from postbearer.webhooks.pending import PendingEvent
from postbearer.webhooks.schedule import JITTER, LONGEST, TRIES, WAITS, wait

MESSAGES = ("m1", "m2", "m3")


def change(number: int, message: str) -> StateChange:
    return StateChange(
        number=number,
        at=float(number),
        message=message,
        client="app",
        account="out",
        recipient="a@example.net",
        status=Status.READY,
    )


@dataclass
class Store:
    """What is on the disk."""

    position: int = 0
    events: dict[int, WaitingEvent] = field(default_factory=dict)


class Machine(RuleBasedStateMachine):
    """Events come, are tried, arrive or fail; time goes by and jumps; the relay is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.happened: list[StateChange] = []
        self.disk = Store()
        self.backlog = PendingEvents(0)
        self.under_way: list[PendingEvent] = []
        self.arrived: list[int] = []

    # What happens -----------------------------------------------------------------------------

    @rule(message=st.sampled_from(MESSAGES), wanted=st.booleans())
    def happens(self, message: str, wanted: bool) -> None:
        number = len(self.happened) + 1
        self.happened.append(change(number, message if wanted else ""))

    @rule(most=st.integers(1, 5))
    def read(self, most: int) -> None:
        for each in self.happened[self.backlog.read : self.backlog.read + most]:
            if each.message:
                self.backlog.add(each)
            else:
                self.backlog.skip(each.number)

    @rule(again=st.booleans())
    def begin(self, again: bool) -> None:
        now = self.clock.monotonic()
        event = self.backlog.take_again(now) if again else self.backlog.take_new()
        if event is not None:
            assert event.message not in {each.message for each in self.under_way}
            assert (event.tries > 0) is again
            assert event.due <= now or not again
            self.under_way.append(event)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 9), good=st.sampled_from(["yes", "no", "not tried"]))
    def end(self, which: int, good: str) -> None:
        event = self.under_way.pop(which % len(self.under_way))
        if good == "yes":
            self.arrived.append(event.number)
            self.backlog.arrived(event)
        elif good == "no":
            due = self.clock.monotonic() + wait(event.tries + 1, None, lambda: 0.5)
            self.backlog.failed(event, due, self.clock.now())
        else:
            self.backlog.give_back(event)

    @rule(seconds=st.sampled_from([1.0, 6.0, 400.0, 90_000.0]))
    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-1e9, -3600.0, 3600.0, 1e9]))
    def clock_is_set(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @rule(anew=st.booleans())
    def hurry(self, anew: bool) -> None:
        self.backlog.hurry(self.clock.monotonic(), anew=anew)

    @rule(first=st.integers(0, 20))
    def replay(self, first: int) -> None:
        self.backlog.rewind(first)

    @rule(message=st.sampled_from(MESSAGES))
    def replay_one(self, message: str) -> None:
        self.backlog.send_again([each for each in self.happened if each.message == message])

    @rule(works=st.booleans())
    def write(self, works: bool) -> None:
        position = self.backlog.position
        again, gone = self.backlog.unwritten(self.clock.now(), self.clock.monotonic())
        if works:
            self.disk.position = position
            self.disk.events |= {each.number: each for each in again}
            for number in gone:
                self.disk.events.pop(number, None)
        else:
            self.backlog.not_written(again, gone)

    @rule()
    def killed(self) -> None:
        self.under_way.clear()
        self.backlog = PendingEvents(self.disk.position)
        self.backlog.restore(self.disk.events.values(), self.clock.now(), self.clock.monotonic())

    # What always holds ------------------------------------------------------------------------

    @invariant()
    def those_of_one_message_come_in_order(self) -> None:
        first_time = list(dict.fromkeys(self.arrived))
        for message in MESSAGES:
            numbers = [each for each in first_time if self.happened[each - 1].message == message]
            assert numbers == sorted(numbers)

    @invariant()
    def nobody_waits_for_longer_than_the_longest_wait(self) -> None:
        due = self.backlog.next_due
        assert due is None or due - self.clock.monotonic() <= LONGEST

    def teardown(self) -> None:
        """The relay is killed, and the receiver is well from now on: all that happened has arrived."""
        self.killed()
        while True:
            self.read(5)
            event = self.backlog.take_new() or self.backlog.take_again(self.clock.monotonic())
            if event is not None:
                self.arrived.append(event.number)
                self.backlog.arrived(event)
            elif self.backlog.next_due is not None:
                self.clock.advance(LONGEST)
            elif self.backlog.read >= len(self.happened):
                break
        self.those_of_one_message_come_in_order()
        assert {*self.arrived} == {each.number for each in self.happened if each.message}
        assert (len(self.backlog), self.backlog.position) == (0, len(self.happened))
        self.write(works=True)
        assert self.disk.events == {}


TestBacklog = Machine.TestCase
TestBacklog.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_schedule_goes_over_three_days_and_never_gets_shorter() -> None:
    waits = [wait(tries, None, lambda: 0.0) for tries in range(1, TRIES)]
    assert waits == list(WAITS) == sorted(waits)
    assert 3 < sum(waits) / 86_400 < 4
    assert wait(TRIES + 5, None, lambda: 1.0) == LONGEST
    assert wait(1, None, lambda: 1.0) == 5.0 * (1 + JITTER)


def test_what_the_receiver_asks_for_is_heeded_within_a_day() -> None:
    assert wait(1, 100.0, lambda: 0.0) == 100.0
    assert wait(3, 100.0, lambda: 0.0) == WAITS[2]
    assert wait(1, 1e9, lambda: 0.0) == LONGEST


def test_one_message_that_fails_lets_the_others_pass() -> None:
    backlog = PendingEvents(0)
    for number, message in enumerate(["m1", "m1", "m2", "m1", "m3"], 1):
        backlog.add(change(number, message))
    first = backlog.take_new()
    assert first is not None
    assert first.number == 1
    backlog.failed(first, 50.0, 10.0)
    others = []
    while (event := backlog.take_new()) is not None:
        others.append(event.number)
        backlog.arrived(event)
    assert (others, backlog.take_again(49.0), backlog.position) == ([3, 5], None, 5)
    again, gone = backlog.unwritten(10.0, 0.0)
    assert ([(each.number, each.tries) for each in again], gone) == ([(1, 1), (2, 0), (4, 0)], [])
    for number in (1, 2, 4):
        event = backlog.take_again(50.0) or backlog.take_new()
        assert event is not None
        assert event.number == number
        backlog.arrived(event)
    assert backlog.unwritten(60.0, 50.0) == ([], [1, 2, 4])


def test_a_replay_from_later_on_drops_nothing_that_waits_before() -> None:
    backlog = PendingEvents(0)
    for number in (1, 2, 3):
        backlog.add(change(number, f"m{number}"))
    backlog.rewind(2)
    assert (backlog.read, backlog.in_line, backlog.position) == (2, 2, 0)


def test_the_cost_of_an_event_does_not_grow_with_what_waits() -> None:
    """Counted in comparisons of events, for ten times as many messages."""

    def comparisons(count: int) -> float:
        counted = 0

        class Number(int):
            def __lt__(self, other: object) -> bool:
                nonlocal counted
                counted += 1
                return int(self) < int(other)  # type: ignore[call-overload]

        backlog = PendingEvents(0)
        for number in range(1, count + 1):
            backlog.add(change(Number(number), f"m{number}"))
        while (event := backlog.take_new()) is not None:
            backlog.arrived(event)
        return counted / count

    assert comparisons(2000) < 3 * comparisons(200)
