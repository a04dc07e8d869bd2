"""Choosing a mechanism: the server offers some, the credential fits some, and none goes without TLS."""

from __future__ import annotations

import re
from collections.abc import Collection

from postbearer.errors import LocalProtocolError, MechanismMissing
from postbearer.sasl import external, login, oauthbearer, plain, xoauth2
from postbearer.sasl.credential import BearerCredential, Credential, PasswordCredential
from postbearer.sasl.exchange import ClientExchange
from postbearer.settings import Mechanism

Preference = Mechanism
_BEARER = (oauthbearer.NAME, xoauth2.NAME)  # the standard first
_PASSWORD = (plain.NAME, login.NAME)
_NAME = re.compile(r"[A-Z0-9_-]{1,20}")  # RFC 4422 3.1


def negotiate(
    offered: Collection[str],
    credential: Credential,
    *,
    tls: bool,
    prefer: Preference = "auto",
    allow_clear: bool = False,
) -> ClientExchange:
    """Begin an exchange for `credential` by the best of the `offered` mechanisms.

    A bearer token is never given to a password mechanism, and nothing is said without verified TLS;
    only a password may be, where `allow_clear` says that it was asked for. `prefer` binds a bearer
    credential to one mechanism.

    Raises `LocalProtocolError` without TLS, `MechanismMissing` if nothing fits.
    """
    _require_tls(credential, tls=tls, allow_clear=allow_clear)
    names = [name for name in map(str.upper, offered) if _NAME.fullmatch(name)]
    if isinstance(credential, BearerCredential):
        name = _first(_wanted(credential, prefer), names, "an access token")
        half = oauthbearer.client if name == oauthbearer.NAME else xoauth2.client
        return ClientExchange(name, half(credential), secret=credential.token)
    if isinstance(credential, PasswordCredential):
        name = _first(_PASSWORD, names, "a password")
        shape = plain.client if name == plain.NAME else login.client
        return ClientExchange(name, shape(credential), secret=credential.password)
    name = _first((external.NAME,), names, "a client certificate")
    return ClientExchange(name, external.client(credential))


def others(
    exchange: ClientExchange, offered: Collection[str], credential: Credential, prefer: Preference = "auto"
) -> bool:
    """Whether something else than the mechanism of `exchange` is `offered` that fits the credential too."""
    wanted = _wanted(credential, prefer)
    return any(name in wanted and name != exchange.mechanism for name in map(str.upper, offered))


def _wanted(credential: Credential, prefer: Preference) -> tuple[str, ...]:
    if isinstance(credential, BearerCredential):
        return _BEARER if prefer == "auto" else (prefer.upper(),)
    return _PASSWORD if isinstance(credential, PasswordCredential) else (external.NAME,)


def _require_tls(credential: Credential, *, tls: bool, allow_clear: bool) -> None:
    if tls or (allow_clear and isinstance(credential, PasswordCredential)):
        return
    raise LocalProtocolError(
        "Nothing is sent to prove who we are without verified TLS.",
        hint="Set tls to starttls or implicit for this account.",
    )


def _first(wanted: tuple[str, ...], offered: list[str], proof: str) -> str:
    for name in wanted:
        if name in offered:
            return name
    listed = ", ".join(offered[:20])
    raise MechanismMissing(
        f"The server takes {proof} by none of {', '.join(wanted)}; it offers "
        + (f"{listed}." if listed else "no authentication at all."),
        offered=tuple(offered),
        hint="Check host and port, and whether authenticated SMTP is switched on for this mailbox.",
    )
