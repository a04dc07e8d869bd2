"""Some recipients of messages, from delivery to delivery: the others are counted, and not read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from postbearer.store.postgres.reads import LOOK, attempts_of, matching, meta, rows_of, words_of
from postbearer.store.postgres.rows import message_of, shown_status
from postbearer.store.records import (
    ATTEMPTS,
    LISTED,
    LONG_ENVELOPE,
    Entry,
    Message,
    Query,
    RecipientPage,
    Row,
    Status,
    first_of,
)
from postbearer.store.rows import FRONT, LEASED, LETTERS, page_envelope

TOGETHER = 16  # deliveries that are read at a time
_PLACE = re.compile(r"([0-9]{1,19})-([0-9]{1,9})")

RecipientPlace = tuple[int, int]  # a delivery, and the place of a recipient in it


async def recipient_page(connection: Any, message: str, now: float, page: RecipientPage) -> Entry | None:
    """The message with a page of its recipients. Raises `UsageError`."""
    retired = (await meta(connection))["retired"]
    head = await connection.fetchrow(LOOK["head"], message, retired, LONG_ENVELOPE, FRONT)
    if head is None:
        return None
    kept, whole = message_of(head), bool(head["envelope"])
    early = kept.waits_for_time(now)
    read, places = await _chosen(connection, head, page, early=early)
    chosen = places[: page.most]
    shown = {number for number, _ in chosen}
    deliveries = [each for each in read if each["number"] in shown]
    outcomes = await connection.fetch(LOOK["outcomes"], [head["slot"]], sorted(shown)) if shown else []
    words = words_of(outcomes)
    by_number = {each["number"]: tuple(rows_of(each, words, early=early)) for each in deliveries}
    rows = tuple(by_number[number][place] for number, place in chosen)
    if not whole:
        kept = _for_some(head, kept, rows)
    counts = await connection.fetch(LOOK["counts"], [head["slot"]], [head["number"]])
    return Entry(
        message=kept,
        rows=rows,
        attempts=attempts_of(deliveries, outcomes)[-ATTEMPTS:],
        counted=_by_state(counts, early=early),
        cursor="{}-{}".format(*chosen[-1]) if chosen and len(places) > len(chosen) else "",
        whole=whole,
    )


async def listed(connection: Any, query: Query, now: float) -> list[Entry]:
    """Messages that fit, oldest first, as `Spool.search` tells them. Raises `UsageError`."""
    heads = await matching(connection, query, now, longest=LONG_ENVELOPE)
    if not heads:
        return []
    messages = [message_of(head) for head in heads]
    slots, numbers = [head["slot"] for head in heads], [head["number"] for head in heads]
    early = [each.waits_for_time(now) for each in messages]
    letters = "".join(LETTERS[each] for each in query.statuses)
    deliveries = await connection.fetch(LOOK["first-deliveries"], slots, numbers, early, letters, LISTED)
    tried = [each["number"] for each in deliveries]
    words = words_of(await connection.fetch(LOOK["said"], sorted(set(slots)), tried))
    of_message = _grouped(deliveries)
    counts = _grouped(await connection.fetch(LOOK["counts"], sorted(set(slots)), numbers))
    entries = []
    for head, kept, waits in zip(heads, messages, early, strict=True):
        number, whole = head["number"], bool(head["envelope"])
        found = [row for each in of_message[number] for row in rows_of(each, words, early=waits)]
        rows = first_of(found, query.statuses)
        counted = _by_state(counts[number], early=waits)
        entries.append(
            Entry(
                message=kept if whole else _for_some(head, kept, rows),
                rows=rows,
                counted=counted if len(rows) < sum(counted.values()) else None,
                whole=whole,
            )
        )
    return entries


def _grouped(rows: Iterable[Any]) -> Mapping[int, Sequence[Any]]:
    """Rows by the number of their message."""
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row["message"]].append(row)
    return found


def _for_some(head: Any, kept: Message, rows: Sequence[Row]) -> Message:
    """The message with an envelope for these of its recipients."""
    return replace(kept, envelope=page_envelope(head["front"].encode(), [row.address for row in rows]))


def _by_state(counts: Iterable[Any], *, early: bool) -> Mapping[Status, int]:
    return {shown_status(row["letter"], early=early): row["count"] for row in counts}


async def _chosen(
    connection: Any, head: Any, page: RecipientPage, *, early: bool
) -> tuple[Sequence[Any], Sequence[RecipientPlace]]:
    """Where the recipients of a page stand, and one of the next, if there is one; with their deliveries."""
    behind: RecipientPlace = (0, -1)
    if page.after:
        found = _PLACE.fullmatch(page.after)
        if found is None or (number := int(found[1])) >= 1 << 63:
            raise page.gone()
        behind = number, int(found[2])
    status = page.status
    if status in (Status.SCHEDULED, Status.READY):
        if (status is Status.SCHEDULED) is not early:
            return [], []
        status = Status.READY
    letter = LETTERS[status] if status is not None else ""
    deliveries: list[Any] = []
    places: list[RecipientPlace] = []
    first = behind[0]
    while len(places) <= page.most:
        asked = head["slot"], head["number"], first, letter, TOGETHER
        some = await connection.fetch(LOOK["page"], *asked)
        for each in some:
            number = each["number"]
            letters = each["states"].translate(_UNDER_WAY) if each["state"] == LEASED else each["states"]
            places += [
                (number, place)
                for place, shown in enumerate(letters)
                if (number, place) > behind and letter in ("", shown)
            ]
        deliveries += some
        if len(some) < TOGETHER:
            break
        first = some[-1]["number"] + 1
    return deliveries, places[: page.most + 1]


_UNDER_WAY = str.maketrans("rd", "ll")
