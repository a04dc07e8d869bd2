"""One message: where each recipient stands, what was tried and answered, and what can be done."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.queue import ACTS, outcome, target_of
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import MessageDetail, Right
from postbearer.errors import ConfigError, UsageError

PAGE = 100  # recipients
_OPEN = ("scheduled", "ready", "leased", "deferred", "held")
_LONGEST = 100  # characters of an id


async def show(visit: Visit) -> Response:
    found = await message(visit)
    first = _number(visit.request.query_params.get("from", ""))
    first = min(first, max(0, len(found.recipients) - 1)) // PAGE * PAGE
    states = [str(each.state) for each in found.recipients]
    return visit.page(
        "message.html",
        message=found,
        recipients=found.recipients[first : first + PAGE],
        first=first,
        page=PAGE,
        counts={state: states.count(state) for state in dict.fromkeys(states)},
        is_open=any(state in _OPEN for state in states),
        held="held" in states,
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
    try:
        done = await visit.perform(what.method, message=found.id, **more)
    except (ConfigError, UsageError) as error:
        visit.of.say(f"Nothing was done: {error}", "problem")
        return visit.go(f"/messages/{found.id}")
    visit.of.say(outcome(what, bool(done.changed), done.changed, 1), "done" if done.changed else "problem")
    for pause in getattr(done, "paused", ()):
        visit.of.say(
            f"It waits all the same: the account {pause.account} is paused. {pause.remedy}", "problem"
        )
    return visit.go(f"/messages/{found.id}")


async def message(visit: Visit) -> MessageDetail:
    """The message that the path names. Raises `HttpProblem` if there is none."""
    identifier = visit.request.path_params["id"][:_LONGEST]
    try:
        found: MessageDetail = await visit.perform("queue.show", message=identifier)
    except UsageError:
        raise HttpProblem(
            "not-found",
            f"There is no message {identifier!r} here.",
            hint="What is done with is forgotten after some days.",
        ) from None
    return found


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


PAGES = (
    ConsolePage(path="/messages/{id}", needs=Right.LOOK, do=show),
    ConsolePage(path="/messages/{id}/act", needs=Right.OPERATE, do=act, method="POST"),
)
