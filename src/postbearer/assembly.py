"""From configuration to objects: the one place that knows every class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import msgspec

from postbearer._version import __version__
from postbearer.account import Account, Options
from postbearer.clock import Clock, SystemClock
from postbearer.config import AccountSettings, Configuration, load, parse_duration
from postbearer.errors import ConfigError
from postbearer.events import Observer, Silent
from postbearer.oauth import (
    Authentication,
    AuthorizationCode,
    CachedSource,
    ClientCredentials,
    ClientKey,
    CommandToken,
    DeviceCode,
    Grant,
    JwtBearer,
    ManagedIdentity,
    Password,
    RefreshToken,
    StaticToken,
    WorkloadIdentity,
    plugged_grant,
    resolved,
)
from postbearer.providers import Limits, Preset
from postbearer.secret import SecretSource
from postbearer.secrets import SecretStore, configured, source
from postbearer.state import StateFolder, shortcut
from postbearer.transport import ClientCertificate


class Assembly:
    """A configuration, and the accounts it describes. `state` is where tokens and budgets are kept."""

    def __init__(self, configuration: Configuration, state: StateFolder, environ: Mapping[str, str]) -> None:
        self.configuration = configuration
        self.state = state
        self._environ = environ

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        state: StateFolder | None = None,
    ) -> Assembly:
        """Read the configuration file at `path`, or the first that is found. Raises `ConfigError`.

        `state` is the state folder, unless it is the usual one.
        """
        environ = os.environ if environ is None else environ
        return cls(load(path, environ), state or StateFolder(), environ)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.configuration.settings.accounts)

    def account(self, name: str) -> Account:
        """The account `name`. Raises `ConfigError` with the place of what is wrong."""
        with self.placing(name):
            settings = self._with_platform(self.configuration.account(name))
            chosen = self.configuration.preset(settings)
            grant = self._grant(settings, chosen)
            options = self._options(name, settings)
            account = Account.configured(
                chosen, settings.address, grant, tenant=settings.tenant or "", **options
            )
            account = account.examined_by(f"postbearer check {name}")
            smarthost = replace(account.smarthost, placed=partial(self._placed, name))
            # A provider file of one's own may change without the configuration: then the long way is taken.
            own = self.configuration.providers.own(settings.provider)
            return replace(account, smarthost=smarthost, shortcut="" if own else self._shortcut)

    @contextmanager
    def placing(self, name: str) -> Iterator[None]:
        """Say of each `ConfigError` within where the account `name`, or its key, stands."""
        try:
            yield
        except ConfigError as error:
            placed = self._placed(name, error)
            if placed is error:
                raise
            raise placed from error.__cause__

    def _placed(self, name: str, error: ConfigError) -> ConfigError:
        if error.file or not error.key:  # it has its place, or is about nothing of the account's
            return error
        return self.configuration.error(f"accounts.{name}.{error.key}", error.message, hint=error.hint)

    def token_source(
        self, name: str, *, clock: Clock | None = None, observer: Observer | None = None
    ) -> CachedSource:
        """Where the access tokens of the account `name` come from."""
        return self.account(name).token_source(
            self.state,
            clock=clock or SystemClock(),
            observer=observer or Silent(),
        )

    def _with_platform(self, settings: AccountSettings) -> AccountSettings:
        """With what the platform tells pods with a federated identity, where they do not say it."""
        if settings.grant != "workload-identity":
            return settings
        environ = self._environ
        file, authority = environ.get("AZURE_FEDERATED_TOKEN_FILE"), environ.get("AZURE_AUTHORITY_HOST")
        cloud = settings.cloud
        if authority and not cloud and not settings.token_url:
            cloud = _cloud(self.configuration.preset(settings), authority)
        return msgspec.structs.replace(
            settings,
            client_id=settings.client_id or environ.get("AZURE_CLIENT_ID"),
            tenant=settings.tenant or environ.get("AZURE_TENANT_ID"),
            assertion=settings.assertion or (f"file:{file}" if file else self._job),
            cloud=cloud,
        )

    @property
    def _job(self) -> str | None:
        """What vouches for a job of GitHub, for the audience that Microsoft expects."""
        return f"github-actions:{_AUDIENCE}" if "ACTIONS_ID_TOKEN_REQUEST_URL" in self._environ else None

    @cached_property
    def folder(self) -> Path:
        """Where relative paths of the configuration start."""
        return Path(self.configuration.path).absolute().parent

    @cached_property
    def _shortcut(self) -> str:
        return shortcut(self.configuration.text.encode(), self._environ, __version__)

    def _options(self, name: str, settings: AccountSettings) -> Options:
        given = {key: getattr(settings, key) for key in Options.__optional_keys__ if hasattr(settings, key)}
        options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        limits = settings.limits
        options |= {
            "name": name,
            "limits": Limits(**{key: getattr(limits, key) for key in Limits.__struct_fields__}),
        }
        options.pop("certificate", None)  # the one that signs assertions; TLS has its own key
        if settings.ca_file:
            options["ca_file"] = str(self.folder / settings.ca_file)
        if settings.tls_certificate:
            options["certificate"] = ClientCertificate(str(self.folder / settings.tls_certificate))
        if settings.password and settings.authentication == "password":
            options["password"] = self.secret_source(settings.password)
        else:
            options.pop("password", None)
        options["expires"] = _expires(settings)
        return cast(Options, options)

    def secret_source(self, reference: str) -> SecretSource:
        """The source behind a reference; relative paths are relative to the configuration."""
        stores = self.configuration.settings.secret_stores
        named = {name: _named_store(table) for name, table in stores.items()}
        return source(reference, base=self.folder, state=self.state, named=named)

    def _grant(self, settings: AccountSettings, chosen: Preset) -> Grant | None:
        if settings.authentication != "oauth" or settings.grant is None:
            return None
        make = _GRANTS.get(settings.grant)
        grant = make(settings, chosen) if make else plugged_grant(settings.grant, settings.grant_settings)
        if isinstance(grant, ManagedIdentity):
            grant = grant.on(self._environ)
        return resolved(grant, self.secret_source)


_AUDIENCE = "api://AzureADTokenExchange"
_DATED = ("client-secret", "password", "service-account", "consent")


def _expires(settings: AccountSettings) -> dict[str, float]:
    """What ends on a day that somebody wrote down, by key: at its first second, in UTC."""
    days = {key: getattr(settings, f"{key.replace('-', '_')}_expires") for key in _DATED}
    return {
        key: datetime.combine(day, time(), UTC).timestamp() for key, day in days.items() if day is not None
    }


def _named_store(table: Mapping[str, Any]) -> SecretStore:
    """A ``[secret-stores.NAME]`` table, which the configuration has checked."""
    settings = {key: value for key, value in table.items() if key not in ("type", "cache")}
    return configured(table["type"], settings, parse_duration(table.get("cache", 0)))


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


def _client(settings: AccountSettings, chosen: Preset) -> dict[str, Any]:
    """The fields all grants of a registered client share."""
    key = _client_key(settings, chosen)
    return {
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "authentication": _authentication(settings, chosen, key),
        "client_key": key,
        **_wishes(settings),
    }


def _client_key(settings: AccountSettings, chosen: Preset) -> ClientKey | None:
    """What the client signs with, if it has something to sign with."""
    if not (settings.certificate or settings.private_key):
        return None
    usual = chosen.endpoint(chosen.assertion_audience, settings.tenant or "")
    return ClientKey(
        certificate=settings.certificate,
        private_key=settings.private_key,
        key_password=settings.key_password,
        key_id=settings.key_id or "",
        algorithm=settings.assertion_algorithm,
        audience=settings.assertion_audience or usual,
    )


def _authentication(settings: AccountSettings, chosen: Preset, key: ClientKey | None) -> Authentication:
    """How the client proves itself: as configured, else by what it has and as the provider likes it."""
    if settings.client_authentication:
        return settings.client_authentication
    if settings.client_secret:
        return "basic" if chosen.client_authentication == "basic" else "post"
    return "private-key-jwt" if key else "none"


def _wishes(settings: AccountSettings) -> dict[str, Any]:
    """What is asked for, whoever asks."""
    extra = dict(settings.extra_token_parameters)
    if settings.audience:
        extra["audience"] = settings.audience
    return {"scopes": settings.scopes or (), "extra": extra}


def _client_credentials(settings: AccountSettings, chosen: Preset) -> Grant:
    if settings.assertion and not (settings.client_secret or settings.certificate or settings.private_key):
        return _workload_identity(settings, chosen)
    return ClientCredentials(**_client(settings, chosen))


def _password(settings: AccountSettings, chosen: Preset) -> Grant:
    assert settings.password is not None  # the configuration was checked for it
    user = settings.token_user or settings.address
    return Password(username=user, password=settings.password, **_client(settings, chosen))


def _refresh_token(settings: AccountSettings, chosen: Preset) -> Grant:
    return RefreshToken(refresh_token=settings.refresh_token, **_client(settings, chosen))


def _workload_identity(settings: AccountSettings, chosen: Preset) -> Grant:
    assert settings.client_id is not None  # as above: from the file, or from the platform
    assert settings.assertion is not None
    return WorkloadIdentity(settings.client_id, settings.assertion, **_wishes(settings))


def _managed_identity(settings: AccountSettings, chosen: Preset) -> Grant:
    return ManagedIdentity(settings.client_id or "", **_wishes(settings))


def _jwt_bearer(settings: AccountSettings, chosen: Preset) -> Grant:
    return JwtBearer(
        settings.service_account,
        settings.token_user or settings.address,
        settings.client_id or "",
        client_key=None if settings.service_account else _client_key(settings, chosen),
        assertion=settings.assertion,
        **_wishes(settings),
    )


def _device_code(settings: AccountSettings, chosen: Preset) -> Grant:
    return DeviceCode(**_person(settings, chosen))


def _authorization_code(settings: AccountSettings, chosen: Preset) -> Grant:
    return AuthorizationCode(
        authorize_url=settings.authorize_url or _usual(settings, chosen, chosen.authorize_url),
        parameters=chosen.authorize_parameters,
        redirect_uri=settings.redirect_uri or chosen.redirect_uri,
        issuer=settings.issuer or chosen.issuer,
        **_person(settings, chosen),
    )


def _person(settings: AccountSettings, chosen: Preset) -> dict[str, Any]:
    """The fields that all grants share for which a person signs in."""
    url = settings.device_url or _usual(settings, chosen, chosen.device_url)
    return {"user": settings.token_user or settings.address, "device_url": url, **_client(settings, chosen)}


def _usual(settings: AccountSettings, chosen: Preset, url: str) -> str:
    """The provider's endpoint, unless it is to be discovered at an issuer of the account's own."""
    return "" if settings.issuer else chosen.endpoint(url, settings.tenant or "")


def _static(settings: AccountSettings, chosen: Preset) -> Grant:
    assert settings.token is not None
    return StaticToken(settings.token)


def _command(settings: AccountSettings, chosen: Preset) -> Grant:
    assert settings.command is not None
    return CommandToken(settings.command)


def grant_names() -> tuple[str, ...]:
    """The grants that accounts can have here."""
    return tuple(_GRANTS)


_GRANTS: dict[str, Callable[[AccountSettings, Preset], Grant]] = {
    "client-credentials": _client_credentials,
    "password": _password,
    "refresh-token": _refresh_token,
    "device-code": _device_code,
    "authorization-code": _authorization_code,
    "managed-identity": _managed_identity,
    "workload-identity": _workload_identity,
    "jwt-bearer": _jwt_bearer,
    "static": _static,
    "command": _command,
}
