"""Pages as HTML, made of templates that escape everything foreign, and what every answer says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from postbearer.console import wording
from postbearer.console.assets import assets

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


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("postbearer.console", "templates"),
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
    }
    made.globals |= {
        "states": wording.STATES,
        "account_states": wording.ACCOUNTS,
        "job_states": wording.JOBS,
        "asset": {name: each.name for name, each in assets().items()},
    }
    return made


def render(template: str, status: int = 200, /, **values: object) -> HTMLResponse:
    """A page that is kept by nobody on its way."""
    text = _environment().get_template(template).render(values)
    return HTMLResponse(text, status, {"cache-control": PRIVATE})
