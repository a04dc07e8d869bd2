"""What the sandbox has issued: access tokens, refresh tokens, codes, and who may have them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from postbearer.clock import Clock

OBJECT_ID = "5a9d0000-0000-4000-8000-00000000e1a7"  # of the client's Enterprise application


@dataclass(frozen=True, slots=True)
class Issued:
    """An access token the sandbox stands by. `subject` is None for an app-only token."""

    client_id: str
    subject: str | None
    scope: str
    expires_at: float  # wall clock


@dataclass(slots=True)
class Family:
    """All refresh tokens of one sign-in; reuse of an old one ends them all (RFC 9700 4.14.2)."""

    client_id: str
    subject: str
    scope: str
    current: str = ""
    used: set[str] = field(default_factory=set)
    revoked: bool = False


class TokenRegister:
    """Issues tokens and knows them again."""

    def __init__(self, clock: Clock, *, issuer: str, audience: str, lifetime: float, opaque: bool) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self.issuer = issuer
        self._audience = audience
        self._opaque = opaque
        self._access: dict[str, Issued] = {}
        self._families: list[Family] = []
        self._key: Any = None

    def issue(
        self, client_id: str, subject: str | None, scope: str, *, audience: str = "", role: bool = True
    ) -> str:
        """A new access token. One for another `audience`, or app-only without `role`, is good for nothing."""
        issued = Issued(client_id, subject, scope, self._clock.now() + self.lifetime)
        if self._opaque:
            token = "opaque-" + secrets.token_urlsafe(48)
        else:
            token = self._jwt(issued, audience or self._audience, role=role)
        good = not audience and (role or subject is not None)
        return self.accept(token, issued) if good else token

    def accept(self, token: str, issued: Issued) -> str:
        """Stand by a token that was made elsewhere: a very long one, say."""
        self._access[token] = issued
        return token

    def known(self, token: str) -> Issued | None:
        """Who an access token speaks for, while it is good."""
        issued = self._access.get(token)
        return issued if issued is not None and issued.expires_at > self._clock.now() else None

    def end_access(self) -> None:
        """No access token that was given is good any more."""
        self._access.clear()

    def sign_in(self, client_id: str, subject: str, scope: str) -> str:
        """A first refresh token, as after a person's consent."""
        family = Family(client_id, subject, scope)
        self._families.append(family)
        return self._rotate(family)

    def redeem(self, refresh_token: str, client_id: str) -> tuple[Family, str] | None:
        """Exchange a refresh token for its successor; None when it is not, or no longer, good."""
        for family in self._families:
            if family.client_id != client_id or family.revoked:
                continue
            if secrets.compare_digest(refresh_token, family.current):
                return family, self._rotate(family)
            if refresh_token in family.used:
                family.revoked = True
        return None

    def revoke(self, refresh_token: str, client_id: str) -> None:
        """End the sign-in that the token is of, if it is one of this client (RFC 7009 2.1)."""
        for family in self._families:
            if family.client_id == client_id and refresh_token in {family.current, *family.used}:
                family.revoked = True

    def _rotate(self, family: Family) -> str:
        if family.current:
            family.used.add(family.current)
        family.current = "refresh-" + secrets.token_urlsafe(48)
        return family.current

    def identity(self, client_id: str, subject: str) -> str:
        """An ID token: who has signed in (OpenID Connect Core 2)."""
        now = int(self._clock.now())
        names = {"sub": subject, "email": subject, "preferred_username": subject}
        return self._signed({"iss": self.issuer, "aud": client_id, "iat": now, "exp": now + 3600, **names})

    def _jwt(self, issued: Issued, audience: str, *, role: bool) -> str:
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": audience,
            "iat": int(self._clock.now()),
            "exp": int(issued.expires_at),
            "jti": secrets.token_hex(16),
            "appid": issued.client_id,
        }
        if issued.subject is None:
            claims |= {"sub": issued.client_id, "oid": OBJECT_ID}
            claims |= {"roles": ["SMTP.SendAsApp"]} if role else {}
        else:
            claims |= {"sub": issued.subject, "upn": issued.subject, "scp": issued.scope}
        return self._signed(claims)

    def _signed(self, claims: dict[str, Any]) -> str:
        from joserfc import jwt
        from joserfc.jwk import ECKey

        if self._key is None:
            self._key = ECKey.generate_key("P-256")
        return jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, self._key)
