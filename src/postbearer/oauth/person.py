"""What all sign-ins by a person have in common, however the person gets to the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self, TypeVar

from postbearer.errors import GrantRefused
from postbearer.oauth import from_settings
from postbearer.oauth.claims import read_claims
from postbearer.oauth.discovery import Metadata, discover
from postbearer.oauth.endpoint import SIGN_IN_AGAIN, Endpoint
from postbearer.oauth.grants import Exchange, Grant, GrantContext, RefreshToken
from postbearer.oauth.scopes import missing_scopes
from postbearer.oauth.token import TokenAnswer
from postbearer.providers import Preset
from postbearer.settings import AccountSettings


@dataclass(frozen=True, slots=True)
class PersonGrant(RefreshToken):
    """A refresh token (RFC 6749 6) that comes of a person's sign-in, by `postbearer login`.

    `user` is who is to sign in, as the server calls them; `device_url` the device authorization
    endpoint (RFC 8628 3.1) and `revocation_url` that of RFC 7009, where there are any.
    """

    needs: ClassVar[tuple[tuple[str, ...], ...]] = (("client-id",),)
    signs_in: ClassVar[bool] = True
    renewal: ClassVar[str] = "Sign in again: postbearer login <account>."

    user: str = ""
    device_url: str = ""
    revocation_url: str = ""

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        return cls(**from_settings.person(settings, preset))

    def at(self, metadata: Metadata) -> Self:
        """The same, with the endpoints of `metadata` where it has none of its own."""
        return replace(
            self,
            device_url=self.device_url or metadata.device_url,
            revocation_url=self.revocation_url or metadata.revocation_url,
        )

    def request(self, context: GrantContext) -> Exchange:
        login = f"Run: postbearer login {context.account}".rstrip()
        if context.refresh_token is None:
            raise GrantRefused(
                f"Nobody has signed in for {context.account or 'the account'} yet.",
                account=context.account,
                code="no_refresh_token",
                who="mailbox user",
                hint=login,
            )
        try:
            return (yield from RefreshToken.request(self, context))
        except GrantRefused as refused:
            refused.hint = refused.hint.replace(SIGN_IN_AGAIN, login)
            raise


AnyPerson = TypeVar("AnyPerson", bound=PersonGrant)


async def found(
    grant: AnyPerson, endpoint: Endpoint, account: str = "", *, page: str, now: float
) -> tuple[AnyPerson, Endpoint]:
    """Both with the endpoints that their issuer names, if `page`, or where to get tokens, is not known.

    `now` is Unix time. Raises what `discover` raises.
    """
    if not endpoint.issuer or (page and endpoint.url):
        return grant, endpoint
    metadata = await discover(endpoint.issuer, endpoint, account, now=now)
    return grant.at(metadata), replace(endpoint, url=endpoint.url or metadata.token_url)


def accepted(answer: TokenAnswer, grant: PersonGrant, account: str = "") -> TokenAnswer:
    """`answer`, if a sign-in may be kept that brought it.

    Raises `GrantRefused` if it would end within the hour, lacks a scope that was asked for (RFC 6749 5.1),
    or is another person's than `grant.user`.
    """
    missing = missing_scopes(grant.scopes, (answer.scope or "").split())
    if missing:
        raise GrantRefused(
            f"The sign-in worked, but without the scope {' '.join(missing)} that was asked for.",
            account=account,
            code="scope_missing",
            who="mailbox user",
            hint="Sign in again, and tick the box for mail on the page that asks what this program may do. "
            "If there is none, the app at the provider needs that scope first.",
        )
    if answer.refresh is None:
        raise GrantRefused(
            "The sign-in worked, but the server gave no refresh token: it would last for an hour.",
            account=account,
            code="no_refresh_token",
            who="mailbox user",
            hint='Add "offline_access", or what the server calls it, to scopes.',
        )
    names = _names(answer)
    if "@" in grant.user:  # a server may also tell a bare user name, which says nothing about an address
        names = [name for name in names if "@" in name]
    if grant.user and names and grant.user.casefold() not in map(str.casefold, names):
        raise GrantRefused(
            f"{names[0]} has signed in, and not {grant.user}.",
            account=account,
            code="other_user",
            who="mailbox user",
            hint=f"Sign in as {grant.user}, in a private window if the browser knows {names[0]} already. "
            f'Or, if {names[0]} may use this mailbox, set token-user = "{names[0]}".',
        )
    return answer


def _names(answer: TokenAnswer) -> list[str]:
    """What the server calls who signed in, as far as that can be read."""
    claims = [read_claims(token) for token in (answer.identity, answer.access) if token]
    return [name for each in claims if each for name in each.names]
