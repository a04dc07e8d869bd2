"""Who is logged in, and by which passkeys one's own login comes in: seen, ended, added, removed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import NamedTuple

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.logins import ConsoleLogin
from postbearer.console.passkeys import Passkey
from postbearer.console.sessions import ConsoleSession
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right
from postbearer.errors import UsageError

_LONGEST = 20_000  # characters of what a browser makes of a passkey


class SessionRow(NamedTuple):
    """A session in the list; times are Unix seconds."""

    session: ConsoleSession
    began: float
    seen: float
    own: bool  # the one that looks


async def show(visit: Visit) -> Response:
    """All sessions for who may read messages; for others those of their own login."""
    clock = visit.services.api.clock
    ago = clock.now() - clock.monotonic()
    login, passkeys = _login(visit), visit.services.state.gate.passkeys
    own: list[Passkey] = []
    options = ""
    if login is not None:
        own = list(await asyncio.to_thread(passkeys.of, login))
        if passkeys.offered:
            options = await asyncio.to_thread(passkeys.to_register, login, visit.of.csrf, visit.site)
    return visit.page(
        "sessions.html",
        rows=[
            SessionRow(each, each.began + ago, each.seen + ago, each is visit.of) for each in _visible(visit)
        ],
        by_name=login is not None,
        offered=passkeys.offered,
        passkeys=own,
        options=options,
    )


async def end(visit: Visit) -> Response:
    """End one session, or all others."""
    others = [each for each in _visible(visit) if each is not visit.of]
    if visit.field("session") != "others":
        others = [each for each in others if each.id == visit.field("session")]
    await _end(visit, others)
    return visit.go("/sessions")


async def _end(visit: Visit, ended: Collection[ConsoleSession]) -> None:
    visit.services.state.sessions.end_those(ended)
    for each in ended:
        detail = f"of {each.principal.name}, from {each.peer or 'local socket'}"
        await visit.services.api.operations.note("session ended", detail, by=visit.by)
    if ended:
        visit.of.say(f"{len(ended)} session{'s are' if len(ended) > 1 else ' is'} ended.")
    else:
        visit.of.say("There was no other session to end.", "problem")


async def add(visit: Visit) -> Response:
    """Keep the passkey that the browser has made."""
    login = _own(visit)
    made = await asyncio.to_thread(
        visit.services.state.gate.passkeys.register,
        login,
        visit.field("name"),
        visit.field("passkey")[:_LONGEST],
        visit.of.csrf,
        visit.site,
    )
    await visit.services.api.operations.note("passkey added", made.name, by=visit.by)
    visit.of.say(f"The passkey {made.name} is added: you can log in by it alone.")
    return visit.go("/sessions")


async def remove(visit: Visit) -> Response:
    """Forget a passkey."""
    login, identifier = _own(visit), visit.field("passkey")[:_LONGEST]
    if await asyncio.to_thread(visit.services.state.gate.passkeys.remove, login, identifier):
        await visit.services.api.operations.note("passkey removed", identifier[:16], by=visit.by)
        visit.of.say("The passkey is removed here. Remove it on its device, too.")
    else:
        visit.of.say("There is no such passkey any more.", "problem")
    return visit.go("/sessions")


def _visible(visit: Visit) -> list[ConsoleSession]:
    """Those that who looks may see, and end."""
    everybody = Right.ADMIN in visit.by.rights
    return [
        each
        for each in visit.services.state.sessions.all()
        if everybody or (each.identity and each.identity == visit.of.identity)
    ]


def _login(visit: Visit) -> ConsoleLogin | None:
    """Whose session it is; None where it came by a one-time code."""
    identity = visit.of.identity
    return visit.services.state.gate.logins.by_login(identity[0], "") if identity else None


def _own(visit: Visit) -> ConsoleLogin:
    login = _login(visit)
    if login is None:
        raise HttpProblem(
            "forbidden",
            "A one-time code has no passkeys: they belong to a login.",
            hint="Log in by name and password first.",
        )
    if not visit.services.state.gate.passkeys.offered:
        raise UsageError(
            "This relay cannot check passkeys: a package is missing.",
            hint="Install it: pip install 'postbearer[passkeys]'",
        )
    return login


PAGES = (
    ConsolePage(path="/sessions", needs=Right.LOOK, do=show),
    ConsolePage(path="/sessions/end", needs=Right.LOOK, do=end, method="POST"),
    ConsolePage(path="/passkeys", needs=Right.LOOK, do=add, method="POST"),
    ConsolePage(path="/passkeys/remove", needs=Right.LOOK, do=remove, method="POST"),
)
