"""Whose turn it is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from postbearer.engine.lanes import LaneScheduler, RoundRobin
from postbearer.store import Lane, Priority


def lane(account: str = "a", priority: Priority = Priority.NORMAL, client: str = "c", due: float = 0) -> Lane:
    return Lane(account=account, priority=priority, client=client, due=due)


def serve(rota: LaneScheduler, lanes: list[Lane], turns: int, size: int = 1) -> list[Lane]:
    served = []
    for _ in range(turns):
        chosen = rota.next(lanes)
        assert chosen is not None
        rota.took(chosen, size)
        served.append(chosen)
    return served


def test_nothing_due_nothing_chosen() -> None:
    assert LaneScheduler().next([]) is None


def test_accounts_take_turns() -> None:
    served = serve(LaneScheduler(), [lane("a"), lane("b"), lane("c")], 9)
    assert [each.account for each in served] == list("abcabcabc")


def test_inside_an_account_the_more_urgent_goes_first() -> None:
    lanes = [lane(priority=Priority.BULK, due=-100), lane(priority=Priority.URGENT), lane()]
    assert {each.priority for each in serve(LaneScheduler(), lanes, 5)} == {Priority.URGENT}


def test_urgent_mail_of_one_account_takes_no_turns_of_another() -> None:
    served = serve(LaneScheduler(), [lane("a", Priority.URGENT), lane("b", Priority.BULK)], 10)
    assert Counter(each.account for each in served) == {"a": 5, "b": 5}


def test_who_sends_to_many_at_a_time_has_fewer_turns() -> None:
    rota, served = LaneScheduler(), Counter[str]()
    for _ in range(110):
        chosen = rota.next([lane(client="many"), lane(client="one")])
        assert chosen is not None
        rota.took(chosen, 10 if chosen.client == "many" else 1)
        served[chosen.client] += 1
    assert served == {"many": 10, "one": 100}


def test_several_claimed_at_once_are_shared_as_if_they_were_claimed_one_by_one() -> None:
    rota, lanes = LaneScheduler(), [lane(client="behind"), lane(client="ahead"), lane(client="new")]
    for _ in range(3):
        rota.took(lanes[1], 1)
    shares = rota.shares(lanes, 10)
    assert {each.client: share for each, share in shares.items()} == {"behind": 4, "new": 3, "ahead": 3}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 12))
def test_shares_are_what_single_turns_would_have_been(had: list[int], most: int) -> None:
    lanes = [lane(client=f"c{number}") for number in range(len(had))]
    shared, single = LaneScheduler(), LaneScheduler()
    for rota in (shared, single):
        for each, amount in zip(lanes, had, strict=True):
            rota.took(each, amount)
    assert Counter(shared.shares(lanes, most)) == Counter(serve(single, lanes, most))


def test_who_was_away_does_not_catch_up() -> None:
    turns: RoundRobin[str] = RoundRobin()
    for _ in range(100):
        turns.took("a")
    first = []
    for _ in range(10):
        first.append(turns.next("ab"))
        turns.took(first[-1])
    assert Counter(first) == {"a": 5, "b": 5}


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True), st.integers(1, 200))
def test_among_those_who_always_wait_nobody_is_ahead_by_more_than_one(names: list[str], turns: int) -> None:
    served = Counter(dict.fromkeys(names, 0))
    served.update(
        each.client for each in serve(LaneScheduler(), [lane(client=name) for name in names], turns)
    )
    assert max(served.values()) - min(served.values()) <= 1
