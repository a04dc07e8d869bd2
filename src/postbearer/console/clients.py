"""API clients: the tokens of programs, when each was used last, what was refused; and their end."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right
from postbearer.errors import UsageError


async def listed(visit: Visit) -> Response:
    return visit.page("clients.html", tokens=await visit.perform("tokens.list"))


async def revoke(visit: Visit) -> Response:
    """End a token, once that is confirmed."""
    name = visit.request.path_params["name"][:1000]
    found = {each.name: each for each in await visit.perform("tokens.list")}
    if name in found and not visit.field("confirmed"):
        return visit.page("confirm_revoke.html", token=found[name])
    try:
        await visit.perform("tokens.revoke", name=name)
    except UsageError as error:
        visit.of.say(f"Nothing was done: {error}", "problem")
    else:
        visit.of.say(f"The token {name} is revoked: it is good for nothing any more.")
    return visit.go("/clients")


PAGES = (
    ConsolePage(path="/clients", needs=Right.LOOK, do=listed),
    ConsolePage(path="/clients/{name}/revoke", needs=Right.ADMIN, do=revoke, method="POST"),
)
