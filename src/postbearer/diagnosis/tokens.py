"""The steps ``secret`` and ``token``: can the grant be used, and does what it yields look right?

What a token says decides about words only; whether it is good, the mail server tells at AUTH. The one
exception is a token that is known to be for somebody else, which no mail server is shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from postbearer.account import Account
from postbearer.clock import Clock
from postbearer.diagnosis.commands import consent
from postbearer.diagnosis.failures import Explainer
from postbearer.diagnosis.finding import Failure, Finding, Step
from postbearer.diagnosis.masking import Mask
from postbearer.diagnosis.refused_token import ROLES
from postbearer.errors import PostbearerError
from postbearer.oauth import CachedSource, Claims, Token, is_guid, missing_scopes, read_claims, read_secret
from postbearer.providers import Ids, Preset
from postbearer.secret import Secret, SecretSource
from postbearer.verdict import explain

SHORT_CAP = 300.0  # seconds: a cap on the lifetime below this is a setting for tests
_SKEW = 60.0  # seconds by which a token may come from the future
_RESOURCES = {  # audience → what people call it
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph",
    "https://graph.microsoft.com": "Microsoft Graph",
    "https://graph.windows.net": "Azure AD Graph",
    "00000002-0000-0ff1-ce00-000000000000": "Exchange Online",
}
_EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"


async def read_secrets(account: Account, explainer: Explainer, mask: Mask) -> AsyncIterator[Finding]:
    """One finding for each secret the account refers to; only its name is told."""
    sources = secret_sources(account)
    if not sources:
        yield Finding(step=Step.SECRET, ok=True, text="none is needed")
    for name, source in sources.items():
        try:
            secret = await read_secret(name.replace("-", "_"), source)
        except PostbearerError as error:
            failed = explainer.failed(Step.SECRET, error)
            yield replace(failed, text=f"{name}: {failed.text}")
            continue
        mask.add(secret)
        yield Finding(
            step=Step.SECRET,
            ok=True,
            text=f"{name}: {_called(source)} can be read",
            notes=tuple(secret_doubts(name, secret, account.provider)),
            details={"key": name, "reference": _called(source)},
        )


def secret_sources(account: Account) -> Mapping[str, SecretSource]:
    """By key. The output of a command is no secret to read beforehand: it is the token itself."""
    sources: dict[str, SecretSource] = {}
    if account.grant is not None and account.grant.name != "command":
        sources |= {name.replace("_", "-"): source for name, source in account.grant.sources().items()}
    if account.password is not None:
        sources["password"] = account.password
    return sources


def _called(source: SecretSource) -> str:
    """The reference without what may be long or private: arguments of a command, a sealed value."""
    scheme, colon, rest = source.reference.partition(":")
    if not colon:
        return source.reference
    if scheme == "sealed":
        return "sealed:…"
    program, blank, _ = rest.partition(" ")
    return f"command:{program}{' …' if blank else ''}" if scheme == "command" else source.reference


def secret_doubts(name: str, secret: Secret, provider: str) -> Iterator[str]:
    """What is odd about the secret that an account at `provider` has under the key `name`."""
    value = secret.reveal()
    if value != value.strip():
        yield f"{name} begins or ends with white space, which is sent as a part of it."
    if name == "client-secret" and provider.startswith("microsoft") and is_guid(value.strip()):
        yield "client-secret looks like the Secret ID; what is needed is the secret's Value."


@dataclass(slots=True)
class TokenStep:
    """Gets a token and looks at it. Afterwards `token` is the one to log in with, if there is one."""

    account: Account
    preset: Preset
    explainer: Explainer
    source: CachedSource
    clock: Clock
    mask: Mask
    warned: list[str]  # what the source warned of meanwhile
    token: Token | None = None
    claims: Claims | None = None

    async def run(self) -> Finding:
        """The finding."""
        try:
            token = await self.source.fresh()
        except PostbearerError as error:
            return self.explainer.failed(Step.TOKEN, error)
        self.mask.add(token.access)
        self.claims = read_claims(token.access)
        found = self._found(token)
        wrong = self._wrong(token)
        if wrong is not None:
            name, text, fix = wrong
            verdict = explain(name, self.account.rules)
            return replace(
                found,
                ok=False,
                text=text,
                cause=verdict.cause,
                fix=f"{verdict.remedy} {fix}".strip(),
                who=str(verdict.who),
                failure=Failure.CONFIGURATION if verdict.configuration else Failure.REFUSED,
            )
        self.token = token
        return found

    def ids(self, ids: Ids) -> Ids:
        """`ids` with what the token adds: an app-only token names the Enterprise application."""
        if self.claims is None or not self.claims.app_only:
            return ids
        return replace(ids, object_id=self.claims.object_id)

    def _found(self, token: Token) -> Finding:
        grant = self.account.grant.name if self.account.grant is not None else ""
        text = f"got by {grant}, good for {token.lifetime:.0f} s"
        details: dict[str, object] = {"grant": grant, "lifetime": token.lifetime, "scope": token.scope}
        if self.claims is None:
            text += "; opaque: what it allows, only the servers know"
            details["opaque"] = True
        else:
            text += "".join(f"; {part}" for part in _told(self.claims))
            details["claims"] = self.claims.told()
        notes = (*self.warned, *self._about_life(token), *self._about_claims(token))
        return Finding(step=Step.TOKEN, ok=True, text=text, notes=notes, details=details)

    def _about_life(self, token: Token) -> Iterator[str]:
        cap = self.account.settings.maximum_token_lifetime
        if (cap is None or cap > token.lifetime) and token.lifetime <= self.account.refresh_margin:
            yield (
                f"It lives no longer than the refresh margin of {self.account.refresh_margin:.0f} s, "
                "so it is renewed after half of its life."
            )

    def _about_claims(self, token: Token) -> Iterator[str]:
        claims = self.claims
        if claims is None:
            return
        yield from self._about_people(claims)
        if claims.issued is not None and claims.issued > self.clock.now() + _SKEW:
            late = claims.issued - self.clock.now()
            yield f"It was issued {late:.0f} s in the future: the clock of this machine may be behind."
        if claims.bound:
            yield explain("token-type", self.account.rules).cause
        expected, had = self._expected(), _normal(claims.audience)
        if had and expected and not had & expected:
            yield (
                f"Its audience is {_named(claims.audience)}; {self.preset.title} takes tokens for "
                f"{_named(sorted(expected))}."
            )
        elif any("Graph" in _RESOURCES.get(one, "") for one in had):
            yield f"Its audience is {_named(claims.audience)}, which is no mail server."
        if self.preset.name == "smtp" and (missing := self._missing(token)):
            yield f"It was given without the scope {' '.join(missing)} that was asked for."

    def _about_people(self, claims: Claims) -> Iterator[str]:
        login, client = self.account.outgoing.username, getattr(self.account.grant, "client_id", "")
        role = ROLES.get(self.preset.name)
        if claims.user and not claims.app_only and claims.user.casefold() != login.casefold():
            yield (
                f"It is {claims.user}'s, and the login is {login}: that works only if {login} is a mailbox "
                f"that {claims.user} may open."
            )
        if claims.app and client and claims.app.casefold() != client.casefold():
            yield f"It was given to the app {claims.app}, not to {client}."
        tenant = self.explainer.ids.tenant
        if claims.tenant and is_guid(tenant) and claims.tenant.casefold() != tenant.casefold():
            yield f"It comes from the tenant {claims.tenant}, not from {tenant}."
        if role and claims.app_only and role not in claims.roles:
            where = consent(self.preset, getattr(self.account.grant, "name", ""), self.explainer.ids)
            yield (
                f"It does not have the role {role}. Unless Exchange grants the app its own role, AUTH will "
                f"fail: add the permission and grant admin consent. {where}".rstrip()
            )

    def _wrong(self, token: Token) -> tuple[str, str, str] | None:
        """A token that cannot work: the name of the finding, what was found, and what to set."""
        claims = self.claims
        grant = getattr(self.account.grant, "name", "")
        scopes = next((usual for name, usual in self.preset.scopes.items() if name == grant), ())
        listed = ", ".join(f'"{scope}"' for scope in scopes)
        fix = f"Set scopes = [{listed}], or leave the key out." if scopes else ""
        if claims is not None:
            expected, had = self._expected(), _normal(claims.audience)
            graph = any("Graph" in _RESOURCES.get(one, "") for one in had)
            if graph and expected and not had & expected:
                return "wrong-audience", f"the token is for {_named(claims.audience)}", fix
        missing = self._missing(token)
        if missing and self.preset.name != "smtp":
            return "scope-missing", f"the token was given without the scope {' '.join(missing)}", fix
        return None

    def _expected(self) -> set[str]:
        """The audiences that the preset's scopes lead to; empty if that cannot be told."""
        urls = {scope for scopes in self.preset.scopes.values() for scope in scopes if "://" in scope}
        parts = {urlsplit(url) for url in urls}
        expected = {f"{part.scheme}://{part.netloc}".lower() for part in parts}
        return expected | {_EXCHANGE} if self.preset.name in ROLES else expected

    def _missing(self, token: Token) -> list[str]:
        """Scopes that were asked for and not given."""
        given = (self.claims.scopes if self.claims is not None else ()) or tuple(token.scope.split())
        return missing_scopes(getattr(self.account.grant, "scopes", ()), given)


def _told(claims: Claims) -> Iterator[str]:
    """What a person wants to see of the claims."""
    if claims.audience:
        yield f"for {_named(claims.audience)}"
    if claims.scopes:
        yield f"scopes {' '.join(claims.scopes)}"
    if claims.roles:
        yield f"roles {' '.join(claims.roles)}"
    if claims.user:
        yield f"user {claims.user}"
    if claims.app:
        yield f"app {claims.app}"
    if claims.tenant:
        yield f"tenant {claims.tenant}"


def _named(audience: tuple[str, ...] | list[str]) -> str:
    return ", ".join(
        f"{_RESOURCES[key]} ({one})" if (key := one.rstrip("/").lower()) in _RESOURCES else one
        for one in audience
    )


def _normal(audience: tuple[str, ...]) -> set[str]:
    return {one.rstrip("/").lower() for one in audience}
