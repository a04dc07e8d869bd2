"""One message: its way, where each recipient stands, and what can be done."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.queue import ACTS, outcome, target_of
from postbearer.console.timeline import timeline
from postbearer.console.undoing import UndoDraft
from postbearer.console.visit import ConsolePage, Visit
from postbearer.console.wording import OPEN
from postbearer.control import MessageDetail, MessageNews, Right
from postbearer.errors import ConfigError, UsageError
from postbearer.store import SET_ASIDE

PAGE = 100  # recipients
_LONGEST = 100  # characters of an id

Shown = tuple[MessageDetail, MessageNews]


class NoSuchPlace(Exception):
    """The page of recipients goes on behind one that is not there."""


async def show(visit: Visit) -> Response:
    given = visit.request.query_params
    state = given.get("state", "")
    state, after, lost = state if state in SET_ASIDE else "", given.get("after", "")[:_LONGEST], False
    identifier = visit.request.path_params["id"][:_LONGEST]

    async def read(before: Shown | None) -> Shown:
        found = await message(visit, after=after, **({"state": state} if state else {}))
        return found, await visit.perform("queue.news", message=found.id)

    try:
        found, news = await visit.shared(("message", identifier, state, after), read)
    except NoSuchPlace:
        lost, after = True, ""
        found, news = await visit.shared(("message", identifier, state, after), read)
    return visit.page(
        "message.html",
        message=found,
        news=news,
        way=timeline(found, news),
        total=sum(found.counts.values()),
        page=PAGE,
        first=not after,
        lost=lost,
        state=state,
        set_aside=SET_ASIDE,
        is_open=any(found.counts.get(each) for each in OPEN),
        held=bool(found.counts.get("held")),
        acts=ACTS,
        accounts=sorted(visit.services.api.dispatcher.account_states),
    )


async def act(visit: Visit) -> Response:
    """Do something to it, or to one recipient of it; what cannot be undone is asked about first."""
    found, name, address = await message(visit), visit.field("act"), visit.field("address")
    if name not in ACTS:
        raise UsageError("That cannot be done to a message.", hint="Go back, and choose what to do.")
    what = ACTS[name]
    target = target_of(visit, what)
    if what.moves and not target:
        visit.of.say("Nothing was done: choose the account that it is to leave by.", "problem")
        return visit.go(f"/messages/{found.id}")
    if what.asks and not visit.field("confirmed"):
        return visit.page("confirm_message.html", act=what, name=name, message=found, address=address)
    more = {"account": target} if what.moves else {"address": address}
    draft, here = UndoDraft(name, target=target, address=address), f"/messages/{found.id}"
    try:
        before = await draft.look(visit, found.id)
        done = await visit.perform(what.method, message=found.id, **more)
    except (ConfigError, UsageError) as error:
        visit.of.say(f"Nothing was done: {error}", "problem")
        return visit.go(here)
    draft.add(before if done.changed else None)
    visit.of.offer(draft.made(here))
    visit.of.say(outcome(what, bool(done.changed), done.changed, 1), "done" if done.changed else "problem")
    for pause in getattr(done, "paused", ()):
        visit.of.say(
            f"It waits all the same: the account {pause.account} is paused. {pause.remedy}", "problem"
        )
    return visit.go(here)


async def message(visit: Visit, *, after: str = "", **more: str) -> MessageDetail:
    """The message that the path names, with a page of its recipients.

    Raises `HttpProblem` if there is none, and `NoSuchPlace` if there is nobody to go on behind.
    """
    identifier = visit.request.path_params["id"][:_LONGEST]
    try:
        found: MessageDetail = await visit.perform(
            "queue.show", message=identifier, limit=PAGE, after=after, **more
        )
    except UsageError as error:
        if after:
            raise NoSuchPlace from error
        raise HttpProblem(
            "not-found",
            f"There is no message {identifier!r} here.",
            hint="What is done with is forgotten after some days.",
        ) from None
    return found


PAGES = (
    ConsolePage(path="/messages/{id}", needs=Right.LOOK, do=show),
    ConsolePage(path="/messages/{id}/act", needs=Right.OPERATE, do=act, method="POST"),
)
