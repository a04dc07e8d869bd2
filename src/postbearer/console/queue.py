"""The queue: search and filters kept in the address, pages of messages, what is done to chosen ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from postbearer.console.visit import ConsolePage, Visit
from postbearer.console.wording import STATES, many
from postbearer.control import MessageSummary, Page, Right
from postbearer.errors import PostbearerError, UsageError

PAGE = 50  # messages
MOST_CHOSEN = 1000
_LONGEST = 300  # characters of what is searched for
_ID = re.compile(r"[0-9a-z]{16}")
_WAITS = ("scheduled", "ready", "leased", "deferred", "held")
AGES: Mapping[str, tuple[str, float]] = {  # name → what it is called, seconds
    "hour": ("in the last hour", 3600.0),
    "day": ("in the last 24 hours", 86_400.0),
    "week": ("in the last 7 days", 604_800.0),
}


class QueueAction(NamedTuple):
    """What can be done to messages: its method, its words, and what it means."""

    method: str
    label: str
    meaning: str
    done: str
    asks: bool = False  # whether it is asked about even for one message


ACTS: Mapping[str, QueueAction] = {
    "retry": QueueAction(
        "queue.retry", "Retry now", "Try at once what would be tried later.", "is tried now"
    ),
    "hold": QueueAction("queue.hold", "Hold", "Keep it here until it is released.", "is held"),
    "release": QueueAction("queue.release", "Release", "Let go what was held.", "is released"),
    "cancel": QueueAction(
        "queue.cancel", "Cancel", "Give up what has not left; nobody is told.", "is cancelled", True
    ),
}


class Filter(NamedTuple):
    """What the address asks for."""

    q: str = ""  # a part of an address, an id, or a Message-ID
    state: str = ""
    account: str = ""
    client: str = ""
    accepted: str = ""  # one of `AGES`

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filter:
        found = cls(**{name: given.get(name, "").strip()[:_LONGEST] for name in cls._fields})
        return found._replace(
            state=found.state if found.state in STATES else "",
            accepted=found.accepted if found.accepted in AGES else "",
        )

    @property
    def address(self) -> str:
        """As the query of an address."""
        return urlencode({name: value for name, value in self._asdict().items() if value})

    def query(self, now: float) -> dict[str, Any]:
        """As parameters of ``queue.list``."""
        asked: dict[str, Any] = {"account": self.account, "client": self.client}
        if self.state:
            asked["statuses"] = (self.state,)
        if self.accepted:
            asked["newer_than"] = now - AGES[self.accepted][1]
        if _ID.fullmatch(self.q):
            asked["id"] = self.q
        elif self.q.startswith("<"):
            asked["message_id"] = self.q.strip("<>")
        else:
            asked["address"] = self.q
        return asked


class Line(NamedTuple):
    """A message in the list: how many of its recipients are in each state, and why it has not left."""

    message: MessageSummary
    states: Mapping[str, int]
    why: str
    due: float | None

    @classmethod
    def of(cls, message: MessageSummary) -> Line:
        found = Counter(str(each.state) for each in message.recipients)
        open_ = [each for each in message.recipients if each.state in _WAITS] or message.recipients
        why = next((text for each in open_ if (text := each.waits or each.cause)), "")
        due = min((each.due for each in open_ if each.due is not None), default=None)
        return cls(message, {state: found[state] for state in STATES if state in found}, why, due)


async def show(visit: Visit) -> Response:
    given = visit.request.query_params
    filter_ = Filter.of(given)
    after, lost = given.get("after", "")[:_LONGEST], False
    asked = filter_.query(visit.now) | {"limit": PAGE}
    try:
        page: Page = await visit.perform("queue.list", **asked, after=after)
    except UsageError:
        lost, after = True, ""
        page = await visit.perform("queue.list", **asked)
    look = await visit.look()
    return visit.page(
        "queue.html",
        filter=filter_,
        lines=[Line.of(each) for each in page.messages],
        page=page,
        first=not after,
        lost=lost,
        look=look,
        accounts=[each.name for each in look.accounts],
        ages=AGES,
        acts=ACTS,
    )


async def act(visit: Visit) -> Response:
    """Do something to the chosen messages: asked about first, and done once that is confirmed."""
    name, chosen = visit.field("act"), list(dict.fromkeys(visit.form.get("message", ())))[:MOST_CHOSEN]
    back = Filter.of({each: visit.field(each) for each in Filter._fields})
    if name not in ACTS:
        raise UsageError("That cannot be done to messages.", hint="Go back, and choose what to do.")
    if not chosen:
        visit.of.say("Nothing was done: choose messages first.", "problem")
        return _back(visit, back)
    if not visit.field("confirmed"):
        return visit.page("confirm.html", act=ACTS[name], name=name, chosen=chosen, filter=back)
    await _do(visit, ACTS[name], chosen)
    return _back(visit, back)


async def _do(visit: Visit, what: QueueAction, chosen: Sequence[str]) -> None:
    """One after the other; what cannot be done to one of them is told, and the others go on."""
    done = recipients = 0
    problems: dict[str, int] = {}
    for message in chosen:
        try:
            changed = (await visit.perform(what.method, message=message)).changed
        except PostbearerError as error:
            problems[str(error)] = problems.get(str(error), 0) + 1
        else:
            done += bool(changed)
            recipients += changed
    visit.of.say(outcome(what, done, recipients, len(chosen)), "done" if done else "problem")
    for problem, count in list(problems.items())[:3]:
        visit.of.say(f"{problem} ({many(count, 'message')})" if count > 1 else problem, "problem")


def outcome(what: QueueAction, done: int, recipients: int, chosen: int) -> str:
    """What became of it, as a sentence."""
    if not done:
        one = "The message has" if chosen == 1 else "None of the messages has"
        return f"Nothing was changed. {one} a recipient to which this can be done now."
    rest = f" Of {many(chosen - done, 'other message')} nothing could be changed." if done < chosen else ""
    plural = what.done if done == 1 else what.done.replace("is ", "are ", 1)
    return f"{many(done, 'message')} {plural} ({many(recipients, 'recipient')}).{rest}"


def _back(visit: Visit, to: Filter) -> Response:
    return visit.go(f"/queue?{to.address}" if to.address else "/queue")


PAGES = (
    ConsolePage(path="/queue", needs=Right.LOOK, do=show),
    ConsolePage(path="/queue/act", needs=Right.OPERATE, do=act, method="POST"),
)
