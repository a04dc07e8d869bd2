"""One request as a page sees it, and the table of pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from postbearer.console.pages import PRIVATE, render
from postbearer.console.passkeys import Site
from postbearer.console.services import ConsoleServices
from postbearer.console.sessions import ConsoleSession
from postbearer.console.shared_reads import FRESH, SOONEST
from postbearer.console.snapshot import Snapshot, look_around
from postbearer.control import Principal, Right, perform

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Visit:
    """`form` holds what was sent with a POST, `session` who asks; None where nobody need log in.

    `root` is the path of the console, without a slash at its end, and `place` what lies below it.
    """

    request: Request
    services: ConsoleServices
    root: str
    place: str
    session: ConsoleSession | None = None
    form: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def of(self) -> ConsoleSession:
        assert self.session is not None, "pages that need a right have a session"
        return self.session

    @property
    def by(self) -> Principal:
        return self.of.principal

    @property
    def now(self) -> float:
        return self.services.api.clock.now()

    @property
    def peer(self) -> str:
        """The address of the browser; empty for a Unix socket."""
        return self.request.client.host if self.request.client else ""

    @property
    def site(self) -> Site:
        """What the browser takes this console for: its host, and its origin."""
        url = self.request.url
        return Site(url.hostname or "", f"{url.scheme}://{url.netloc}")

    def field(self, name: str) -> str:
        """One value of the form; empty if it is not there."""
        return next(iter(self.form.get(name, ())), "")

    async def perform(self, method: str, **given: Any) -> Any:
        """Do what a command would do, for who is logged in. Raises what that raises."""
        try:
            return await perform(self.services.api.operations, self.by, method, given)
        finally:
            if self.request.method == "POST":
                self.services.state.looks.forget()

    async def look(self) -> Snapshot:
        """Accounts and counts, as of a moment ago. Raises `StoreError`."""
        services = self.services
        return await self.shared(
            "look", lambda before: look_around(services.api, services.spool, self.now, before)
        )

    async def shared(self, asked: Hashable, read: Callable[[T | None], Awaitable[T]]) -> T:
        """What everybody sees who asks the same at about this time. Raises what `read` raises."""
        again = "hx-request" in self.request.headers  # a page that is open keeps itself fresh
        return await self.services.state.looks.take(asked, FRESH if again else SOONEST, read)

    def page(self, template: str, status: int = 200, /, **values: object) -> Response:
        """A page with its frame: where one is, who one is, and what there is to tell."""
        session, again = self.session, "hx-request" in self.request.headers  # which shows a part of it
        rights = session.principal.rights if session else frozenset()
        return render(
            template,
            status,
            root=self.root,
            here=self.place,
            relay=self.services.settings.relay,
            who=session.principal if session else None,
            may_operate=Right.OPERATE in rights,
            may_read=Right.ADMIN in rights,
            csrf=session.csrf if session else "",
            staging=self.services.api.intake.staging if session else "",
            notices=session.take_notices() if session and not again else [],
            undo=session.take_offer() if session and not again else None,
            now=self.now,
            **values,
        )

    def go(self, path: str, **query: str) -> Response:
        """Have the browser look at `path` of the console (RFC 9110 15.4.4)."""
        asked = f"?{urlencode(query)}" if query else ""
        return RedirectResponse(f"{self.root}{path}{asked}", 303, {"cache-control": PRIVATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """One thing that can be asked of the console, by the right that it needs; None: by everybody."""

    path: str  # below the console
    needs: Right | None
    do: Callable[[Visit], Awaitable[Response]]
    method: str = "GET"
    files: bool = False  # its form may bring some
