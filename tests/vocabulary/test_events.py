"""Events are told to whoever wants them, with a time and a number; who listens may come and go."""

from __future__ import annotations

import dataclasses

import pytest

from postbearer import events
from postbearer.events import (
    AccountResumed,
    Committed,
    Defect,
    Event,
    Several,
    Silent,
    TokenRequested,
    Warned,
    hears,
)
from postbearer.log import EventLog
from postbearer.testing import ManualClock
from support.relay import Ears
from support.spooling import START


class Picky(Ears):
    """Wants events of one kind."""

    def __init__(self, kind: type[Event]) -> None:
        super().__init__()
        self._kind = kind

    def hears(self, kind: type[Event]) -> bool:
        return kind is self._kind


class Broken:
    def notice(self, event: Event) -> None:
        raise ValueError("injected")


def committed() -> Committed:
    return Committed("", jobs=1, pages=2, seconds=0.5)


def test_each_event_has_its_time_and_the_next_number() -> None:
    clock, ears = ManualClock(START), Ears()
    several = Several(ears, clock=clock)
    several.notice(Warned("a", "one"))
    clock.advance(2.5)
    several.notice(Warned("a", "two"))
    assert [(each.time, each.sequence) for each in ears.events] == [(START, 1), (START + 2.5, 2)]


def test_the_number_is_given_once_however_many_pass_it_on() -> None:
    clock, ears = ManualClock(START), Ears()
    inner = Several(ears, clock=ManualClock(0.0))
    outer = Several(inner, clock=clock)
    inner.notice(Warned("", "of the inner one"))
    outer.notice(Warned("", "of both"))
    assert [(each.time, each.sequence) for each in ears.events] == [(0.0, 1), (START, 1)]


def test_when_it_was_makes_no_other_event_of_it() -> None:
    event = Warned("a", "text")
    Several(clock=ManualClock(START)).notice(event)
    assert event == Warned("a", "text")
    assert "time" not in repr(event)
    assert dataclasses.replace(event, text="other") == Warned("a", "other")


def test_who_listens_comes_and_goes() -> None:
    first, second = Ears(), Ears()
    several = Several(first, clock=ManualClock())
    several.notice(Warned("", "one"))
    several.add(second)
    several.notice(Warned("", "two"))
    several.remove(first)
    several.remove(first)
    several.notice(Warned("", "three"))
    assert first.events == [Warned("", "one"), Warned("", "two")]
    assert second.events == [Warned("", "two"), Warned("", "three")]


def test_who_leaves_while_it_is_told_takes_nothing_from_the_others() -> None:
    class Leaving(Ears):
        def notice(self, event: Event) -> None:
            super().notice(event)
            several.remove(self)

    leaving, staying = Leaving(), Ears()
    several = Several(leaving, staying, clock=ManualClock())
    several.notice(Warned("", "one"))
    several.notice(Warned("", "two"))
    assert (len(leaving.events), len(staying.events)) == (1, 2)


def test_each_hears_what_it_wants() -> None:
    picky, all_ears = Picky(Committed), Ears()
    several = Several(picky, clock=ManualClock())
    assert (several.hears(Committed), several.hears(Warned)) == (True, False)
    several.add(all_ears)
    assert several.hears(Warned)
    several.notice(committed())
    several.notice(Warned("", "text"))
    assert picky.events == [committed()]
    assert len(all_ears.events) == 2
    several.remove(all_ears)
    assert not several.hears(Warned)


def test_an_observer_that_fails_is_told_of_by_the_others() -> None:
    ears = Ears()
    several = Several(Broken(), ears, clock=ManualClock())
    several.notice(AccountResumed("a"))
    defect, resumed = ears.events
    assert isinstance(defect, Defect)
    assert defect.what == "observer Broken"
    assert resumed == AccountResumed("a")
    with pytest.raises(ValueError, match="injected"):  # nobody else is there to say so
        Several(Broken(), clock=ManualClock()).notice(AccountResumed("a"))


KINDS = [getattr(events, name) for name in events.__all__]
COUNTED = [kind for kind in KINDS if getattr(kind, "for_counting", False)]


@pytest.mark.parametrize("kind", COUNTED)
def test_what_is_counted_is_not_made_for_the_log(kind: type[Event]) -> None:
    assert not hears(EventLog(), kind)
    assert not hears(Silent(), kind)
    assert hears(Ears(), kind)
    assert kind is not Warned


def test_a_request_for_a_token_is_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0, "postbearer")
    several = Several(EventLog(), clock=ManualClock())
    several.notice(TokenRequested("a", grant="refresh-token", seconds=0.1))
    several.notice(committed())
    assert caplog.records == []
    several.notice(Warned("a", "text"))
    assert len(caplog.records) == 1
