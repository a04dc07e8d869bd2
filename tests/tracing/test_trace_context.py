"""W3C Trace Context is read strictly, and what cannot be read belongs to no trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.trace_context import LONGEST, TraceContext, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"  # of the recommendation's own examples


def test_a_traceparent_says_where_in_a_trace() -> None:
    found = parse([PARENT], ["congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"])
    assert found == TraceContext(PARENT, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert (found.trace_id, found.span_id, found.sampled) == (int(TRACE, 16), int(SPAN, 16), True)
    other = parse([f"00-{TRACE}-{SPAN}-00"])
    assert other is not None
    assert not other.sampled


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [""],
        [PARENT, PARENT],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [PARENT.upper()],
        [f"{PARENT}-more"],
        [f"{PARENT}\r\nX: y"],
        [f"{PARENT}\n"],
        [PARENT[:-1]],
        [f"0-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-0١"],
        [f"00_{TRACE}_{SPAN}_01"],
        [f"01-{TRACE}-{SPAN}-01more"],
        [f"01-{TRACE}-{SPAN}-01-\x00"],
    ],
)
def test_what_is_none_is_none(fields: list[str]) -> None:
    assert parse(fields) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse([f" cc-{TRACE}-{SPAN}-01-what-the-future-brings\t"]) == TraceContext(PARENT)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (["a=1"], "a=1"),
        (["a=1", "b=2, c=3"], "a=1,b=2,c=3"),
        (["a=1,,", " , b=2"], "a=1,b=2"),
        (["fw529a3039@dt=FfAAAA==x", "9tenant@sys=1"], ""),  # = is no character of a value
        (["9tenant@sys=1"], "9tenant@sys=1"),
        (["a=1,a=2"], ""),
        (["A=1"], ""),
        (["a"], ""),
        (["a="], ""),
        (["a=1 "], "a=1"),
        (["a=é"], ""),
        (["a=1\r\nX: y"], ""),
        ([",".join(f"k{number}=1" for number in range(32))], ",".join(f"k{n}=1" for n in range(32))),
        ([",".join(f"k{number}=1" for number in range(33))], ""),
        ([f"a={'x' * 256}"], f"a={'x' * 256}"),
        ([f"a={'x' * 257}"], ""),
        ([f"a={'x' * 256}", f"b={'x' * 256}"], ""),
    ],
)
def test_a_state_that_is_not_well_formed_is_left_out(fields: list[str], kept: str) -> None:
    assert parse([PARENT], fields) == TraceContext(PARENT, kept)


@given(st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(max_size=700), max_size=3))
def test_whatever_comes_what_is_kept_is_read_again_the_same(parents: list[str], states: list[str]) -> None:
    found = parse(parents, states)
    assert found is None
    found = parse([PARENT], states)
    assert found is not None
    assert found == parse([found.traceparent], [found.tracestate])
    assert len(found.tracestate) <= LONGEST
    assert found.tracestate.isprintable()


def test_an_envelope_takes_no_traceparent_that_is_none() -> None:
    assert Envelope("", Envelope.of("", ["a@example.org"]).recipients, traceparent=PARENT)
    with pytest.raises(UsageError, match="traceparent"):
        Envelope("", Envelope.of("", ["a@example.org"]).recipients, traceparent="00-1-2-3")
