"""How Postfix writes a server down: ``[host]:port`` (postconf(5), relayhost)."""

from __future__ import annotations

import re

_PLACE = re.compile(r"\[?(?P<host>[^\[\]:]+|[0-9A-Fa-f:]+)\]?(?::(?P<port>\w+))?")
_PORTS = {"smtp": "25", "submission": "587", "smtps": "465", "submissions": "465"}


def postfix_server(text: str) -> tuple[str, str] | None:
    """Host and port; without one it is 25. None for what is no server."""
    place = _PLACE.fullmatch(text)
    if place is None:
        return None
    port = place["port"] or "25"
    return place["host"], _PORTS.get(port, port)
