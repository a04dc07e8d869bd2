"""All that can be asked, and the application that answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from msgspec.json import encode
from starlette.responses import Response
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from postbearer.api import (
    account_access,
    account_editing,
    accounts,
    batch,
    events,
    health,
    jobs,
    messages,
    metrics,
    overview,
    postmark,
    resend,
    resend_status,
    sendgrid,
    submit,
    token_access,
    watching,
    webhooks,
)
from postbearer.api.asgi import Api
from postbearer.api.beside import Beside
from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.openapi import document
from postbearer.api.pace import Pace
from postbearer.api.services import ApiServices
from postbearer.http_guard import Application

CONSOLE = "/console"


async def describe(call: Call) -> Response:
    """What can be asked, as an OpenAPI document."""
    return Response(_document(call.request.scope.get("root_path", "")), media_type="application/json")


@lru_cache(maxsize=1)
def _document(base_path: str) -> bytes:
    return encode(document(ENDPOINTS, base_path))


ENDPOINTS: Sequence[ApiEndpoint] = (
    *health.ENDPOINTS,
    *metrics.ENDPOINTS,
    *submit.ENDPOINTS,
    *batch.ENDPOINTS,
    *messages.ENDPOINTS,
    *jobs.ENDPOINTS,
    *accounts.ENDPOINTS,
    *account_access.ENDPOINTS,
    *account_editing.ENDPOINTS,
    *overview.ENDPOINTS,
    *events.ENDPOINTS,
    *resend.ENDPOINTS,
    *postmark.ENDPOINTS,
    *sendgrid.ENDPOINTS,
    *resend_status.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *token_access.ENDPOINTS,
    *watching.ENDPOINTS,
    ApiEndpoint(
        name="describe",
        method="GET",
        path="/openapi.json",
        needs=None,
        summary="This document.",
        do=describe,
    ),
)
PROBED: Sequence[ApiEndpoint] = tuple(each for each in ENDPOINTS if each.health)


def application(
    services: ApiServices,
    endpoints: Sequence[ApiEndpoint],
    *,
    hosts: Collection[str] | None,
    proxies: Sequence[str] = (),
    base_path: str = "",
    open_to_all: bool = False,
    console: Application | None = None,
) -> Application:
    """The API for requests to `hosts` (None: any).

    Of `proxies`, addresses or networks, the word counts for who a client is. With `open_to_all`, what is open
    on this machine is open to everybody. `console` serves what lies below its path.
    """
    api: Application = Api(services, endpoints, hosts=hosts, base_path=base_path, open_to_all=open_to_all)
    if console is not None:
        api = Beside(api, console, CONSOLE, base_path)
    paced: Application = Pace(api, services.clock, services.bounds)
    return ProxyHeadersMiddleware(paced, list(proxies)) if proxies else paced  # type: ignore[arg-type, return-value]
