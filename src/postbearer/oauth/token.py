"""An access token, and how one is read out of a token endpoint's answer (RFC 6749 5.1).

Nothing an authorization server says is taken on trust: a token that is not a ``b64token``
(RFC 6750 2.1) could carry the separator of XOAUTH2 or end a line, so it is refused before use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from postbearer.secret import Secret

DEFAULT_LIFETIME = 300.0  # seconds, when the server does not say; a JWT's own claims are not ours to read
SHORTEST_LIFETIME = 1.0  # seconds
LONGEST_LIFETIME = 10 * 366 * 86400.0  # seconds; more than this is a defect, not a promise
TOKEN_LIMIT = 24 * 1024  # octets: base64 of it, with the rest of the blob, stays within 32 KiB

_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z")
_VSCHAR = re.compile(r"[\x20-\x7e]+\Z")  # RFC 6749 A.17
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?\Z")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token with the time it may be used, on the monotonic clock of this process."""

    access: Secret
    expires_at: float  # monotonic seconds
    obtained_at: float  # monotonic seconds, taken before the request was sent
    scope: str = ""  # what was granted, space separated; it may be narrower than what was asked

    @property
    def lifetime(self) -> float:
        """Seconds from the request to the end."""
        return self.expires_at - self.obtained_at

    def usable(self, now: float, margin: float = 0.0) -> bool:
        """Whether it may be used at monotonic `now` and for `margin` seconds on.

        The margin is at most half of the life: a short-lived token would never be fresh otherwise.
        """
        return now < self.expires_at - min(margin, self.lifetime / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """What a program is told that asked for a token: the fields of RFC 6749 5.1, and whose it is.

    This holds the token in the open: it goes to that program and nowhere else.
    """

    account: str
    access_token: str = field(repr=False)
    token_type: str = "Bearer"  # noqa: S105 - the type
    expires_in: int  # seconds
    scope: str

    @classmethod
    def of(cls, token: Token, account: str, now: float) -> TokenResponse:
        """`now` is monotonic seconds."""
        return cls(
            account=account,
            access_token=token.access.reveal(),
            expires_in=max(0, int(token.expires_at - now)),
            scope=token.scope,
        )


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a grant yields: an access token, and perhaps a new refresh token."""

    access: Secret
    lifetime: float = DEFAULT_LIFETIME  # seconds
    refresh: Secret | None = None
    scope: str | None = None  # None: as asked (RFC 6749 5.1)
    refresh_lifetime: float | None = None  # seconds the refresh token lives, where the server says so
    identity: Secret | None = None  # ID token: who signed in (OpenID Connect Core 3.1.3.3)
    clock: str = ""  # a sentence about our clock, where it differs notably from the server's


class UnusableToken(ValueError):
    """A token answer that must not be used. The text names the field and never its value."""


def read_token(fields: Mapping[str, object]) -> TokenAnswer:
    """The answer in `fields`, a successful token response. Raises `UnusableToken`."""
    kind = fields.get("token_type")
    # The type is required by RFC 6749 5.1; servers that leave it out mean Bearer.
    if kind is not None and not (isinstance(kind, str) and kind.lower() == "bearer"):
        raise UnusableToken("token_type is not Bearer")
    refresh = fields.get("refresh_token")
    scope, identity = fields.get("scope"), fields.get("id_token")
    return TokenAnswer(
        access=access_token(fields.get("access_token")),
        lifetime=lifetime(fields.get("expires_in")),
        refresh=refresh_token(refresh) if refresh else None,
        scope=scope if isinstance(scope, str) and (not scope or _VSCHAR.match(scope)) else None,
        refresh_lifetime=_refresh_lifetime(fields),
        identity=Secret(identity) if isinstance(identity, str) else None,
    )


def access_token(value: object) -> Secret:
    """`value` as an access token fit for SMTP. Raises `UnusableToken`."""
    if not isinstance(value, str) or not value:
        raise UnusableToken("access_token is missing")
    if len(value) > TOKEN_LIMIT:
        raise UnusableToken("access_token is longer than 24 KiB")
    if not _B64TOKEN.match(value):
        raise UnusableToken("access_token holds characters a bearer token cannot have (RFC 6750 2.1)")
    return Secret(value)


def refresh_token(value: object) -> Secret:
    """`value` as a refresh token. Raises `UnusableToken`."""
    if not isinstance(value, str) or not _VSCHAR.match(value):
        raise UnusableToken("refresh_token holds characters it cannot have (RFC 6749 A.17)")
    return Secret(value)


def _refresh_lifetime(fields: Mapping[str, object]) -> float | None:
    """Seconds, under one of the names servers have for it: no RFC does. 0 means no end; nonsense, nothing."""
    for name in ("refresh_token_expires_in", "refresh_expires_in"):
        if (value := fields.get(name)) is not None:
            with suppress(UnusableToken):  # nonsense about it is no reason to refuse a good token
                return lifetime(value)
    return None


def lifetime(value: object) -> float:
    """Seconds in an ``expires_in``: a number, also as text; missing means 300 s. Raises `UnusableToken`."""
    if value is None:
        return DEFAULT_LIFETIME
    if isinstance(value, str) and _NUMBER.match(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnusableToken("expires_in is not a number")
    if not SHORTEST_LIFETIME <= value <= LONGEST_LIFETIME:  # false for NaN too
        raise UnusableToken("expires_in is not between 1 s and ten years")
    return float(value)
