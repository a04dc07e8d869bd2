"""The doctor in a browser."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.accounts import account_named
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right
from postbearer.errors import Conflict, PostbearerError

_LONGEST = 1000  # characters of an address


async def show(visit: Visit) -> Response:
    """How far it is, or what it would do."""
    status = await account_named(visit)
    return visit.page(
        "check.html",
        status=status,
        run=visit.services.state.checks.last(status.name),
        new="new" in visit.request.query_params,
        changed="changed" in visit.request.query_params and visit.by.may(Right.ADMIN),
    )


async def begin(visit: Visit) -> Response:
    """Check it, and with an address have it send a message there."""
    status, send_to = await account_named(visit), visit.field("send_to").strip()[:_LONGEST]
    await start(visit, status.name, send_to)
    return visit.go(f"/accounts/{status.name}/check")


async def start(visit: Visit, account: str, send_to: str = "") -> None:
    """Begin a check, unless one goes on."""
    operations = visit.services.api.operations
    try:
        steps = operations.checking(account, send_to, by=visit.by)
        await visit.services.state.checks.begin(account, send_to, steps)
    except Conflict:
        visit.of.say("A check goes on already: this is how far it is.", "problem")
    except PostbearerError as error:
        raise HttpProblem("unavailable", error.message, hint=error.hint) from None


PAGES = (
    ConsolePage(path="/accounts/{name}/check", needs=Right.OPERATE, do=show),
    ConsolePage(path="/accounts/{name}/check", needs=Right.OPERATE, do=begin, method="POST"),
)
