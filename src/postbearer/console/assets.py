"""Styles and scripts, named by a digest of what they hold: no page comes with an old one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from starlette.responses import Response

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_NAMES = (
    "console.css",
    "console.js",
    "connect.js",
    "icon.svg",
    "passkey.js",
    "log.js",
    "pages.css",
    "search.js",
    "vendor/htmx.min.js",
    "vendor/idiomorph-ext.min.js",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
)
_FOR_GOOD = {"cache-control": "public, max-age=31536000, immutable"}


class Asset(NamedTuple):
    """One file, and the name that it is served under."""

    name: str
    octets: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """All files, by what templates call them."""
    folder, found = files("postbearer.console") / "static", {}
    for path in _NAMES:
        octets = folder.joinpath(*path.split("/")).read_bytes()
        stem, _, kind = path.rpartition("/")[2].rpartition(".")
        digest = hashlib.sha256(octets).hexdigest()[:16]
        found[path] = Asset(f"{stem}.{digest}.{kind}", octets, _TYPES[kind])
    return found


@cache
def _by_name() -> Mapping[str, Asset]:
    return {each.name: each for each in assets().values()}


def serve_asset(name: str) -> Response:
    """The file that is served under `name`; 404 for one of another version."""
    found = _by_name().get(name)
    if found is None:
        return Response("Not of this version.\n", 404, media_type="text/plain")
    return Response(found.octets, headers=_FOR_GOOD, media_type=found.media_type)
