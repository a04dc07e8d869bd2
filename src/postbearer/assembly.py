"""From configuration to objects: the one place that knows every class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from postbearer import store
from postbearer._version import __version__
from postbearer.account import Account
from postbearer.clock import Clock, SystemClock
from postbearer.config import Configuration, load, parse_duration
from postbearer.errors import ConfigError
from postbearer.events import Observer, Silent
from postbearer.oauth import CachedSource, Grant, grant_class, plugged_grant, resolved
from postbearer.providers import Preset
from postbearer.secret import SecretSource
from postbearer.secrets import SecretStore, configured, source
from postbearer.settings import AccountSettings
from postbearer.state import Persistence, StateFolder, shortcut
from postbearer.transport import ClientCertificate

if TYPE_CHECKING:
    from postbearer.store import SpoolPlace


class Assembly:
    """A configuration, and the accounts it describes.

    `state` is the state folder; tokens, budgets and notes of alerts are kept there too, unless the spool is
    in a database, which then keeps them as well, or `persistence` is given, which keeps them elsewhere.
    """

    def __init__(
        self,
        configuration: Configuration,
        state: StateFolder,
        environ: Mapping[str, str],
        persistence: Persistence | None = None,
    ) -> None:
        self.configuration = configuration
        self.state = state
        self._persistence = persistence
        self._environ = environ

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        state: StateFolder | None = None,
        persistence: Persistence | None = None,
    ) -> Assembly:
        """Read the configuration file at `path`, or the first that is found. Raises `ConfigError`.

        `state` is the state folder, unless it is the usual one.
        """
        environ = os.environ if environ is None else environ
        return cls(load(path, environ), state or StateFolder(), environ, persistence)

    def going_by(self, configuration: Configuration) -> Assembly:
        """The same with another configuration."""
        return Assembly(configuration, self.state, self._environ, self._persistence)

    @cached_property
    def spool(self) -> SpoolPlace:
        """Where the queue is. Raises `ConfigError` for a kind of spool that is not supported."""
        relay = self.configuration.settings.relay
        if relay is None or relay.spool is None:
            return store.SpoolUrl.in_folder(self.state.path)
        with self._placing():
            place = store.spool_place(relay.spool, self.folder)
            if relay.wake_url is None:
                return place
            if not isinstance(place, store.PostgresUrl):
                raise ConfigError(
                    "is read with a spool on PostgreSQL only.", key="relay.wake-url", hint="Take it out."
                )
            return place.woken_by(relay.wake_url)

    @cached_property
    def spool_password(self) -> SecretSource | None:
        """Where the password of the database is, if it has one that is no matter of its URL."""
        relay = self.configuration.settings.relay
        return self.secret_source(relay.spool_password) if relay and relay.spool_password else None

    @cached_property
    def persistence(self) -> Persistence:
        """What keeps tokens, budgets and notes: what was given, the spool's database, or the state folder.

        Raises `ConfigError`.
        """
        if self._persistence is not None:
            return self._persistence
        relay = self.configuration.settings.relay
        if relay is None or relay.spool is None:  # who only sends loads nothing of the store
            return self.state
        if not isinstance(self.spool, store.PostgresUrl):
            return self.state
        with self._placing():
            key = self.configuration.settings.vault.key
            if key is None:
                raise store.NO_KEY
            return store.open_state(self.spool, self.secret_source(key), self.spool_password)

    @contextmanager
    def _placing(self) -> Iterator[None]:
        """Say of each `ConfigError` within where its key stands."""
        try:
            yield
        except ConfigError as error:
            raise self.configuration.error(error.key, error.message, hint=error.hint) from None

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that it goes by."""
        return self._environ

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.configuration.settings.accounts)

    def account(self, name: str) -> Account:
        """The account `name`. Raises `ConfigError` with the place of what is wrong."""
        with self.placing(name):
            settings = self.configuration.account(name)
            chosen = self.configuration.preset(settings)
            if kind := grant_class(settings.grant):
                settings = kind.completed(settings, chosen, self._environ)
                chosen = self.configuration.preset(settings)
            grant = self._grant(settings, chosen)
            if settings.ca_file:
                settings = msgspec.structs.replace(settings, ca_file=str(self.folder / settings.ca_file))
            certificate = settings.tls_certificate
            by_password = settings.authentication == "password"
            account = Account.configured(
                chosen,
                settings,
                grant,
                name=name,
                password=self.secret_source(settings.password) if by_password and settings.password else None,
                certificate=ClientCertificate(str(self.folder / certificate)) if certificate else None,
                expires=_expires(settings),
            )
            account = account.examined_by(f"postbearer check {name}")
            outgoing = replace(account.outgoing, placed=partial(self._placed, name))
            # A provider file of one's own may change without the configuration: then the long way is taken.
            own = self.configuration.providers.own(settings.provider)
            return replace(account, outgoing=outgoing, shortcut="" if own else self._shortcut)

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
            self.persistence,
            clock=clock or SystemClock(),
            observer=observer or Silent(),
        )

    @cached_property
    def folder(self) -> Path:
        """Where relative paths of the configuration start."""
        return Path(self.configuration.path).absolute().parent

    @cached_property
    def _shortcut(self) -> str:
        return shortcut(self.configuration.text.encode(), self._environ, __version__)

    def secret_source(self, reference: str) -> SecretSource:
        """The source behind a reference; relative paths are relative to the configuration."""
        stores = self.configuration.settings.secret_stores
        named = {name: _named_store(table) for name, table in stores.items()}
        return source(reference, base=self.folder, state=self.state, named=named)

    def _grant(self, settings: AccountSettings, chosen: Preset) -> Grant | None:
        if settings.authentication != "oauth" or settings.grant is None:
            return None
        kind = grant_class(settings.grant)
        grant = (
            kind.configured(settings, chosen, self._environ)
            if kind
            else plugged_grant(settings.grant, settings.grant_settings)
        )
        return resolved(grant, self.secret_source)


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
