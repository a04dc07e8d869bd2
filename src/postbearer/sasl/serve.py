"""The server's side of every mechanism, by name."""

from __future__ import annotations

import json

from postbearer.errors import UsageError
from postbearer.sasl import external, login, oauthbearer, plain, xoauth2
from postbearer.sasl.exchange import ServerExchange

_SERVERS = {module.NAME: module.server for module in (oauthbearer, xoauth2, plain, login, external)}
MECHANISMS = tuple(_SERVERS)


def server_exchange(mechanism: str) -> ServerExchange:
    """Begin an exchange as a server. Raises `UsageError` for an unknown mechanism (SMTP: 504)."""
    name = mechanism.upper()
    if name not in _SERVERS:
        raise UsageError(f"No such mechanism: {mechanism!r:.40}", hint=f"One of {', '.join(MECHANISMS)}.")
    return ServerExchange(name, _SERVERS[name]())


def refusal(
    mechanism: str, status: str = "invalid_token", *, scope: str = "", configuration: str = ""
) -> bytes | None:
    """The error challenge that tells a client why its token is refused (RFC 7628 3.2.2).

    The client answers it, whatever it says, and only then the 535 goes out. None: the mechanism has no
    such challenge, and the 535 goes out at once. XOAUTH2 as Google serves it says ``"status": "400"``
    and names ``schemes`` too.
    """
    if mechanism.upper() not in (oauthbearer.NAME, xoauth2.NAME):
        return None
    fields = {"status": status}
    if mechanism.upper() == xoauth2.NAME:
        fields["schemes"] = "Bearer"
    if scope:
        fields["scope"] = scope
    if configuration:
        fields["openid-configuration"] = configuration
    return json.dumps(fields, separators=(",", ":")).encode()
