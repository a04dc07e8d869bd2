"""Tags: what one may be, and how many a message may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import UsageError
from postbearer.tags import LONGEST, LONGEST_NAME, LONGEST_VALUE, MOST, make_tags, parse_tag


def test_they_come_in_order_and_each_once() -> None:
    given = [("kind", "b"), ("customer", "42"), ("kind", "a"), ("kind", "b")]
    assert make_tags(given) == (("customer", "42"), ("kind", "a"), ("kind", "b"))


def test_a_value_may_hold_what_a_name_may_not() -> None:
    assert parse_tag("link:https://example.org/a b") == ("link", "https://example.org/a b")
    assert parse_tag("empty:") == ("empty", "")
    assert parse_tag("größe:ganz groß") == ("größe", "ganz groß")


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (("", "x"), "name of a tag"),
        ((" x", "y"), "name of a tag"),
        (("a:b", "y"), "name of a tag"),
        (("x" * (LONGEST_NAME + 1), "y"), "name of a tag"),
        (("x", "y" * (LONGEST_VALUE + 1)), "characters"),
        (("x", "a\r\nb"), "control"),
        (("x\0", "a"), "control"),
        (("x", "a\u2028b"), "printed|control"),
        (("x", "\u202eb"), "printed"),
        (("x", "\udc80"), "UTF-8"),
        (("x", "\ud800"), "control|printed"),
    ],
)
def test_what_is_no_tag(pair: tuple[str, str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        make_tags([pair])


def test_too_many_and_too_long_in_all() -> None:
    assert len(make_tags((f"n{number}", "x") for number in range(MOST))) == MOST
    with pytest.raises(UsageError, match="51 tags"):
        make_tags((f"n{number}", "x") for number in range(MOST + 1))
    with pytest.raises(UsageError, match=f"may have {LONGEST}"):
        make_tags((f"n{number}", "x" * LONGEST_VALUE) for number in range(11))


def test_a_name_alone_is_no_tag() -> None:
    with pytest.raises(UsageError, match="with its value"):
        parse_tag("customer")


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5))))
def test_whatever_is_taken_can_be_written_and_read(pairs: list[tuple[str, str]]) -> None:
    try:
        tags = make_tags(pairs)
    except UsageError:
        return
    assert [parse_tag(f"{name}:{value}") for name, value in tags] == list(tags)
    assert make_tags(tags) == tags
