"""The sandbox for a browser: inbox, a message, faults as buttons, addresses. The pages are the console's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from postbearer.console import (
    FRAME_HEADERS,
    LARGEST_PREVIEW,
    POLICY,
    page_environment,
    read_front,
    serve_asset,
)
from postbearer.errors import UsageError
from postbearer.testing.faults import Faults
from postbearer.testing.inbox import Received
from postbearer.testing.switches import PARTS, Switch, switches

if TYPE_CHECKING:
    from postbearer.testing.sandbox import Sandbox

PAGE = 100  # messages
_ORIGIN = re.compile(r"https?://[\w.\-\[\]:]+", re.ASCII)


@cache
def _templates() -> Environment:
    return page_environment(sandbox=PackageLoader("postbearer.testing", "pages"))


def wants_page(request: Request) -> bool:
    """Whether a browser asks, and no program."""
    return "text/html" in request.headers.get("accept", "")


async def form_of(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


class Browsing:
    """The pages of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        return [
            Route("/", self.inbox),
            Route("/inbox", self.empty, methods=["POST"]),
            Route("/inbox/{id}", self.message),
            Route("/inbox/{id}/frame", self.frame),
            Route("/faults", self.switch, methods=["POST"]),
            Route("/static/{name}", self.asset),
        ]

    def page(self, request: Request, template: str, status: int = 200, /, **values: object) -> HTMLResponse:
        """A page; jinja2 escapes everything foreign in it."""
        frame: dict[str, object] = {
            "root": "",
            "here": request.url.path,
            "relay": f"sandbox: {self._sandbox.personality.name}",
            "who": None,
            "notices": [],
            "staging": "",
            "undo": None,
        }
        text = _templates().get_template(f"sandbox/{template}").render(frame | values)
        return HTMLResponse(text, status, {"cache-control": "no-store"})

    async def asset(self, request: Request) -> Response:
        return serve_asset(request.path_params["name"])

    # The inbox ------------------------------------------------------------------------------

    async def inbox(self, request: Request) -> Response:
        messages, before = self._sandbox.inbox.messages, request.query_params.get("before", "")
        places = [place for place, each in enumerate(messages) if each.id == before] if before else []
        end = places[0] if places else len(messages)
        chosen = messages[max(0, end - PAGE) : end]
        return self.page(
            request,
            "inbox.html",
            messages=[each.summary() for each in reversed(chosen)],
            first=end == len(messages),
            older=end > PAGE,
            count=len(messages),
            on=[each.label for each in self._offered() if each.is_on(self._sandbox.faults)],
        )

    async def empty(self, request: Request) -> Response:
        self._sandbox.inbox.clear()
        return RedirectResponse("/", 303)

    async def message(self, request: Request) -> Response:
        found = self._found(request)
        if found is None:
            return self.none(request)
        reading = await asyncio.to_thread(read_front, found.content[:LARGEST_PREVIEW], len(found.content))
        return self.page(request, "received.html", message=found.summary(), reading=reading)

    async def frame(self, request: Request) -> Response:
        found = self._found(request)
        if found is None:
            return self.none(request)
        reading = await asyncio.to_thread(read_front, found.content[:LARGEST_PREVIEW], len(found.content))
        return HTMLResponse(reading.preview.document, headers=FRAME_HEADERS)

    def none(self, request: Request) -> Response:
        detail = "The inbox was emptied, or the sandbox was started anew: it keeps nothing."
        return self.page(request, "notice.html", 404, notice="No such message", detail=detail)

    def _found(self, request: Request) -> Received | None:
        return self._sandbox.inbox.find(request.path_params["id"])

    # Faults and addresses -------------------------------------------------------------------

    def _offered(self) -> Sequence[Switch]:
        return switches(self._sandbox.personality.name)

    def faults(self, request: Request) -> Response:
        now = self._sandbox.faults
        parts = [
            (part, [(each, each.is_on(now)) for each in self._offered() if each.at == part]) for part in PARTS
        ]
        json = msgspec.json.format(msgspec.json.encode(_given(now)), indent=2).decode()
        return self.page(request, "faults.html", parts=parts, any=now != Faults(), json=json)

    async def switch(self, request: Request) -> Response:
        """A button was pressed."""
        form = await form_of(request)
        try:
            match form.get("act", ""):
                case "none":
                    self._sandbox.set_faults(Faults())
                case "on" | "off" as act:
                    self._sandbox.switch(form.get("fault", ""), act == "on")
                case _:
                    raise UsageError("That cannot be done to a fault.", hint="The page of faults shows all.")
        except UsageError as error:
            return self.page(request, "notice.html", 400, notice="Not done", detail=str(error))
        return RedirectResponse("/faults", 303)

    def addresses(self, request: Request) -> Response:
        about = self._sandbox.describe()
        smtp = about["smtp"]
        rows = {
            "Mail server, STARTTLS": f"{smtp['host']}:{smtp['starttls_port']}",
            "Mail server, TLS": f"{smtp['host']}:{smtp['implicit_port']}",
            "Its authority": about["ca_file"],
            "Tokens": about["token_url"],
            "Sign-in, authorization code": about["authorize_url"],
            "Sign-in, device code": about["device_url"],
            "Client id": about["client_id"],
            "Client secret": about["client_secret"],
            "Scopes": " ".join(about["scopes"]),
            "Mechanisms": " ".join(about["mechanisms"]),
            **{f"Password of {user}": password for user, password in about["users"].items()},
        }
        return self.page(
            request,
            "addresses.html",
            rows=rows.items(),
            configuration=self._sandbox.configuration(),
            environment=about["environment"],
        )

    # Signing in -----------------------------------------------------------------------------

    def approval(self, request: Request, code: str, state: str) -> Response:
        """The page that asks whether an app may send; its answer leads back to where the app said."""
        page = self.page(request, "approve.html", code=code, state=state, users=list(self._sandbox.users))
        back = _ORIGIN.match(request.query_params.get("redirect_uri", ""))
        if back is not None:
            # A form whose answer redirects is sent only where form-action allows that, too (CSP 3, 6.4.2).
            allowed = f"form-action 'self' {back[0]}"
            page.headers["content-security-policy"] = POLICY.replace("form-action 'self'", allowed)
        return page

    def notice(self, request: Request, notice: str, detail: str) -> Response:
        return self.page(request, "notice.html", notice=notice, detail=detail)


def _given(value: Any) -> Any:
    """`value` with what is not as it is by itself."""
    if isinstance(value, list):
        return [_given(each) for each in value]
    if not isinstance(value, msgspec.Struct):
        return value
    fields = [(each, getattr(value, each.name)) for each in msgspec.structs.fields(value)]
    return {each.encode_name: _given(is_now) for each, is_now in fields if is_now not in (each.default, [])}
