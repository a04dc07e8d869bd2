"""The console as one ASGI application: sessions, rights, forms of its own pages only, errors."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from postbearer.api import CONSOLE as PREFIX
from postbearer.api import HttpProblem, of_error
from postbearer.console.assets import serve_asset
from postbearer.console.cookies import cookie_name
from postbearer.console.forms import MULTIPART, URLENCODED, read_form
from postbearer.console.pages import headed, render
from postbearer.console.services import ConsoleServices
from postbearer.console.sessions import ConsoleSession
from postbearer.console.visit import ConsolePage, Visit
from postbearer.errors import PostbearerError
from postbearer.http_guard import Body, Guard, Receive, Scope, Send, read_away
from postbearer.tasks import defect

LARGEST_FORM = 256 * 1024  # octets: a thousand messages that were chosen one by one
_OTHER_SITES = ("cross-site", "same-site")  # Sec-Fetch-Site: another port of this machine is the same site


class ConsoleApplication:
    """All pages, for requests to one of `hosts` (None: any), below `base_path`."""

    def __init__(
        self,
        services: ConsoleServices,
        pages: Sequence[ConsolePage],
        *,
        hosts: Collection[str] | None,
        base_path: str = "",
    ) -> None:
        self._services = services
        self._base_path = base_path
        self._root = f"{base_path}{PREFIX}"
        paths: dict[str, dict[str, ConsolePage]] = defaultdict(dict)
        for page in pages:
            paths[page.path][page.method] = page
        handlers = {path: _Handler(services, methods, self._root) for path, methods in paths.items()}
        self._router = Router(
            [
                Route(f"{PREFIX}/static/{{name}}", _asset),
                *(Route(f"{PREFIX}{path}", _guarded(each, hosts)) for path, each in handlers.items()),
            ],
            default=_guarded(_Handler(services, {}, self._root), hosts),
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._base_path:
            scope["root_path"] = self._base_path
        await self._router(scope, receive, headed(send))


def _guarded(handler: _Handler, hosts: Collection[str] | None) -> Guard:
    return Guard(handler, hosts, LARGEST_FORM, _refuse)


async def _asset(request: Request) -> Response:
    return serve_asset(request.path_params["name"])


class _Handler:
    """One path, with the pages of its methods."""

    def __init__(self, services: ConsoleServices, methods: Mapping[str, ConsolePage], root: str) -> None:
        self._services = services
        self._methods = methods
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(scope, receive)
        place = scope["path"].removeprefix(self._root.removesuffix(PREFIX)).removeprefix(PREFIX)
        visit = Visit(
            request=Request(scope, body.receive), services=self._services, root=self._root, place=place
        )
        try:
            response = await self._answer(visit)
        except ClientDisconnect:
            return  # there is nobody to tell
        except (HttpProblem, PostbearerError) as error:
            problem = error if isinstance(error, HttpProblem) else of_error(error)
            response = _told(visit, problem)
        except TimeoutError:
            response = _told(
                visit, HttpProblem("too-slow", "What was left of the form did not come in time.")
            )
            body.whole = True  # nothing of it is waited for
        except Exception as error:  # any: the reader is told, and the log what it was
            self._services.api.observer.notice(defect(error, f"console {scope['path']}"))
            hint = "Go back, and try again; the relay itself goes on."
            response = _told(visit, HttpProblem("defect", "The log of the relay knows more.", hint=hint))
        if not body.whole:
            with suppress(TimeoutError):
                await read_away(scope, body.receive)
        await response(scope, body.receive, send)

    async def _answer(self, visit: Visit) -> Response:
        request = visit.request
        visit.session = _session(visit)
        page = self._methods.get("GET" if request.method == "HEAD" else request.method)
        if page is None:
            if self._methods:
                raise HttpProblem("method-not-allowed", "This page cannot be asked that way.")
            raise HttpProblem("not-found", "There is no such page.", hint="Begin with the overview.")
        if _by_another_site(request):
            raise HttpProblem(
                "forbidden", "Another site asked for this page.", hint="Open the console itself."
            )
        if page.needs is not None and visit.session is None:
            return _log_in(visit)
        if request.method == "POST":
            visit.form = await _form(request, files=page.files)
            if page.needs is not None:  # to log in, nobody has one yet
                _check_token(visit.of, visit.field("csrf"))
        if page.needs is not None and not visit.by.may(page.needs):
            raise HttpProblem(
                "forbidden",
                f"{visit.by.name} may not do this.",
                hint='It needs another role: see role = "…" in [[http.logins]].',
            )
        return await page.do(visit)


def _session(visit: Visit) -> ConsoleSession | None:
    """Who asks, unless its login is not what it was."""
    state, request = visit.services.state, visit.request
    token = request.cookies.get(cookie_name(request), "")
    session = state.sessions.find(token) if token else None
    if session is None or not session.identity:
        return session
    login = state.gate.logins.by_login(session.identity[0], "")
    if login is not None and login.identity == session.identity:
        return session
    state.sessions.end(token)
    return None


def _log_in(visit: Visit) -> Response:
    """Have the browser log in first, and come back where that changes nothing."""
    request, place = visit.request, visit.place
    if "hx-request" in request.headers:
        return Response("", 401, {"hx-refresh": "true", "cache-control": "no-store"})
    if request.method != "GET":
        return visit.go("/login", over="1")
    return visit.go("/login", **({"to": place} if place not in ("", "/") else {}))


def _by_another_site(request: Request) -> bool:
    """Whether a page elsewhere has the browser fetch this; to follow a link from there is nothing bad."""
    if request.headers.get("sec-fetch-site", "") not in _OTHER_SITES:
        return False
    fields = request.headers.get("sec-fetch-mode", ""), request.headers.get("sec-fetch-dest", "")
    return request.method not in ("GET", "HEAD") or fields != ("navigate", "document")


async def _form(request: Request, *, files: bool) -> dict[str, list[str]]:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind != URLENCODED and not (files and kind == MULTIPART):
        raise HttpProblem("unsupported-media-type", "This is no form of the console.")
    try:
        return read_form(content_type, await request.body())
    except ValueError:
        raise HttpProblem("malformed", "The form cannot be read.", hint="Load its page anew.") from None


def _check_token(session: ConsoleSession, given: str) -> None:
    if not hmac.compare_digest(session.csrf.encode(), given.encode()):
        raise HttpProblem(
            "forbidden",
            "This form is of another session.",
            hint="Nothing was done. Load the page anew, and do it again.",
        )


def _told(visit: Visit, problem: HttpProblem) -> Response:
    document = problem.document()
    return visit.page(
        "problem.html", problem.status, title=document.title, detail=document.detail, hint=document.hint or ""
    )


async def _refuse(send: Send, status: int, text: str) -> None:
    """Answer for `Guard`, which looks at requests first."""
    page = render("refused.html", status, text=text)
    headers = [*page.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": page.body})
