"""What stands in a token: for people who look for a fault, and to tell that another person signed in.

Nobody but the mail server can tell whether an access token is good: it is opaque to its client
(RFC 6749 1.4), no signature is verified here, and a claim never makes postbearer trust anything. What a
token holds is foreign text, so it is bounded and made printable before anybody sees it.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from postbearer.reply import printable
from postbearer.secret import Secret

LONGEST = 64 * 1024  # characters of a token that is looked at
_TEXT = 200  # characters of one claim
_ITEMS = 20  # of a list
_NAMES = ("upn", "preferred_username", "unique_name", "email")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LATEST = 253402300799.0  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Claims:
    """What a JWT says of itself (RFC 7519, RFC 9068, and Microsoft's names). Empty: it does not say."""

    issuer: str = ""
    audience: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    tenant: str = ""
    names: tuple[str, ...] = ()  # what the person it was given to is called, best first
    app: str = ""
    object_id: str = ""  # of who it was given to
    issued: float | None = None  # Unix time
    expires: float | None = None  # Unix time
    bound: bool = False  # to a key or a certificate (RFC 7800)

    @property
    def user(self) -> str:
        """The person it was given to."""
        return next(iter(self.names), "")

    @property
    def app_only(self) -> bool:
        """Whether it seems to speak for an application by itself, nobody having signed in."""
        return not self.user and not self.scopes

    def told(self) -> dict[str, object]:
        """What it says, for a program; what it does not say is left out."""
        values: dict[str, object] = {
            "issuer": self.issuer,
            "audience": list(self.audience),
            "scopes": list(self.scopes),
            "roles": list(self.roles),
            "tenant": self.tenant,
            "user": self.user,
            "app": self.app,
            "object_id": self.object_id,
            "issued": self.issued,
            "expires": self.expires,
        }
        return {name: value for name, value in values.items() if value not in ("", [], None)}


def read_claims(token: Secret) -> Claims | None:
    """The claims of `token`; None if it is opaque: no JWT, or an encrypted one."""
    parts = token.reveal()[:LONGEST].split(".")
    if len(parts) != 3:  # RFC 7516's five parts are encrypted for the server alone
        return None
    fields = _object(parts[1])
    if fields is None or _object(parts[0]) is None:
        return None
    object_id = _text(fields, "oid")
    return Claims(
        issuer=_text(fields, "iss"),
        audience=_list(fields.get("aud")),
        scopes=tuple(
            scope for text in _list(fields.get("scp", fields.get("scope"))) for scope in text.split()
        ),
        roles=_list(fields.get("roles")),
        tenant=_text(fields, "tid"),
        names=tuple(filter(None, (_text(fields, name) for name in _NAMES))),
        app=_text(fields, "appid", "azp", "client_id"),
        object_id=object_id if _GUID.fullmatch(object_id) else "",
        issued=_time(fields.get("iat")),
        expires=_time(fields.get("exp")),
        bound=isinstance(fields.get("cnf"), dict),
    )


def is_guid(text: str) -> bool:
    """Whether `text` looks like one of Microsoft's ids."""
    return _GUID.fullmatch(text) is not None


def _object(part: str) -> Mapping[str, object] | None:
    """A base64url part of a token as the JSON object it should be."""
    try:
        value = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):  # also for what is not ASCII, not base64 or not UTF-8
        return None
    return value if isinstance(value, dict) else None


def _text(fields: Mapping[str, object], *names: str) -> str:
    found = (fields.get(name) for name in names)
    return next((_shown(value) for value in found if isinstance(value, str) and value), "")


def _list(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(_shown(each) for each in values[:_ITEMS] if isinstance(each, str) and each)


def _shown(text: str) -> str:
    text = printable(text[: _TEXT + 1].encode("utf-8", "replace"))
    return text if len(text) <= _TEXT else text[:_TEXT] + "…"


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        return None
    return float(value)
