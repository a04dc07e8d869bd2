"""Logging in and out."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.console.cookies import cookie_name, remove_cookie, set_cookie
from postbearer.console.gate import BY_CODE, Turned
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Principal, Right
from postbearer.secret import Secret
from postbearer.submission import is_loopback

_LONGEST = 1000  # characters of a field
_LARGEST = 20_000  # … of what a browser makes of a passkey


async def ask(visit: Visit) -> Response:
    """The form. A code in the address only fills it in: what looks at links must not use it up."""
    query = visit.request.query_params
    why = "Your session is over; nothing was done." if "over" in query else ""
    return _form(visit, code=query.get("code", "")[:_LONGEST], to=query.get("to", ""), why=why)


async def enter(visit: Visit) -> Response:
    """Try what was typed."""
    to = visit.field("to")
    if code := visit.field("one_time_code").strip()[:_LONGEST]:
        turned = visit.services.state.gate.by_code(code, visit.peer, here=_may_use_codes(visit))
        if turned is not None:
            return _turned(visit, turned, to)
        return await _let_in(visit, BY_CODE, (), to)
    name, password = visit.field("name").strip()[:_LONGEST], visit.field("password")[:_LONGEST]
    if not name or not password:
        return _form(visit, to=to, why="Type name and password.", status=422)
    gate, code = visit.services.state.gate, visit.field("second_factor")[:_LONGEST]
    found = await gate.by_password(name, Secret(password), code, visit.peer)
    if isinstance(found, Turned):
        return _turned(visit, found, to)
    return await _let_in(visit, found.principal, found.identity, to)


async def show_passkey(visit: Visit) -> Response:
    """Try what the browser made of a passkey."""
    to, gate = visit.field("to"), visit.services.state.gate
    if not gate.passkeys.offered:
        return _form(visit, to=to, why="This relay cannot check passkeys.", status=422)
    found = await gate.by_passkey(visit.field("passkey")[:_LARGEST], visit.site, visit.peer)
    if isinstance(found, Turned):
        return _turned(visit, found, to)
    return await _let_in(visit, found.principal, found.identity, to)


async def leave(visit: Visit) -> Response:
    """End the session."""
    visit.services.state.sessions.end(visit.request.cookies.get(cookie_name(visit.request), ""))
    response = visit.go("/login")
    remove_cookie(response, visit.request, visit.root)
    return response


async def _let_in(visit: Visit, principal: Principal, identity: tuple[str, ...], to: str) -> Response:
    sessions = visit.services.state.sessions
    sessions.end(visit.request.cookies.get(cookie_name(visit.request), ""))  # a browser has one at most
    browser = visit.request.headers.get("user-agent", "")[:_LONGEST]
    token, _ = sessions.begin(principal, identity, peer=visit.peer, browser=browser)
    await visit.services.api.operations.console_opened(visit.peer or "local socket", by=principal)
    response = visit.go(to if _is_inside(to) else "/")
    set_cookie(response, visit.request, token, visit.root)
    return response


def _turned(visit: Visit, turned: Turned, to: str) -> Response:
    return _form(visit, to=to, why=turned.why, status=429 if turned.late else 401)


def _form(visit: Visit, *, code: str = "", to: str = "", why: str = "", status: int = 200) -> Response:
    logins, passkeys = visit.services.state.gate.logins, visit.services.state.gate.passkeys
    return visit.page(
        "login.html",
        status,
        code=code,
        to=to if _is_inside(to) else "",
        why=why,
        here_only=_may_use_codes(visit),
        by_name=bool(logins),
        options=passkeys.to_log_in(visit.site) if logins and passkeys.offered else "",
    )


def _may_use_codes(visit: Visit) -> bool:
    """Whether the browser is here, at loopback or at the very address that it asks; or need not be."""
    if visit.services.settings.codes_anywhere:
        return True
    server = visit.request.scope.get("server")
    return is_loopback(visit.peer) or bool(server and server[0] == visit.peer)


def _is_inside(path: str) -> bool:
    """Whether `path` is one of the console, and no way out of it."""
    return path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path


PAGES = (
    ConsolePage(path="/login", needs=None, do=ask),
    ConsolePage(path="/login", needs=None, do=enter, method="POST"),
    ConsolePage(path="/login/passkey", needs=None, do=show_passkey, method="POST"),
    ConsolePage(path="/logout", needs=Right.LOOK, do=leave, method="POST"),
)
