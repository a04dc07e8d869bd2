"""The tables themselves: complete, and free of dead ends."""

from __future__ import annotations

import pytest

from postbearer.wire import ClientState, Rset
from postbearer.wire.state import ANSWERED, LAST_IN_FLIGHT, MAY_SEND, Turn

STATES = list(ClientState)
ENDS = {ClientState.CLOSING, ClientState.ERROR}


def names(turns: frozenset[Turn] | set[Turn]) -> list[str]:
    return sorted(turn.__name__ for turn in turns)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_every_state_has_its_rows(state: ClientState) -> None:
    assert state in MAY_SEND
    assert state in ANSWERED


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_whatever_may_be_sent_can_be_answered(state: ClientState) -> None:
    answered = {turn for turn, digit in ANSWERED[state] if digit in (2, 3)}
    assert (
        names(MAY_SEND[state] - answered - {turn for turn in MAY_SEND[state] if turn.__name__ == "Quit"})
        == []
    )


def test_every_state_is_reached_and_every_state_but_the_ends_is_left() -> None:
    reached = {ClientState.GREETING}
    while more := {after for state in reached for after in ANSWERED[state].values()} - reached:
        reached |= more
    assert reached == set(STATES) - ENDS
    left_by_answer = {state for state in STATES if set(ANSWERED[state].values()) - {state}}
    assert set(STATES) - ENDS - left_by_answer == {ClientState.REFUSED, ClientState.TLS}  # QUIT, TLS


def test_rset_leads_out_of_every_transaction() -> None:
    for state in STATES:
        if Rset in MAY_SEND[state]:
            assert ANSWERED[state][Rset, 2] is ClientState.READY


def test_what_must_be_last_in_a_flight() -> None:
    assert names(LAST_IN_FLIGHT) == [
        "Auth",
        "AuthResponse",
        "Data",
        "Ehlo",
        "Greeting",
        "Noop",
        "Quit",
        "StartTls",
    ]
