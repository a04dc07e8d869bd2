"""The connections of a mailbox are shared out evenly, by turns, and never more than there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.state import Claimant, allotted

NOW = 1000.0


def one(held: int, wanted: int, since: float = 990.0, *, alone: bool = False) -> Claimant:
    return Claimant(held=held, wanted=wanted, since=since, alone=alone)


@pytest.mark.parametrize(
    ("claimants", "most", "expected"),
    [
        ([one(0, 3)], 3, [3]),
        ([one(3, 3), one(0, 3)], 3, [2, 1]),  # both have some, and who had them first the odd one
        ([one(3, 3), one(0, 1), one(0, 2)], 3, [1, 1, 1]),
        ([one(2, 2), one(0, 0)], 2, [2, 0]),
        ([one(1, 1), one(0, 1)], 1, [1, 0]),  # it is its turn
        ([one(1, 1, since=900.0), one(0, 1)], 1, [0, 1]),  # which is over
        ([one(1, 1), one(0, 1, alone=True)], 1, [0, 1]),  # sooner, where nobody else sends that mail
        ([one(1, 1, since=999.0), one(0, 1, alone=True)], 1, [1, 0]),
        ([one(1, 1, since=900.0), one(0, 1, since=980.0), one(0, 1, since=970.0)], 1, [0, 0, 1]),
        ([one(1, 1, since=900.0)], 1, [1]),  # nobody waits
    ],
)
def test_who_gets_how_many(claimants: list[Claimant], most: int, expected: list[int]) -> None:
    assert allotted(claimants, most, NOW) == expected


CLAIMANTS = st.lists(
    st.builds(
        one,
        st.integers(0, 4),
        st.integers(0, 4),
        st.floats(0, NOW),
        alone=st.booleans(),
    ),
    max_size=6,
)


@given(CLAIMANTS, st.integers(1, 8))
def test_all_are_given_out_to_those_that_want_them_and_evenly(claimants: list[Claimant], most: int) -> None:
    found = allotted(claimants, most, NOW)
    assert sum(found) == min(most, sum(each.wanted for each in claimants))
    for each, count in zip(claimants, found, strict=True):
        assert count <= each.wanted
        if count < each.wanted:
            assert max(found) <= count + 1
