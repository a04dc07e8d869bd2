"""Taking back what was just done to messages, by one step: as far as it can be, and only to whom it was done.

What has left meanwhile has left. A cancelled recipient does not come back; while its message is kept here it
can be resent as a new one, which comes to the same for whoever waits for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from postbearer.console.visit import ConsolePage, Visit
from postbearer.console.wording import OPEN, many
from postbearer.control import MessageDetail, RecipientRow, Right
from postbearer.errors import PostbearerError
from postbearer.store import Status

_CHANGEABLE = tuple(each for each in OPEN if each is not Status.LEASED)
_WAITS = tuple(each for each in _CHANGEABLE if each is not Status.HELD)  # and can be held
_ONE_BY_ONE = 100  # recipients of a message that one step names


@dataclass(frozen=True, slots=True)
class UndoStep:
    """One method, and what it is given."""

    method: str
    given: Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What takes back the last act: in words, and step by step. `left_out` messages stay as they are now."""

    label: str
    done: str  # what became of a message, in words
    path: str  # where the act was done from
    steps: tuple[UndoStep, ...]
    messages: int
    left_out: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(8))


_WORDS = {  # what was done → what takes it back, and what is said of it then
    "hold": ("release", "released"),
    "release": ("hold", "held again"),
    "move": ("move back", "moved back"),
    "cancel": ("resend", "resent as new messages"),
}


class UndoDraft:
    """What takes back an act on some messages, put together while it is done to one after the other."""

    def __init__(self, name: str, *, target: str = "", address: str = "") -> None:
        self._name = name
        self._target = target
        self._address = address
        self._steps: list[UndoStep] = []
        self._messages = 0
        self._left_out = 0

    async def look(self, visit: Visit, message: str) -> MessageDetail | None:
        """How a message is before the act; None where that is of no use. Raises `UsageError` for none."""
        if self._name not in _WORDS:
            return None
        found: MessageDetail = await visit.perform("queue.show", message=message, limit=_ONE_BY_ONE)
        return found

    def add(self, before: MessageDetail | None) -> None:
        """The act was done to that one."""
        if before is None:
            return
        steps = tuple(_STEPS[self._name](self, before))
        self._steps += steps
        self._messages += bool(steps)
        self._left_out += not steps

    def made(self, path: str) -> Undo | None:
        """What was put together, for who did it at `path`; None if nothing can be taken back."""
        if not self._steps:
            return None
        label, done = _WORDS[self._name]
        return Undo(
            label=f"{label} {many(self._messages, 'message')}",
            done=done,
            path=path,
            steps=tuple(self._steps),
            messages=self._messages,
            left_out=self._left_out,
        )

    def _chosen(self, before: MessageDetail, states: Sequence[str]) -> list[RecipientRow]:
        """The recipients that the act was done to, of those that are looked at."""
        named = self._address.casefold()
        fit = [row for row in before.recipients if str(row.state) in states]
        return [row for row in fit if named in ("", row.address.casefold())]

    def _by_state(self, method: str, before: MessageDetail, states: Sequence[str]) -> Iterator[UndoStep]:
        """`method` for all of the message, where all that was open changed; else for each that did."""
        rest = sum(before.counts.get(each, 0) for each in _CHANGEABLE if each not in states)
        if not rest and not self._address:
            yield UndoStep(method, {"message": before.id})
        elif not before.cursor:
            for row in self._chosen(before, states):
                yield UndoStep(method, {"message": before.id, "address": row.address})

    def held(self, before: MessageDetail) -> Iterator[UndoStep]:
        return self._by_state("queue.release", before, _WAITS)

    def released(self, before: MessageDetail) -> Iterator[UndoStep]:
        return self._by_state("queue.hold", before, ("held",))

    def moved(self, before: MessageDetail) -> Iterator[UndoStep]:
        """Back to the one account that it came from; of several, nobody could tell whose was whose."""
        came_from = {row.account for row in before.recipients if str(row.state) in _CHANGEABLE}
        if len(came_from) == 1 and not before.cursor and self._target not in came_from:
            yield UndoStep("queue.move", {"message": before.id, "account": came_from.pop()})

    def cancelled(self, before: MessageDetail) -> Iterator[UndoStep]:
        to = tuple(row.address for row in self._chosen(before, _CHANGEABLE))
        if to and not before.cursor and before.sender and not before.report_of:
            yield UndoStep("queue.resend", {"message": before.id, "to": to, "key": secrets.token_urlsafe(16)})


_STEPS: Mapping[str, Callable[[UndoDraft, MessageDetail], Iterator[UndoStep]]] = {
    "hold": UndoDraft.held,
    "release": UndoDraft.released,
    "move": UndoDraft.moved,
    "cancel": UndoDraft.cancelled,
}


async def undo(visit: Visit) -> Response:
    """Take back the last act of this session, once."""
    kept, visit.of.undo = visit.of.undo, None
    if kept is None or kept.id != visit.field("undo"):
        visit.of.say(
            "Nothing was done: that was taken back already, or something else was done since.", "problem"
        )
        return visit.go("/queue")
    problems: dict[str, int] = {}
    done: set[Any] = set()
    for step in kept.steps:
        try:
            answer = await visit.perform(step.method, **step.given)
        except PostbearerError as error:
            problems[str(error)] = problems.get(str(error), 0) + 1
        else:
            if getattr(answer, "changed", 1):
                done.add(step.given["message"])
    if done:
        visit.of.say(
            f"Taken back: {many(len(done), 'message')} {'is' if len(done) == 1 else 'are'} {kept.done}."
        )
    if stay := kept.messages - len(done):
        visit.of.say(
            f"{many(stay, 'message')} could not be taken back: it has left, or has come to its end.",
            "problem",
        )
    for problem, count in list(problems.items())[:3]:
        visit.of.say(f"{problem} ({many(count, 'message')})" if count > 1 else problem, "problem")
    return visit.go(kept.path)


PAGES = (ConsolePage(path="/undo", needs=Right.OPERATE, do=undo, method="POST"),)
