"""Webhooks: whether each arrives, why not, and what was sent already sent once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from postbearer.console.visit import ConsolePage, Visit
from postbearer.console.wording import many
from postbearer.control import Right, WebhookTested
from postbearer.errors import PostbearerError, UsageError

SPANS: Mapping[str, tuple[str, float]] = {  # name → what it is called, seconds
    "hour": ("of the last hour", 3600.0),
    "day": ("of the last 24 hours", 86_400.0),
    "all": ("of all that is kept", 31 * 86_400.0),
}
_LONGEST = 100  # characters of an id


async def listed(visit: Visit) -> Response:
    return visit.page("webhooks.html", webhooks=await visit.perform("webhooks.list"), spans=SPANS)


async def act(visit: Visit) -> Response:
    """Test one, enable it again, or send something to it once more."""
    name, what = visit.request.path_params["name"][:1000], visit.field("act")
    try:
        if what == "test":
            tested: WebhookTested = await visit.perform("webhooks.test", name=name)
            visit.of.say(*_tested(tested))
        elif what == "enable":
            await visit.perform("webhooks.enable", name=name)
            visit.of.say(f"{name} is called again; all that waited for it is sent now.")
        elif what == "replay":
            done = await visit.perform("webhooks.replay", name=name, **_asked(visit))
            visit.of.say(
                f"{many(done.events, 'event')} from {done.first} on: what {name} wants of them is sent again."
            )
        else:
            raise UsageError("That cannot be done to a webhook.", hint="Go back, and choose.")
    except PostbearerError as error:
        visit.of.say(f"Nothing was done: {error}", "problem")
    return visit.go("/webhooks")


def _tested(tested: WebhookTested) -> tuple[str, str]:
    """What came back, as a sentence; and whether it is a problem."""
    if tested.arrived:
        return (
            f"The test event reached {tested.name} in {tested.seconds:.2f} s (status {tested.status}).",
            "done",
        )
    said = f" It said: {tested.said}" if tested.said else ""
    return f"The test event did not reach {tested.name}: {tested.error} {tested.hint}{said}", "problem"


def _asked(visit: Visit) -> dict[str, Any]:
    message, span = visit.field("message").strip()[:_LONGEST], visit.field("span")
    if span not in SPANS:
        raise UsageError("It is not said what is to be sent again.", hint="Choose a span of time.")
    since = {"since": visit.now - SPANS[span][1]} if span != "all" else {"first": 1}
    return {**since, "message": message}


PAGES = (
    ConsolePage(path="/webhooks", needs=Right.LOOK, do=listed),
    ConsolePage(path="/webhooks/{name}/act", needs=Right.OPERATE, do=act, method="POST"),
)
