"""The API as one ASGI application, made of the table of endpoints."""

from __future__ import annotations

import re
import secrets
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache, partial

from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from postbearer.api.authorization import authorize
from postbearer.api.endpoint import JSON_BODY, WHOLE_MESSAGE, ApiEndpoint, Call
from postbearer.api.face import NATIVE, Face, refuse, respond
from postbearer.api.problems import HttpProblem, of_error
from postbearer.api.reading import parse_json, parse_query
from postbearer.api.services import ApiServices
from postbearer.control import encode
from postbearer.errors import PostbearerError
from postbearer.http_guard import Application, Body, Guard, Message, Receive, Scope, Send, read_away
from postbearer.tasks import defect

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID = "postbearer.request"  # in the scope
_FIXED = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]


class Api:
    """All endpoints, for requests to one of `hosts` (None: any), below `base_path`."""

    def __init__(
        self,
        services: ApiServices,
        endpoints: Sequence[ApiEndpoint],
        *,
        hosts: Collection[str] | None,
        base_path: str = "",
        open_to_all: bool = False,
    ) -> None:
        """With `open_to_all`, what is open on this machine is open to everybody."""
        self._services = services
        self._open_to_all = open_to_all
        self._base_path = base_path
        paths: dict[str, dict[str, ApiEndpoint]] = defaultdict(dict)
        for endpoint in endpoints:
            paths[endpoint.path][endpoint.method] = endpoint
        faces = {each.face.name: each.face for each in endpoints if each.face.below}
        guarded = {path: self._guarded(methods, hosts) for path, methods in paths.items()}
        # Most of what is asked is found without trying one route after the other.
        self._direct = {} if base_path else {path: each for path, each in guarded.items() if "{" not in path}
        self._router = Router(
            [
                *(Route(path, each) for path, each in guarded.items()),
                # What else is asked of a face: that there is nothing is told in its shape, too.
                *(
                    Route(f"{face.below}/{{_:path}}", self._guarded({}, hosts, face))
                    for face in faces.values()
                ),
            ],
            default=self._guarded({}, hosts),
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._base_path:
            scope["root_path"] = self._base_path
        scope[_ID] = _request_id(scope)
        answer = self._direct.get(scope["path"], self._router)
        await answer(scope, receive, _headed(send, scope[_ID]))

    def _guarded(
        self, methods: Mapping[str, ApiEndpoint], hosts: Collection[str] | None, face: Face = NATIVE
    ) -> Application:
        """What answers for one path; the rules of `Guard` come first. Without `methods`, `face` answers."""
        handler = _Handler(self._services, methods, face, open_to_all=self._open_to_all)
        return Guard(handler, hosts, handler.limit, partial(refuse, handler.face))


class _Handler:
    """One path, with the endpoints of its methods."""

    def __init__(
        self, services: ApiServices, methods: Mapping[str, ApiEndpoint], face: Face, *, open_to_all: bool
    ) -> None:
        self._services = services
        self._open_to_all = open_to_all
        self._methods = methods
        self.face = next((each.face for each in methods.values()), face)  # one path is of one face

    def limit(self, scope: Scope) -> int:
        """Octets that the body may have."""
        endpoint = self._methods.get(scope["method"])
        if endpoint is None:
            return JSON_BODY  # it is told that there is nothing, or no such method
        if endpoint.limit != WHOLE_MESSAGE:
            return endpoint.limit
        return 2 * self._services.intake.settings.size  # base64, and what stands around it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identifier, body = scope[_ID], Body(scope, receive)
        try:
            response = await self._answer(Request(scope, body.receive), identifier)
        except ClientDisconnect:
            return  # there is nobody to tell
        except (HttpProblem, PostbearerError) as error:
            problem = error if isinstance(error, HttpProblem) else of_error(error)
        except TimeoutError:
            problem = HttpProblem("too-slow", "What was left of the request did not come in time.")
            body.whole = True  # nothing of it is waited for
        except Exception as error:  # any: the client is told, and the log what it was
            self._services.observer.notice(defect(error, f"HTTP {scope['method']}", id=identifier))
            problem = HttpProblem("defect", "The log knows more.", hint=f"Look for {identifier}.")
        else:
            if not body.whole:
                await read_away(scope, body.receive)
            await response(scope, body.receive, send)
            return
        if left := not body.whole:
            with suppress(TimeoutError):
                await read_away(scope, body.receive)
        await respond(self.face, send, problem, identifier, close=left or problem.status == 408)

    async def _answer(self, request: Request, identifier: str) -> Response:
        endpoint = self._chosen(request)
        if self._open_to_all and endpoint.needs is None:
            caller = None
        else:
            peer = request.client.host if request.client else ""
            caller = authorize(self._services, endpoint, request.headers.getlist(self.face.header), peer)
        call = Call(request, self._services, identifier, caller)
        if endpoint.asks is not None or request.scope["query_string"]:
            call.query = parse_query(request.scope["query_string"], endpoint.asks or _NoParameters)
        if endpoint.takes is not None:
            await _read_body(call, endpoint)
        done = await endpoint.do(call)
        if isinstance(done, Response):
            return done
        return Response(encode(done), endpoint.status, call.headers, endpoint.media_type)

    def _chosen(self, request: Request) -> ApiEndpoint:
        if not self._methods:
            raise HttpProblem("not-found", "Nothing is served there.", hint="/openapi.json tells what is.")
        endpoint = self._methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            allowed = ", ".join(self._methods)
            raise HttpProblem(
                "method-not-allowed",
                f"{request.method:.20} is not possible there.",
                hint=f"Use {allowed}.",
                headers={"allow": allowed},
            )
        return endpoint


class _NoParameters(Struct, frozen=True):
    """A query that may hold nothing."""


async def _read_body(call: Call, endpoint: ApiEndpoint) -> None:
    """Have the body as what the endpoint takes, unless it is of a kind that the endpoint reads itself."""
    assert endpoint.takes is not None
    request, kind = call.request, media_type(call.request)
    if kind in endpoint.also_takes:
        return
    if kind not in ("application/json", "") or (not kind and endpoint.body_needed):
        also = " or ".join(("application/json", *endpoint.also_takes))
        raise HttpProblem(
            "unsupported-media-type",
            f"The body is {kind or 'of no type'}.",
            hint=f"Send Content-Type: {also}",
        )
    if endpoint.reads_itself:
        return
    octets = await request.body()
    if octets or endpoint.body_needed:
        call.body = parse_json(octets, endpoint.takes)
    else:
        call.body = endpoint.takes()


def media_type(request: Request) -> str:
    """The media type of the body, without its parameters (RFC 9110 8.3.1)."""
    given: str = request.headers.get("content-type", "")
    return given.partition(";")[0].strip().lower()


def _request_id(scope: Scope) -> str:
    """The one that the client gave, if it can stand in a log; else a new one."""
    fields: Sequence[tuple[bytes, bytes]] = scope["headers"]
    for name, value in fields:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(text := value.decode("latin-1")):
            return text
    return secrets.token_hex(8)


def _headed(send: Send, identifier: str) -> Send:
    """`send` with the fields that every answer has."""

    async def headed(message: Message) -> None:
        if message["type"] == "http.response.start":
            fields = [*_FIXED, (b"x-request-id", identifier.encode()), (b"date", _date(int(time.time())))]
            message = {**message, "headers": [*message["headers"], *fields]}
        await send(message)

    return headed


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
