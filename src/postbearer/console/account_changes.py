"""Calling an account otherwise, and taking one away: by the methods of the commands."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.console.accounts import account_named
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import AccountFile, Right
from postbearer.errors import PostbearerError

_LONGEST = 200  # characters of a name


async def ask(visit: Visit) -> Response:
    """What can be done; or where it cannot be done from here, the command that does it."""
    status = await account_named(visit)
    found: AccountFile = await visit.perform("accounts.file")
    return visit.page("account_changes.html", status=status, file=found)


async def rename(visit: Visit) -> Response:
    status, to = await account_named(visit), visit.field("to").strip()[:_LONGEST]
    if not to:
        return _refused(visit, status.name, "give the name that it is to have.")
    try:
        await visit.perform("accounts.rename", name=status.name, to=to)
    except PostbearerError as error:
        return _refused(visit, status.name, f"{error.message} {error.hint}".strip())
    visit.of.say(f"The account {status.name} is called {to} now, with its sign-in and what waits for it.")
    return visit.go(f"/accounts/{to}")


async def remove(visit: Visit) -> Response:
    """Take it away, once its name was typed."""
    status = await account_named(visit)
    if visit.field("name").strip() != status.name:
        return _refused(visit, status.name, "type its name, so that it is surely the one that is meant.")
    try:
        await visit.perform("accounts.remove", name=status.name)
    except PostbearerError as error:
        return _refused(visit, status.name, f"{error.message} {error.hint}".strip())
    visit.of.say(f"The account {status.name} is removed, and its sign-in is forgotten.")
    return visit.go("/accounts")


def _refused(visit: Visit, name: str, why: str) -> Response:
    visit.of.say(f"Nothing was done: {why}", "problem")
    return visit.go(f"/accounts/{name}/change")


PAGES = (
    ConsolePage(path="/accounts/{name}/change", needs=Right.ADMIN, do=ask),
    ConsolePage(path="/accounts/{name}/rename", needs=Right.ADMIN, do=rename, method="POST"),
    ConsolePage(path="/accounts/{name}/remove", needs=Right.ADMIN, do=remove, method="POST"),
)
