"""The grants: each a generator, request out and response in, without I/O of its own (RFC 6749 4).

    ClientCredentials("relay", "env:SECRET", scopes=["smtp.send"])

Secrets are given as a `Secret`, a `SecretSource`, or the text of a reference; `resolved` turns
references into sources. They are read again at each request, so that a rotated secret is picked up.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol
from urllib.parse import quote_plus

from postbearer.errors import GrantRefused
from postbearer.http import HttpResponse
from postbearer.oauth import from_settings
from postbearer.oauth.endpoint import UNFIT, TokenRequest, read_answer
from postbearer.oauth.inputs import SecretFields, SecretInput, is_source
from postbearer.oauth.signing import ClientKey, client_assertion
from postbearer.oauth.token import TokenAnswer, UnusableToken, access_token, read_token
from postbearer.providers import Preset
from postbearer.secret import Secret, SecretSource
from postbearer.settings import AccountSettings, ClientAuthentication

Authentication = ClientAuthentication
Asks = Literal["token endpoint", "platform", "nobody"]
Exchange = Generator[TokenRequest, HttpResponse, TokenAnswer]


@dataclass(frozen=True, slots=True)
class GrantContext:
    """What a grant may use for one request, read just before it."""

    token_url: str = ""
    account: str = ""
    secrets: Mapping[str, Secret] = field(default_factory=dict)  # by field of the grant
    refresh_token: Secret | None = None  # the kept one, if there is one
    now: float = field(kw_only=True)  # Unix seconds


class Grant(Protocol):
    """A way to get an access token."""

    name: ClassVar[str]
    keeps_refresh_token: ClassVar[bool]  # whether its refresh token must outlive the process
    locks_out: ClassVar[bool]  # whether asking again with a refused secret may lock the mailbox
    signs_in: ClassVar[bool]  # whether a person signs in for it, by `postbearer login`
    renewal: ClassVar[str]  # what a person does when its credential is refused
    asks: ClassVar[Asks]  # whom it asks; what nobody was asked for is not worth keeping

    def sources(self) -> Mapping[str, SecretSource]:
        """The secrets to read before `request`, by field."""
        ...

    def request(self, context: GrantContext) -> Exchange:
        """Yield each request, take its response, return the token. Raises `CredentialError`."""
        ...


class TokenGrant(SecretFields):
    """What the grants have in common, unless they say otherwise.

    What a grant says here is all that the configuration, ``init``, the forecast and remedies know of it.
    """

    __slots__ = ()
    name: ClassVar[str]
    meaning: ClassVar[str] = ""  # one sentence for whoever chooses among grants
    needs: ClassVar[tuple[tuple[str, ...], ...]] = ()  # groups of an account's keys: one of each is needed
    endpoints: ClassVar[tuple[str, ...]] = ()  # keys of the endpoints it uses
    environment: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # variables that stand for a key, by key
    public: ClassVar[bool] = False  # whether the app may be one without a secret
    doubt: ClassVar[tuple[str, str]] = ("", "")  # why to look for another grant, and what to do
    renewal: ClassVar[str] = "Sign in again, or renew what the grant rests on."
    keeps_refresh_token: ClassVar[bool] = False
    locks_out: ClassVar[bool] = False
    signs_in: ClassVar[bool] = False
    asks: ClassVar[Asks] = "token endpoint"

    @classmethod
    def completed(
        cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]
    ) -> AccountSettings:
        """`settings` with what the platform says in their place where they are silent.

        Raises `ConfigError`.
        """
        return settings

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        """The grant for the account of `settings`, which have what it `needs`, at the provider `preset`.

        Raises `ConfigError`.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ClientCredentials(TokenGrant):
    """The client acts as itself (RFC 6749 4.4); for a public client choose ``authentication="none"``."""

    name: ClassVar[str] = "client-credentials"
    meaning: ClassVar[str] = "The program proves itself by a secret or a certificate; no person takes part."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("client-id",),
        ("client-secret", "certificate", "private-key", "assertion"),
    )
    endpoints: ClassVar[tuple[str, ...]] = ("token-url",)
    renewal: ClassVar[str] = (
        "Check client-id, secret or certificate, tenant, scopes and the app's permissions."
    )
    SECRETS: ClassVar[tuple[str, ...]] = ("client_secret",)
    PARTS: ClassVar[tuple[str, ...]] = ("client_key",)

    client_id: str
    client_secret: SecretInput | None = field(default=None, repr=False)
    authentication: Authentication = "post"
    scopes: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    client_key: ClientKey | None = None

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        if settings.assertion and not (
            settings.client_secret or settings.certificate or settings.private_key
        ):
            from postbearer.oauth.assertions import WorkloadIdentity

            return WorkloadIdentity.configured(settings, preset, environ)
        return cls(**from_settings.client(settings, preset))

    def request(self, context: GrantContext) -> Exchange:
        return _ask(self, {"grant_type": "client_credentials"}, context)


@dataclass(frozen=True, slots=True)
class Password(TokenGrant):
    """The mailbox password for a token (RFC 6749 4.3): legacy only (RFC 9700 2.4)."""

    name: ClassVar[str] = "password"
    meaning: ClassVar[str] = "By the mailbox user's password."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = (("client-id",), ("password",))
    endpoints: ClassVar[tuple[str, ...]] = ("token-url",)
    public: ClassVar[bool] = True
    doubt: ClassVar[tuple[str, str]] = (
        "hands the mailbox password to the application (RFC 9700 2.4)",
        "Choose another grant if the provider offers one.",
    )
    renewal: ClassVar[str] = "Check user name, password and the app's permissions."
    SECRETS: ClassVar[tuple[str, ...]] = ("password", "client_secret")
    PARTS: ClassVar[tuple[str, ...]] = ("client_key",)
    locks_out: ClassVar[bool] = True

    client_id: str
    username: str
    password: SecretInput = field(repr=False)
    client_secret: SecretInput | None = field(default=None, repr=False)
    authentication: Authentication = "post"
    scopes: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    client_key: ClientKey | None = None

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        assert settings.password is not None  # the configuration was checked for it
        user = from_settings.user(settings)
        return cls(username=user, password=settings.password, **from_settings.client(settings, preset))

    def request(self, context: GrantContext) -> Exchange:
        person: dict[str, str | Secret] = {
            "grant_type": "password",
            "username": self.username,
            "password": context.secrets["password"],
        }
        return _ask(self, person, context)


@dataclass(frozen=True, slots=True)
class RefreshToken(TokenGrant):
    """A refresh token (RFC 6749 6): one given by configuration, or the kept one of a sign-in.

    The server may give a new one with each use; that is committed before the access token is used.
    """

    name: ClassVar[str] = "refresh-token"
    meaning: ClassVar[str] = "A person signed in elsewhere, and you have the refresh token."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = (("client-id",), ("refresh-token",))
    endpoints: ClassVar[tuple[str, ...]] = ("token-url",)
    public: ClassVar[bool] = True
    renewal: ClassVar[str] = "Sign in again, and put the new refresh token where refresh-token points."
    SECRETS: ClassVar[tuple[str, ...]] = ("refresh_token", "client_secret")
    PARTS: ClassVar[tuple[str, ...]] = ("client_key",)
    keeps_refresh_token: ClassVar[bool] = True

    client_id: str
    refresh_token: SecretInput | None = field(default=None, repr=False)
    client_secret: SecretInput | None = field(default=None, repr=False)
    authentication: Authentication = "post"
    scopes: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    client_key: ClientKey | None = None

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        return cls(refresh_token=settings.refresh_token, **from_settings.client(settings, preset))

    def request(self, context: GrantContext) -> Exchange:
        token = context.refresh_token or context.secrets.get("refresh_token")
        if not token:
            raise GrantRefused(
                f"No refresh token is kept for {context.account or 'the account'}.",
                account=context.account,
                code="no_refresh_token",
                who="mailbox user",
                hint="Sign in, and name the refresh token in the configuration.",
            )
        return _ask(self, {"grant_type": "refresh_token", "refresh_token": token}, context)


@dataclass(frozen=True, slots=True)
class StaticToken(TokenGrant):
    """A fixed access token, for tests and troubleshooting: it is read again, but never renewed."""

    name: ClassVar[str] = "static"
    meaning: ClassVar[str] = "A token that you have."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = (("token",),)
    doubt: ClassVar[tuple[str, str]] = (
        "is for tests and troubleshooting only: the token is not renewed",
        "Choose a grant that fetches tokens.",
    )
    renewal: ClassVar[str] = (
        "A static token cannot be renewed: put a new one where token points, or choose another grant."
    )
    SECRETS: ClassVar[tuple[str, ...]] = ("token",)
    asks: ClassVar[Asks] = "nobody"

    token: SecretInput = field(repr=False)

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        assert settings.token is not None  # as above
        return cls(settings.token)

    def request(self, context: GrantContext) -> Exchange:
        return _printed(context.secrets["token"], context, "The static token")


@dataclass(frozen=True, slots=True)
class CommandToken(TokenGrant):
    """A program that prints the token, or JSON with ``access_token`` and ``expires_in``.

    `command` is a command line (split as a shell would), an argument list, or a source of the output.
    """

    name: ClassVar[str] = "command"
    meaning: ClassVar[str] = "A program of yours prints the token."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = (("command",),)
    renewal: ClassVar[str] = "Have the command print a new token."
    SECRETS: ClassVar[tuple[str, ...]] = ("command",)
    asks: ClassVar[Asks] = "nobody"

    command: str | Sequence[str] | SecretSource

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        assert settings.command is not None  # as above
        return cls(settings.command)

    @property
    def reference(self) -> str:
        """The command as a secret reference."""
        if isinstance(self.command, str):
            return self.command if self.command.startswith("command:") else f"command:{self.command}"
        if isinstance(self.command, Sequence):
            return f"command:{shlex.join(self.command)}"
        return self.command.reference

    def given(self) -> Mapping[str, object]:
        return {"command": self.command if is_source(self.command) else self.reference}

    def request(self, context: GrantContext) -> Exchange:
        return _printed(context.secrets["command"], context, "What the command printed")


AnyClient = ClientCredentials | Password | RefreshToken


def _ask(grant: AnyClient, form: dict[str, str | Secret], context: GrantContext) -> Exchange:
    fields, headers = client_fields(grant, context)
    return (yield from exchange(context, form | fields, headers))


def client_fields(
    grant: AnyClient, context: GrantContext, *, scopes: bool = True
) -> tuple[dict[str, str | Secret], dict[str, str | Secret]]:
    """What every request of a registered client says: fields of the form, and of the header."""
    form: dict[str, str | Secret] = {}
    headers: dict[str, str | Secret] = {}
    if grant.scopes and scopes:
        form["scope"] = " ".join(grant.scopes)
    form |= grant.extra
    secret = context.secrets.get("client_secret")
    if grant.authentication == "private-key-jwt":
        form["client_id"] = grant.client_id
        form |= client_assertion(
            grant.client_key or ClientKey(),
            grant.client_id,
            context.secrets,
            token_url=context.token_url,
            now=context.now,
            account=context.account,
        )
    elif grant.authentication == "basic":
        headers["Authorization"] = basic(grant.client_id, secret or Secret(""))
    else:
        form["client_id"] = grant.client_id
        if grant.authentication == "post" and secret:
            form["client_secret"] = secret
    return form, headers


def exchange(
    context: GrantContext,
    form: Mapping[str, str | Secret],
    headers: Mapping[str, str | Secret] | None = None,
) -> Exchange:
    """Ask the token endpoint and read its answer."""
    response = yield TokenRequest(context.token_url, form, headers or {})
    secrets = context.secrets.values()
    return read_answer(response, context.token_url, account=context.account, secrets=secrets, now=context.now)


def basic(client_id: str, secret: Secret) -> Secret:
    """The header value of client_secret_basic: both parts form-urlencoded first (RFC 6749 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    return Secret("Basic " + base64.b64encode(pair.encode()).decode())


def _printed(output: Secret, context: GrantContext, what: str) -> Exchange:
    yield from ()  # nothing to ask
    answer = _read_printed(output)
    if isinstance(answer, UnusableToken):
        raise GrantRefused(
            f"{what} is no token that can be used: {answer}.",
            account=context.account,
            code=UNFIT,
            who="host operator",
            configuration=True,
        )
    return answer


def _read_printed(output: Secret) -> TokenAnswer | UnusableToken:
    text = output.reveal().strip()
    try:
        if not text.startswith("{"):
            return TokenAnswer(access_token(text))
        fields = json.loads(text)
        return read_token(fields)
    except UnusableToken as unfit:
        return unfit
    except (ValueError, RecursionError):
        return UnusableToken("it begins like JSON and is none")
