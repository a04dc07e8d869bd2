"""One vocabulary for what becomes of a message, with one image of each word in those of JMAP and anymail."""

from __future__ import annotations

import re
import warnings
from typing import get_args

from house.tree import ROOT
from postbearer.delivery_status import EVENT_TYPES, STATUSES, Word, event_type, word_of
from postbearer.store import Status

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from anymail.message import ANYMAIL_STATUSES
    from anymail.signals import EventType

PAGE = ROOT / "docs" / "reference" / "http-api.md"
JMAP = ("queued", "yes", "no", "unknown")  # RFC 8621 7: "delivered" of a DeliveryStatus
ROW = re.compile(r"\| (?:`message\.|\(none\) )(\w+)`? \| (.*?) ?\| `(\w+)` \| `(\w+)` \| `(\w+)` \|")


def test_every_state_of_the_queue_has_one_word() -> None:
    for status in Status:
        words = {word_of(status, unknown=unknown) for unknown in (False, True)}
        assert words <= STATUSES.keys()
        assert all(STATUSES[word].status is status for word in words)
    assert word_of(Status.DEFERRED, unknown=True) == "unknown"
    assert word_of(Status.HELD, unknown=True) == "held"
    assert list(STATUSES) == list(get_args(Word))


def test_events_tell_what_comes_about_in_the_queue_and_nothing_else() -> None:
    told = [f"message.{word}" for word, each in STATUSES.items() if each.told]
    assert list(EVENT_TYPES) == told
    changes = [each for each in Status if each is not Status.LEASED]  # no row of a recipient says that
    assert {event_type(each, unknown=unknown) for each in changes for unknown in (False, True)} == {*told}


def test_every_word_has_one_image_in_the_words_of_jmap_and_anymail() -> None:
    events = {value for name, value in vars(EventType).items() if name.isupper()}
    for word, each in STATUSES.items():
        assert each.jmap in JMAP, word
        assert each.event in events, word
        assert each.anymail in ANYMAIL_STATUSES, word


def test_nobody_is_told_that_mail_arrived_or_failed_unless_it_did() -> None:
    """A failure is one in all three vocabularies, and what only the provider has accepted is no arrival."""
    for word, each in STATUSES.items():
        failed = word in ("bounced", "failed", "expired", "canceled")
        assert (each.jmap == "no") is failed, word
        assert (each.anymail in ("rejected", "failed", "invalid")) is failed, word
        assert (each.event in ("rejected", "failed", "bounced")) is failed, word
        assert (each.jmap == "yes") is (each.event == "delivered") is (word == "delivered"), word


def _state(word: Word) -> str:
    state = STATUSES[word].status
    return f"`{state}`{', `unknown`' if word == 'unknown' else ''}" if state else ""


def test_the_page_is_the_table() -> None:
    rows = ROW.findall(PAGE.read_text())
    shown = [(word, _state(word), each.jmap, each.event, each.anymail) for word, each in STATUSES.items()]
    assert rows == shown
    assert re.findall(r"^\| `(message\.\w+)` \|", PAGE.read_text(), re.MULTILINE) == list(EVENT_TYPES)
