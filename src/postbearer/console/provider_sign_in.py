"""Signing in for an account: by a code to type elsewhere, or in the browser, which comes back by itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.accounts import account_named
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right, SignInInfo
from postbearer.errors import ConfigError, Conflict, PostbearerError, UsageError
from postbearer.http import is_loopback
from postbearer.oauth import loopback_port, with_port

_LONGEST = 10_000  # characters of an address


async def show(visit: Visit) -> Response:
    """How far the last one is, and what else can be done."""
    status = await account_named(visit)
    return visit.page("provider_sign_in.html", status=status, sign_in=_last(visit, status.name))


async def act(visit: Visit) -> Response:
    """Begin, in the place of one that waits; or take the address that the browser ended at."""
    name = (await account_named(visit)).name
    sign_ins = visit.services.api.operations.sign_ins
    try:
        if redirect := visit.field("redirect").strip():
            await sign_ins.finish(name, visit.field("id")[:100], redirect[:_LONGEST], by=visit.by)
        else:
            device = visit.field("how") == "code"
            await sign_ins.begin(
                name, device=device, restart=True, comes_back=lambda uri: _own(visit, uri), by=visit.by
            )
    except PostbearerError as error:
        visit.of.say(f"{error.message} {error.hint}".strip(), "problem")
    visit.services.state.looks.forget()
    return visit.go(f"/accounts/{name}/sign-in")


async def came_back(visit: Visit) -> Response:
    """The browser was sent here by the provider. Who did not begin that sign-in does not know its state."""
    try:
        done = await visit.services.api.operations.sign_ins.came_back(visit.request.url.query[:_LONGEST])
    except Conflict as error:
        raise HttpProblem("conflict", error.message, hint=error.hint) from None
    except PostbearerError as error:
        raise HttpProblem("invalid", error.message, hint=error.hint) from None
    visit.services.state.looks.forget()
    return visit.page("signed_in.html", account=done.account)


def _last(visit: Visit, name: str) -> SignInInfo | None:
    try:
        return visit.services.api.operations.sign_ins.show(name)
    except UsageError:
        return None


def _own(visit: Visit, registered: str) -> str:
    """The address of this console that counts as `registered` (RFC 8252 7.3); empty if none does."""
    url = visit.request.url
    if registered == f"{url.scheme}://{url.netloc}{visit.root}/sign-in":
        return registered
    try:
        any_port = loopback_port(registered) == 0
    except ConfigError:
        return ""
    at_top = urlsplit(registered).path in ("", "/")
    here = url.scheme == "http" and is_loopback(url.hostname or "")
    return with_port(registered, url.port or 80) if any_port and at_top and here else ""


PAGES = (
    ConsolePage(path="/accounts/{name}/sign-in", needs=Right.ADMIN, do=show),
    ConsolePage(path="/accounts/{name}/sign-in", needs=Right.ADMIN, do=act, method="POST"),
    ConsolePage(path="/sign-in", needs=None, do=came_back),
)
