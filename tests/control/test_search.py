"""What people type to find messages: every word, what is wrong with others, and anything at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.control import WORDS, SearchError, as_search, parse_search, quoted, with_search
from postbearer.errors import UsageError
from postbearer.store import Query, Status

NOW = 1_800_000_000.0


def read(text: str) -> dict[str, Any]:
    return parse_search(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", {}),
        ("  \t\n", {}),
        ("ada@", {"address": "ada@"}),
        ('"Ada Lovelace"', {"address": "Ada Lovelace"}),
        ("0123456789abcdef", {"id": "0123456789abcdef"}),
        ("<x@example.org>", {"message_id": "x@example.org"}),
        ("from:ada to:example.org", {"sender": "ada", "recipient": "example.org"}),
        ("FROM:Ada", {"sender": "Ada"}),
        ("state:held", {"statuses": (Status.HELD,)}),
        ("state:held,Deferred state:held", {"statuses": (Status.HELD, Status.DEFERRED)}),
        ("account:alerts client:printers", {"account": "alerts", "client": "printers"}),
        ("tag:customer:42", {"tags": (("customer", "42"),)}),
        ('tag:kind:"a b" tag:x:', {"tags": (("kind", "a b"), ("x", ""))}),
        ('reply:"mailbox full"', {"reply": "mailbox full"}),
        (r'reply:"a \"b\" \\ c"', {"reply": r'a "b" \ c'}),
        ("id:0q3f", {"id_prefix": "0q3f"}),
        ("message-id:abc@example.org", {"message_id": "abc@example.org"}),
        ("older:2h", {"older_than": NOW - 7200}),
        ('newer:"1h 30m"', {"newer_than": NOW - 5400}),
        ("newer:1970-01-02", {"newer_than": 86400.0}),
        ("older:1970-01-01T00:01:00+00:00", {"older_than": 60.0}),
        ("from:a:b", {"sender": "a:b"}),
        ('"0123456789abcdef"', {"address": "0123456789abcdef"}),
        ("x@example.org state:held", {"address": "x@example.org", "statuses": (Status.HELD,)}),
    ],
)
def test_what_a_search_asks_for(text: str, asked: dict[str, Any]) -> None:
    assert read(text) == asked
    Query(**asked)


@pytest.mark.parametrize(
    ("text", "word", "position", "told"),
    [
        ("state:held frm:ada", "frm:ada", 12, "Did you mean from?"),
        ("state:helt", "state:helt", 1, "Did you mean held?"),
        ("a state:", "state:", 3, "state:deferred,held"),
        ('  reply:"full', 'reply:"full', 3, "Close it"),
        ("ada ben", "ben", 5, "one of each kind"),
        ("from:a from:b", "from:b", 8, "one of each kind"),
        ("older:soon", "older:soon", 1, "ago"),
        ("newer:2026-13-01", "newer:2026-13-01", 1, "is no time there is"),
        ("tag:customer", "tag:customer", 1, "tag:NAME:VALUE"),
        ("subject:", "subject:", 1, "subject:invoice"),
        ("disk: full", "disk:", 1, "in quotes"),
        ('""', '""', 1, "asks for nothing"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, word: str, position: int, told: str) -> None:
    with pytest.raises(SearchError) as wrong:
        read(text)
    assert (wrong.value.word, wrong.value.position) == (word, position)
    assert told in f"{wrong.value.message} {wrong.value.hint}"
    assert f"(at {position})" in wrong.value.message


def test_every_example_can_be_typed() -> None:
    for name, word in WORDS.items():
        assert word.example.startswith(f"{name}:")
        assert read(word.example), name


@given(st.text(max_size=300))
def test_anything_is_a_search_or_says_why_not(text: str) -> None:
    wrong = None
    try:
        Query(**read(text))
    except SearchError as error:
        wrong = error
    if wrong is not None:
        assert 1 <= wrong.position <= max(1, len(text))
        assert text[wrong.position - 1 :].startswith(wrong.word)


@given(
    st.dictionaries(
        st.sampled_from(["from", "to", "account", "client", "subject", "reply"]), st.text(min_size=1)
    )
)
def test_what_is_quoted_comes_back(values: dict[str, str]) -> None:
    fields = {"from": "sender", "to": "recipient"}
    typed = " ".join(f"{name}:{quoted(value)}" for name, value in values.items())
    if len(typed) <= 2000:
        assert read(typed) == {fields.get(name, name): value for name, value in values.items()}


TEXTS = st.text(min_size=1, max_size=20)


@given(
    st.builds(
        Query,
        address=TEXTS,
        sender=TEXTS,
        id_prefix=TEXTS,
        statuses=st.lists(st.sampled_from(list(Status)), unique=True, max_size=3).map(tuple),
        tags=st.just((("a b", 'c "d"'), ("x", ""))),
        newer_than=st.integers(0, 4_000_000_000).map(float),
    )
)
def test_a_query_can_be_typed(query: Query) -> None:
    assert Query(**read(as_search(query))) == query


def test_other_filters_go_along_and_do_not_contradict() -> None:
    given = {"account": "alerts", "client": "", "tags": (("a", "b"),)}
    assert with_search(given, "tag:c:d state:held", now=NOW) == {
        "account": "alerts",
        "tags": (("a", "b"), ("c", "d")),
        "statuses": (Status.HELD,),
    }
    with pytest.raises(UsageError, match="asks for the account, and so does another filter"):
        with_search(given, "account:news", now=NOW)


def test_a_search_is_not_endless() -> None:
    with pytest.raises(SearchError, match="too long"):
        read("a" * 2001)
