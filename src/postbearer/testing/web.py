"""The sandbox over HTTP: token endpoint, sign-in pages, faults, and the inbox for a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from postbearer.console import headed
from postbearer.http_guard import Guard, Receive, Scope, Send
from postbearer.testing.authorization import EndpointAnswer, Refusal
from postbearer.testing.browsing import Browsing, form_of, wants_page
from postbearer.testing.faults import Faults

if TYPE_CHECKING:
    from postbearer.testing.sandbox import Sandbox

_AS_FILE = {"content-security-policy": "sandbox; default-src 'none'"}


class Web:
    """The routes of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._pages = Browsing(sandbox)
        token = "/oauth2/v2.0"  # noqa: S105 - a path
        routes = Starlette(
            routes=[
                *self._pages.routes(),
                Route("/inbox", self.inbox, methods=["GET", "DELETE"]),
                Route("/inbox/{id}/raw", self.raw),
                Route("/faults", self.faults, methods=["GET", "PUT"]),
                Route("/describe", self.describe),
                Route("/.well-known/openid-configuration", self.metadata),
                Route("/token", self.token, methods=["POST"]),
                Route("/{tenant}" + token + "/token", self.token, methods=["POST"]),
                Route("/identity/token", self.identity),
                Route("/authorize", self.authorize),
                Route("/{tenant}" + token + "/authorize", self.authorize),
                Route("/approve", self.approve, methods=["POST"]),
                Route("/revoke", self.revoke, methods=["POST"]),
                Route("/device", self.device_page),
                Route("/device_authorization", self.device, methods=["POST"]),
                Route("/{tenant}" + token + "/devicecode", self.device, methods=["POST"]),
            ],
            exception_handlers={Refusal: _refused},
        )
        self._guarded = Guard(routes)  # secrets are told here

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application, whose every answer says what may run."""
        await self._guarded(scope, receive, headed(send))

    # OAuth ----------------------------------------------------------------------------------

    async def token(self, request: Request) -> Response:
        answer = await self._sandbox.authorization.token(
            await request.body(),
            request.headers.get("authorization", ""),
            request.path_params.get("tenant", ""),
        )
        return _response(answer)

    async def identity(self, request: Request) -> Response:
        return JSONResponse(self._sandbox.authorization.identity(dict(request.query_params), request.headers))

    async def metadata(self, request: Request) -> Response:
        base = self._sandbox.url
        return JSONResponse(
            {
                "issuer": base,
                "token_endpoint": f"{base}/token",
                "authorization_endpoint": f"{base}/authorize",
                "device_authorization_endpoint": f"{base}/device_authorization",
                "revocation_endpoint": f"{base}/revoke",
                "authorization_response_iss_parameter_supported": True,
                "code_challenge_methods_supported": ["S256"],
                "response_types_supported": ["code"],
                "scopes_supported": list(self._sandbox.personality.scopes),
            }
        )

    async def authorize(self, request: Request) -> Response:
        code = self._sandbox.authorization.begin(dict(request.query_params))
        return self._pages.approval(request, code, request.query_params.get("state", ""))

    async def device(self, request: Request) -> Response:
        form = await form_of(request)
        return JSONResponse(self._sandbox.authorization.begin_device(form, self._sandbox.url))

    async def revoke(self, request: Request) -> Response:
        authorization = request.headers.get("authorization", "")
        return _response(await self._sandbox.authorization.revoke(await form_of(request), authorization))

    async def device_page(self, request: Request) -> Response:
        return self._pages.approval(request, request.query_params.get("user_code", ""), "")

    async def approve(self, request: Request) -> Response:
        form = await form_of(request)
        code, state = form.get("code", ""), form.get("state", "")
        if "decline" in form:
            target, notice = self._sandbox.authorization.decline(code, state), "Declined"
        else:
            target = self._sandbox.authorization.approve(code, form.get("user", ""), state)
            notice = "Approved"
        if target:
            return RedirectResponse(target, 303)
        return self._pages.notice(request, notice, "You can close this page: the device goes on by itself.")

    # Faults and facts -----------------------------------------------------------------------

    async def faults(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self._sandbox.set_faults(msgspec.json.decode(await request.body(), type=Faults))
            except msgspec.MsgspecError as error:
                return JSONResponse({"error": f"Not a set of faults: {error}"}, 400)
        elif wants_page(request):
            return self._pages.faults(request)
        return Response(msgspec.json.encode(self._sandbox.faults), media_type="application/json")

    async def describe(self, request: Request) -> Response:
        if wants_page(request):
            return self._pages.addresses(request)
        return JSONResponse(self._sandbox.describe())

    # The inbox ------------------------------------------------------------------------------

    async def inbox(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._sandbox.inbox.clear()
        return JSONResponse([each.summary() for each in self._sandbox.inbox.messages])

    async def raw(self, request: Request) -> Response:
        found = self._sandbox.inbox.find(request.path_params["id"])
        if found is None:
            return Response(status_code=404)
        name = {"content-disposition": f'attachment; filename="{found.id}.eml"'}
        return Response(found.content, media_type="message/rfc822", headers=_AS_FILE | name)


def _response(answer: EndpointAnswer) -> Response:
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status or 502, dict(answer.headers))
    return JSONResponse(answer.body, answer.status, dict(answer.headers) | {"cache-control": "no-store"})


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return JSONResponse({"error": refusal.error, "error_description": refusal.description}, refusal.status)
