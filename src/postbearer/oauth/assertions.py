"""The grants proved by an assertion (RFC 7521, 7523), made by another identity provider or signed here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import msgspec

from postbearer.errors import ConfigError, GrantRefused
from postbearer.oauth import from_settings
from postbearer.oauth.grants import Exchange, Grant, GrantContext, TokenGrant, exchange
from postbearer.oauth.inputs import SecretInput
from postbearer.oauth.jwt import is_rsa, load_key, signed
from postbearer.oauth.signing import CLIENT_ASSERTION, UNFIT_KEY, ClientKey
from postbearer.providers import Preset
from postbearer.secret import Secret
from postbearer.settings import AccountSettings

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523 2.1
Value = TypeVar("Value")
_JOB = "ACTIONS_ID_TOKEN_REQUEST_URL"  # set by GitHub for a job that it vouches for
_AUDIENCE = "api://AzureADTokenExchange"  # for which Microsoft wants it to vouch

_LIFETIME = 3600  # seconds: the longest that Google takes
_OTHER_KINDS = {
    "authorized_user": "it holds the refresh token of a person's sign-in",
    "external_account": "it describes a federated identity and has no key",
}


@dataclass(frozen=True, slots=True)
class WorkloadIdentity(TokenGrant):
    """Client credentials proved by a token of another identity provider (RFC 7521 4.2, 7523 2.2).

    The platform renews `assertion` where it stands, so it is read again for each request.
    """

    name: ClassVar[str] = "workload-identity"
    meaning: ClassVar[str] = "The program proves itself by a token that its platform gives it."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = (("client-id",), ("assertion",))
    endpoints: ClassVar[tuple[str, ...]] = ("token-url",)
    environment: ClassVar[Mapping[str, tuple[str, ...]]] = {  # set for a pod with a federated identity
        "client-id": ("AZURE_CLIENT_ID",),
        "assertion": ("AZURE_FEDERATED_TOKEN_FILE", _JOB),
        "tenant": ("AZURE_TENANT_ID",),
    }
    renewal: ClassVar[str] = "Check which identity this workload has, and what it may do."
    SECRETS: ClassVar[tuple[str, ...]] = ("assertion",)

    client_id: str
    assertion: SecretInput = field(repr=False)
    scopes: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def completed(
        cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]
    ) -> AccountSettings:
        file, authority = environ.get("AZURE_FEDERATED_TOKEN_FILE"), environ.get("AZURE_AUTHORITY_HOST")
        cloud = settings.cloud
        if authority and not cloud and not settings.token_url:
            cloud = _cloud(preset, authority)
        job = f"github-actions:{_AUDIENCE}" if _JOB in environ else None
        return msgspec.structs.replace(
            settings,
            client_id=settings.client_id or environ.get("AZURE_CLIENT_ID"),
            tenant=settings.tenant or environ.get("AZURE_TENANT_ID"),
            assertion=settings.assertion or (f"file:{file}" if file else job),
            cloud=cloud,
        )

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        assert settings.client_id is not None  # from the file, or from the platform
        assert settings.assertion is not None
        return cls(settings.client_id, settings.assertion, **from_settings.wishes(settings))

    def request(self, context: GrantContext) -> Exchange:
        form: dict[str, str | Secret] = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_assertion_type": CLIENT_ASSERTION,
            "client_assertion": Secret(context.secrets["assertion"].reveal().strip()),
        }
        return exchange(context, _scoped(form, self.scopes) | dict(self.extra))


@dataclass(frozen=True, slots=True)
class JwtBearer(TokenGrant):
    """An assertion about the mailbox `subject`, for a token (RFC 7523 2.1), in one of three ways.

    `service_account` is the key file (JSON) that the provider made. Only its key and name are used:
    the request goes to the configured token endpoint, whatever the file says. `client_key` signs in the
    name of `client_id`. `assertion` was made by somebody else and is read again for each request.
    """

    name: ClassVar[str] = "jwt-bearer"
    meaning: ClassVar[str] = "A service account acts for the mailbox."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("service-account", "private-key", "certificate", "assertion"),
    )
    endpoints: ClassVar[tuple[str, ...]] = ("token-url",)
    renewal: ClassVar[str] = "Check the service account, its key, and the user that it stands in for."
    SECRETS: ClassVar[tuple[str, ...]] = ("service_account", "assertion")
    PARTS: ClassVar[tuple[str, ...]] = ("client_key",)

    service_account: SecretInput | None = field(default=None, repr=False)
    subject: str = ""
    client_id: str = ""
    scopes: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    client_key: ClientKey | None = None
    assertion: SecretInput | None = field(default=None, repr=False)

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        return cls(
            settings.service_account,
            from_settings.user(settings),
            settings.client_id or "",
            client_key=None if settings.service_account else from_settings.client_key(settings, preset),
            assertion=settings.assertion,
            **from_settings.wishes(settings),
        )

    def request(self, context: GrantContext) -> Exchange:
        form: dict[str, str | Secret] = {"grant_type": _JWT_BEARER}
        if self.client_id:
            form["client_id"] = self.client_id
        if self.scopes and not self.service_account:  # there the scope is a claim
            form["scope"] = " ".join(self.scopes)
        return exchange(context, form | {"assertion": self._assertion(context)} | dict(self.extra))

    def _assertion(self, context: GrantContext) -> Secret:
        if self.assertion is not None:
            return Secret(context.secrets["assertion"].reveal().strip())
        if self.client_key is not None:
            audience = self.client_key.audience or context.token_url
            claims = {"iss": self.client_id, "sub": self.subject, "aud": audience}
            return self.client_key.assertion(
                claims, context.secrets, now=context.now, account=context.account
            )
        # Raised from here, where no key lies open in a local variable.
        made = self._by_service_account(context)
        if isinstance(made, str):
            raise GrantRefused(
                f"The service account key cannot be used: {made}.",
                account=context.account,
                code=UNFIT_KEY,
                who="host operator",
                hint="Name the JSON key file of a service account by service-account.",
                configuration=True,
            )
        return made

    def _by_service_account(self, context: GrantContext) -> Secret | str:
        """What proves us, or what is wrong with the key file."""
        key = _read_key(context.secrets["service_account"])
        if isinstance(key, str):
            return key
        private = load_key(key.key)
        if private is None or not is_rsa(private):
            return "its private_key is no unencrypted RSA key in PEM"
        claims: dict[str, object] = {
            "iss": key.email,
            **({"sub": self.subject} if self.subject else {}),  # without one it acts as itself
            "aud": context.token_url,
            "iat": int(context.now),
            "exp": int(context.now) + _LIFETIME,
        }
        return signed(_scoped(claims, self.scopes), private, "RS256", {"kid": key.id} if key.id else None)


@dataclass(frozen=True, slots=True)
class _Key:
    email: str
    key: Secret
    id: str


def _read_key(file: Secret) -> _Key | str:
    try:
        fields = json.loads(file.reveal())
    except (ValueError, RecursionError):
        return "it is no JSON"
    if not isinstance(fields, dict):
        return "it is no JSON object"
    kind = fields.get("type")
    if kind != "service_account":
        known = _OTHER_KINDS.get(kind, "") if isinstance(kind, str) else ""
        return f"its type is {kind}, and {known}" if known else 'its type is not "service_account"'
    email, key, key_id = (fields.get(name) for name in ("client_email", "private_key", "private_key_id"))
    if not isinstance(email, str) or not email:
        return "client_email is missing"
    if not isinstance(key, str) or not key:
        return "private_key is missing"
    return _Key(email, Secret(key), key_id if isinstance(key_id, str) else "")


def _scoped(fields: Mapping[str, Value], scopes: Sequence[str]) -> dict[str, Value | str]:
    return {**fields, "scope": " ".join(scopes)} if scopes else {**fields}


def _cloud(known: Preset, authority: str) -> str | None:
    """The cloud whose login server a platform names, if that says which. Raises `ConfigError`."""
    names = known.clouds_at(authority)
    if not names:
        return None  # not a login server of this provider's
    first, *others = names
    if others:
        raise ConfigError(
            f"The platform's AZURE_AUTHORITY_HOST fits the clouds {' and '.join(names)}.",
            key="cloud",
            hint=f'Add cloud = "{first}", or the other one.',
        )
    return first
