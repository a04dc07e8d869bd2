"""Pages as HTML, made of templates that escape everything foreign, and what every answer says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse

from postbearer.console import glossary, wording
from postbearer.console.assets import assets
from postbearer.control import as_search
from postbearer.http_guard import Message, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-dns-prefetch-control": "off",
}
PRIVATE = "no-store"


def page_environment(**more: PackageLoader) -> Environment:
    """The templates of the console, and `more`, which build on them: ``x/page.html`` of the loader `x`."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("postbearer.console", "templates"), PrefixLoader(more)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": wording.number,
        "many": wording.many,
        "octets": wording.octets,
        "span": wording.span,
        "moment": wording.moment,
        "ago": wording.ago,
        "chip": wording.chip,
        "search": as_search,
        "words": glossary.words,
    }
    made.globals |= {
        "states": wording.STATES,
        "account_states": wording.ACCOUNTS,
        "job_states": wording.JOBS,
        "node_states": wording.NODES,
        "webhook_states": wording.WEBHOOKS,
        "token_states": wording.TOKENS,
        "log_levels": wording.LOG,
        "alert_states": wording.ALERTS,
        "asset": {name: each.name for name, each in assets().items()},
    }
    return made


_environment = cache(page_environment)


def render(template: str, status: int = 200, /, **values: object) -> HTMLResponse:
    """A page that is kept by nobody on its way."""
    text = _environment().get_template(template).render(values)
    return HTMLResponse(text, status, {"cache-control": PRIVATE})


def headed(send: Send) -> Send:
    """`send` with the fields that every answer has, unless it has its own."""

    async def with_fields(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            message = {**message, "headers": headers.raw}
        await send(message)

    return with_fields
