"""Sending a message once more, as a new one: to whom is asked first."""

from __future__ import annotations

import secrets

from starlette.responses import Response

from postbearer.console.message import message
from postbearer.console.visit import ConsolePage, Visit
from postbearer.console.wording import many
from postbearer.control import MessageResent, Right
from postbearer.errors import NotPermitted, SubmissionRefused, UsageError


async def ask(visit: Visit) -> Response:
    """To whom; each page that asks has a key of its own, under which a second click makes no second copy."""
    found = await message(visit)
    choices = found.recipients if not found.cursor else ()
    return visit.page(
        "resend.html",
        message=found,
        choices=choices,
        total=sum(found.counts.values()),
        key=secrets.token_urlsafe(16),
    )


async def resend(visit: Visit) -> Response:
    found = await message(visit)
    to = tuple(visit.form.get("to", ()))
    if not to and not visit.field("everybody"):
        visit.of.say("Nothing was done: choose to whom it is to go.", "problem")
        return visit.go(f"/messages/{found.id}/resend")
    try:
        done: MessageResent = await visit.perform(
            "queue.resend", message=found.id, to=to, key=visit.field("key")
        )
    except (NotPermitted, SubmissionRefused, UsageError) as error:
        visit.of.say(f"Nothing was done: {error}", "problem")
        return visit.go(f"/messages/{found.id}")
    visit.of.say(f"This is the new message, for {many(len(done.recipients), 'recipient')}.", "done")
    return visit.go(f"/messages/{done.id}")


PAGES = (
    ConsolePage(path="/messages/{id}/resend", needs=Right.OPERATE, do=ask),
    ConsolePage(path="/messages/{id}/resend", needs=Right.OPERATE, do=resend, method="POST"),
)
