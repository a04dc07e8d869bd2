"""The way of a message: accepted once, then a branch for each part that leaves by itself. Pure.

A branch is a delivery with its attempts, and ends in the fates of its recipients. Those that were not tried
yet are one branch for each account. What people did stands where it happened, if there is one branch only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from postbearer.console.wording import OPEN
from postbearer.control import AttemptRow, AuditRow, MessageDetail, MessageNews, RecipientRow

NAMED = 3  # recipients of one fate that are named
_ACTS: Mapping[str, str] = {
    "hold": "Held",
    "release": "Released",
    "retry": "Tried at once",
    "cancel": "Cancelled",
    "move": "Moved",
    "resend": "Sent again",
    "read": "Read",
}


class TimelineAct(NamedTuple):
    """Something that a person did. `anew` is the id of the message that came of it, if one did."""

    at: float
    title: str
    row: AuditRow
    anew: str = ""


class TimelineFate(NamedTuple):
    """Recipients of whom the same is known; the first ones are named. `due`: when they are tried next."""

    state: str
    addresses: Sequence[str]
    others: int
    row: RecipientRow
    due: float | None

    @property
    def look(self) -> str:
        """How its place in the drawing looks."""
        if self.state in OPEN:
            return "busy" if self.state == "leased" else "wait"
        return {"delivered": "good", "cancelled": "off"}.get(self.state, "bad")


class TimelineBranch(NamedTuple):
    """What leaves together. `steps` are attempts, and acts between them."""

    account: str
    recipients: int
    steps: Sequence[AttemptRow | TimelineAct]
    fates: Sequence[TimelineFate]


class Timeline(NamedTuple):
    """All of it; `acts` are those that stand in no branch."""

    acts: Sequence[TimelineAct]
    branches: Sequence[TimelineBranch]


def timeline(message: MessageDetail, news: MessageNews) -> Timeline:
    """The way of those recipients that `message` tells of."""
    branches = list(_branches(message))
    acts = [_act(row) for row in news.acts]
    if len(branches) != 1:
        return Timeline(acts, branches)
    [one] = branches
    steps = sorted(
        [*one.steps, *acts], key=lambda step: step.at if isinstance(step, TimelineAct) else step.began
    )
    return Timeline((), [one._replace(steps=steps)])


def _branches(message: MessageDetail) -> Iterator[TimelineBranch]:
    tried: dict[str, list[AttemptRow]] = {}
    for attempt in message.attempts:
        tried.setdefault(attempt.delivery, []).append(attempt)
    branches: dict[tuple[str, str], list[RecipientRow]] = {}
    for row in message.recipients:
        branches.setdefault((row.account, row.delivery if row.delivery in tried else ""), []).append(row)
    for (account, delivery), rows in branches.items():
        yield TimelineBranch(account, len(rows), tried.get(delivery, ()), list(_fates(rows)))


def _fates(rows: Iterable[RecipientRow]) -> Iterator[TimelineFate]:
    def known(row: RecipientRow) -> tuple[str, str, str, bool]:
        return str(row.state), row.reply, row.cause, row.unknown

    for (state, *_), same in groupby(sorted(rows, key=known), known):
        some = list(same)
        due = min((row.due for row in some if row.due is not None), default=None)
        named = [row.address for row in some[:NAMED]]
        yield TimelineFate(state, named, len(some) - len(named), some[0], due)


def _act(row: AuditRow) -> TimelineAct:
    title = _ACTS.get(row.action, row.action)
    anew = row.detail.removeprefix("as ") if row.action == "resend" and not row.result else ""
    return TimelineAct(row.at, title if not row.result else f"Not done: {row.action}", row, anew)
