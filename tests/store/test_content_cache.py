"""What was accepted a moment ago is at hand, within bounds."""

from __future__ import annotations

from postbearer.envelope import Envelope
from postbearer.store import Message
from postbearer.store.content_cache import EACH, LONGEST, ContentCache


def message(identifier: str) -> Message:
    return Message(
        id=identifier,
        accepted=0.0,
        client="app",
        envelope=Envelope.of("app@example.org", ["anna@example.net"]),
        received="",
        size=100,
        sha256="",
        expires=1.0,
    )


def test_a_message_is_found_by_its_number_and_its_content_by_its_id() -> None:
    recent, first = ContentCache(), message("m1")
    recent.add(1, first, b"hello", now=0.0)
    assert recent.message(1) is first
    assert recent.content("m1") == b"hello"
    assert recent.message(2) is None
    assert recent.content("m2") == b""


def test_what_was_dropped_is_gone_and_its_room_is_free() -> None:
    recent = ContentCache(most=EACH + 100)
    recent.add(1, message("m1"), b"x" * 100, now=0.0)
    recent.drop("m1")
    recent.drop("m1")
    assert recent.message(1) is None
    recent.add(2, message("m2"), b"x" * 100, now=0.0)
    assert recent.content("m2") == b"x" * 100


def test_those_that_came_first_stay_because_they_are_sent_first() -> None:
    recent = ContentCache(most=2 * (EACH + 100))
    for number in (1, 2, 3):
        recent.add(number, message(f"m{number}"), b"x" * 100, now=0.0)
    assert [recent.content(f"m{number}") for number in (1, 2, 3)] == [b"x" * 100, b"x" * 100, b""]


def test_those_that_stay_for_long_make_room() -> None:
    recent = ContentCache(most=2 * (EACH + 100))
    recent.add(1, message("m1"), b"x" * 100, now=0.0)
    recent.add(2, message("m2"), b"x" * 100, now=LONGEST)
    recent.add(3, message("m3"), b"x" * 100, now=LONGEST + 0.1)
    assert [recent.content(f"m{number}") for number in (1, 2, 3)] == [b"", b"x" * 100, b"x" * 100]


def test_what_is_too_large_drives_nobody_out() -> None:
    recent = ContentCache(most=EACH + 100)
    recent.add(1, message("m1"), b"x" * 100, now=0.0)
    recent.add(2, message("m2"), b"x" * 101, now=0.0)
    assert recent.content("m1") == b"x" * 100
