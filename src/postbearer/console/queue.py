"""The queue: search and filters kept in the address, pages of messages, what is done to chosen ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from postbearer.console.snapshot import Snapshot
from postbearer.console.undoing import UndoDraft
from postbearer.console.visit import ConsolePage, Visit
from postbearer.console.wording import STATES, many
from postbearer.control import SUBJECTS, WORDS, MessageSummary, Page, Right, quoted, with_search
from postbearer.errors import PostbearerError, UsageError
from postbearer.tags import parse_tag

PAGE = 50  # messages
MOST_CHOSEN = 1000
_MOST_SUGGESTED = 100  # of each kind
_LONGEST = 300  # characters of what is searched for
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
    moves: bool = False  # whether it needs an account
    after: str = ""  # whether it can be taken back, where it is asked about


ACTS: Mapping[str, QueueAction] = {
    "retry": QueueAction(
        "queue.retry", "Retry now", "Try at once what would be tried later.", "is tried now"
    ),
    "hold": QueueAction("queue.hold", "Hold", "Keep it here until it is released.", "is held"),
    "release": QueueAction("queue.release", "Release", "Let go what was held.", "is released"),
    "cancel": QueueAction(
        "queue.cancel",
        "Cancel",
        "Give up what has not left; nobody is told.",
        "is cancelled",
        True,
        after="It does not come back; while it is kept here it can be resent, as a new message.",
    ),
    "move": QueueAction(
        "queue.move", "Send through", "Have it leave by another account.", "is moved", moves=True
    ),
}
VIEWS = (  # a title, and the state that it shows
    ("All", ""),
    ("Waiting", "ready"),
    ("Will retry", "deferred"),
    ("Held", "held"),
    ("Failed", "failed"),
    ("Sent", "delivered"),
)


class Filter(NamedTuple):
    """What the address asks for."""

    q: str = ""  # words of a search
    state: str = ""
    account: str = ""
    client: str = ""
    tag: str = ""  # NAME:VALUE
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
        """As parameters of ``queue.list``; spans of time count back from `now`. Raises `UsageError`."""
        asked: dict[str, Any] = {"account": self.account, "client": self.client}
        if self.state:
            asked["statuses"] = (self.state,)
        if self.tag:
            asked["tags"] = (parse_tag(self.tag),)
        if self.accepted:
            asked["newer_than"] = now - AGES[self.accepted][1]
        return with_search(asked, self.q, now=now)


class Line(NamedTuple):
    """A message in the list: how many of its recipients are in each state, and why it has not left.

    That is told of the first recipients, and of all how many they are.
    """

    message: MessageSummary
    states: Mapping[str, int]
    recipients: int
    why: str
    due: float | None

    @classmethod
    def of(cls, message: MessageSummary) -> Line:
        counts = message.counts
        open_ = [each for each in message.recipients if each.state in _WAITS] or message.recipients
        why = next((text for each in open_ if (text := each.waits or each.cause)), "")
        due = min((each.due for each in open_ if each.due is not None), default=None)
        states = {state: counts[state] for state in STATES if state in counts}
        return cls(message, states, sum(counts.values()), why, due)


async def show(visit: Visit) -> Response:
    given = visit.request.query_params
    filter_ = Filter.of(given)
    after, lost = given.get("after", "")[:_LONGEST], False
    look, wrong = await visit.look(), None
    try:
        asked = filter_.query(visit.now) | {"limit": PAGE}
    except UsageError as error:
        page, wrong = Page(messages=(), more=False, limit=PAGE), error
    else:
        try:
            page = await _page(visit, filter_, asked, after)
        except UsageError:
            lost, after = True, ""
            page = await _page(visit, filter_, asked, after)
    return visit.page(
        "queue.html",
        422 if wrong else 200,
        filter=filter_,
        wrong=wrong,
        views=[(title, filter_._replace(state=state)) for title, state in VIEWS],
        words=WORDS,
        subjects=SUBJECTS,
        suggestions=list(_suggestions(visit, look, page)),
        lines=[Line.of(each) for each in page.messages],
        page=page,
        first=not after,
        lost=lost,
        look=look,
        accounts=[each.name for each in look.accounts],
        ages=AGES,
        acts=ACTS,
    )


async def _page(visit: Visit, filter_: Filter, asked: Mapping[str, Any], after: str) -> Page:
    """Messages behind one, as all see them who look at the same. Raises `UsageError`."""

    async def read(before: Page | None) -> Page:
        page: Page = await visit.perform("queue.list", **asked, after=after)
        return page

    return await visit.shared(("queue", filter_, after), read)


def _suggestions(visit: Visit, look: Snapshot, page: Page) -> Iterator[tuple[str, str]]:
    """Words that may be meant, and what each finds: what is configured, and the tags on the page."""
    for name, word in WORDS.items():
        yield f"{name}:", word.meaning
    for state, known in STATES.items():
        yield f"state:{state}", known.meaning
    for account in look.accounts[:_MOST_SUGGESTED]:
        yield f"account:{quoted(account.name)}", "of this account"
    for client in visit.services.api.access.clients[:_MOST_SUGGESTED]:
        yield f"client:{quoted(client.name)}", "of this client"
    tags = {(name, each) for message in page.messages for name, some in message.tags.items() for each in some}
    for name, value in sorted(tags)[:_MOST_SUGGESTED]:
        yield f"tag:{quoted(f'{name}:{value}')}", "with this tag"
    for span in ("1h", "24h", "7d"):
        yield f"newer:{span}", "accepted since then"
        yield f"older:{span}", "accepted before that"


async def act(visit: Visit) -> Response:
    """Do something to the chosen messages: asked about first, and done once that is confirmed."""
    name, chosen = visit.field("act"), list(dict.fromkeys(visit.form.get("message", ())))[:MOST_CHOSEN]
    back = Filter.of({each: visit.field(each) for each in Filter._fields})
    if name not in ACTS:
        raise UsageError("That cannot be done to messages.", hint="Go back, and choose what to do.")
    if not chosen:
        visit.of.say("Nothing was done: choose messages first.", "problem")
        return _back(visit, back)
    if not (target := target_of(visit, ACTS[name])) and ACTS[name].moves:
        visit.of.say("Nothing was done: choose the account that they are to leave by.", "problem")
        return _back(visit, back)
    if not visit.field("confirmed"):
        return visit.page(
            "confirm.html", act=ACTS[name], name=name, chosen=chosen, filter=back, target=target
        )
    draft = UndoDraft(name, target=target)
    await _do(visit, ACTS[name], chosen, {"account": target} if target else {}, draft)
    visit.of.offer(draft.made(_place(back)))
    return _back(visit, back)


def target_of(visit: Visit, what: QueueAction) -> str:
    """The account that the form names to move messages to; empty where the act needs none."""
    return visit.field("target").strip()[:_LONGEST] if what.moves else ""


async def _do(
    visit: Visit, what: QueueAction, chosen: Sequence[str], more: Mapping[str, str], draft: UndoDraft
) -> None:
    """One after the other; what cannot be done to one of them is told, and the others go on."""
    done = recipients = 0
    problems: dict[str, int] = {}
    for message in chosen:
        try:
            before = await draft.look(visit, message)
            changed = (await visit.perform(what.method, message=message, **more)).changed
        except PostbearerError as error:
            problems[str(error)] = problems.get(str(error), 0) + 1
        else:
            done += bool(changed)
            recipients += changed
            draft.add(before if changed else None)
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
    return visit.go(_place(to))


def _place(of: Filter) -> str:
    return f"/queue?{of.address}" if of.address else "/queue"


PAGES = (
    ConsolePage(path="/queue", needs=Right.LOOK, do=show),
    ConsolePage(path="/queue/act", needs=Right.OPERATE, do=act, method="POST"),
)
