"""Signing in in a browser (RFC 6749 4.1): a page to open, a redirect that brings a code, tokens for it.

Every sign-in proves by PKCE that whoever redeems the code is who asked for it (RFC 7636), and by its
state that the redirect answers it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self
from urllib.parse import quote, urlencode

from postbearer.clock import Clock
from postbearer.errors import ConfigError, GrantRefused
from postbearer.http import check_url
from postbearer.oauth import from_settings
from postbearer.oauth.discovery import Metadata
from postbearer.oauth.endpoint import SIGN_IN_AGAIN, Endpoint, TokenRequest, read_answer
from postbearer.oauth.grants import Grant, GrantContext, client_fields
from postbearer.oauth.inputs import read_secrets
from postbearer.oauth.jwt import encoded
from postbearer.oauth.person import PersonGrant, accepted
from postbearer.oauth.redirect import RedirectReader
from postbearer.oauth.token import TokenAnswer
from postbearer.providers import Preset
from postbearer.secret import Secret
from postbearer.settings import AccountSettings

_CODE_ENDS = "Begin again, and be quick: a code is good for some minutes, and once."


def _random() -> Secret:
    return Secret(secrets.token_urlsafe(32))  # 43 characters: what RFC 7636 4.1 asks for at least


@dataclass(frozen=True, slots=True)
class AuthorizationCode(PersonGrant):
    """A sign-in in a browser; from then on a refresh token (RFC 6749 6).

    `parameters` are further fields of the authorization request, `issuer` is who answers there.
    """

    name: ClassVar[str] = "authorization-code"
    meaning: ClassVar[str] = "A person signs in once, in a browser on this machine."
    endpoints: ClassVar[tuple[str, ...]] = ("token-url", "authorize-url")

    authorize_url: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    redirect_uri: str = "http://127.0.0.1"  # as registered; on loopback without a port: any (RFC 8252 7.3)
    issuer: str = ""
    names_issuer: bool = False  # redirects say who sent them (RFC 9207)

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        return cls(
            authorize_url=settings.authorize_url
            or from_settings.endpoint(settings, preset, preset.authorize_url),
            parameters=preset.authorize_parameters,
            redirect_uri=settings.redirect_uri or preset.redirect_uri,
            issuer=settings.issuer or preset.issuer,
            **from_settings.person(settings, preset),
        )

    def at(self, metadata: Metadata) -> Self:
        return replace(
            self,
            device_url=self.device_url or metadata.device_url,
            revocation_url=self.revocation_url or metadata.revocation_url,
            authorize_url=self.authorize_url or metadata.authorize_url,
            names_issuer=metadata.names_issuer,
        )


@dataclass(slots=True)
class CodeSignIn:
    """One sign-in for `account` with `grant`; the browser comes back to `redirect_uri`.

    Raises `ConfigError` and `UsageError` for a page that nobody should be sent to.
    """

    grant: AuthorizationCode
    endpoint: Endpoint
    clock: Clock
    account: str = ""
    redirect_uri: str = ""
    _state: Secret = field(default_factory=_random, repr=False)
    _verifier: Secret = field(default_factory=_random, repr=False)

    def __post_init__(self) -> None:
        self.redirect_uri = self.redirect_uri or self.grant.redirect_uri
        if not self.grant.authorize_url:
            raise ConfigError(
                "The grant authorization-code needs an authorization endpoint.",
                key="authorize-url",
                hint='Add authorize-url = "https://…".',
            )
        check_url(self.grant.authorize_url)

    @property
    def url(self) -> str:
        """What the person has to open."""
        challenge = hashlib.sha256(self._verifier.reveal().encode()).digest()
        fields = {
            **self.grant.parameters,
            **self.grant.extra,
            "response_type": "code",
            "client_id": self.grant.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.grant.scopes),
            "state": self._state.reveal(),
            "code_challenge": encoded(challenge),
            "code_challenge_method": "S256",
            "login_hint": self.grant.user,  # OpenID Connect Core 3.1.2.1; unknown fields are ignored (3.1)
        }
        query = urlencode({name: value for name, value in fields.items() if value}, quote_via=quote)
        url = self.grant.authorize_url
        return f"{url}{'&' if '?' in url else '?'}{query}"  # a query of its own is retained (3.1)

    @property
    def reader(self) -> RedirectReader:
        """What makes a code of the redirect."""
        grant = self.grant
        return RedirectReader(
            self._state, grant.authorize_url, grant.issuer, self.account, names_issuer=grant.names_issuer
        )

    async def redeem(self, code: Secret) -> TokenAnswer:
        """The tokens for `code`, which can be had once.

        Raises `GrantRefused` when the server refuses, gives no refresh token, or another person has
        signed in, and `TokenUnavailable` when it cannot be reached.
        """
        read = await read_secrets(self.grant.sources())
        context = GrantContext(self.endpoint.url, self.account, read, now=self.clock.now())
        form, headers = client_fields(self.grant, context, scopes=False)
        form |= {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self._verifier,
        }
        response = await self.endpoint.send(TokenRequest(self.endpoint.url, form, headers), self.account)
        sent = [code, self._verifier, *read.values()]
        try:
            answer = read_answer(
                response, self.endpoint.url, account=self.account, secrets=sent, now=self.clock.now()
            )
        except GrantRefused as refused:
            refused.hint = refused.hint.replace(SIGN_IN_AGAIN, _CODE_ENDS)
            raise
        return accepted(answer, self.grant, self.account)
