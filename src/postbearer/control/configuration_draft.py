"""An account in the making: what was given for it, and what is wrong with it so far."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postbearer.account import name_for
from postbearer.address import Address
from postbearer.assembly import Assembly
from postbearer.config import Addition, Providers, find
from postbearer.errors import ConfigError, UsageError
from postbearer.oauth import TokenGrant, grant_class, grant_names
from postbearer.providers import GrantPreset, Preset
from postbearer.state import StateFolder

# The keys that are asked for or have a flag of their own, in the order they are written.
KEYS = (
    *("provider", "cloud", "tenant", "address", "username", "token-user", "servers", "tls", "ca-file"),
    *("authentication", "grant", "issuer", "token-url", "authorize-url", "device-url", "scopes", "audience"),
    *("client-id", "client-secret", "certificate", "private-key", "key-password", "assertion", "password"),
    *("refresh-token", "service-account", "token", "command"),
)


@dataclass(slots=True)
class ConfigurationDraft:
    """The addition, with the providers that may be chosen.

    `state` is the state folder, unless it is the usual one. `examine` looks at a relay that is added, too.
    """

    addition: Addition
    providers: Providers
    environ: Mapping[str, str]
    state: StateFolder | None = None
    examine: Callable[[Assembly], object] | None = None

    @property
    def name(self) -> str:
        return self.addition.name

    @property
    def keys(self) -> dict[str, Any]:
        return self.addition.keys

    @property
    def preset(self) -> Preset:
        """The provider chosen. Raises `ConfigError`."""
        return self.providers.preset(str(self.keys.get("provider", "")), str(self.keys.get("cloud", "")))

    def put(self, key: str, value: Any) -> None:
        """Set a key, or with None take it away; the keys stay in the order of `KEYS`."""
        keys = {**self.keys, key: value}
        ordered = [*(each for each in KEYS if each in keys), *(each for each in keys if each not in KEYS)]
        self.addition.keys = {each: keys[each] for each in ordered if keys[each] is not None}

    def complete(self) -> None:
        """Put in what follows from the rest: the usual name, a password where no token helps, TLS by port."""
        if not self.addition.name and "address" in self.keys:
            self.addition.name = usual_name(str(self.keys["address"]), self.addition.accounts())
        try:
            chosen = self.preset
        except ConfigError:  # told by `problems`
            return
        self.addition.title = chosen.title
        if chosen.no_oauth and not self.keys.keys() & {"grant", "authentication"}:
            self.put("authentication", "password")
        servers = self.keys.get("servers", ())
        if "tls" not in self.keys and servers and all(each.endswith(":465") for each in servers):
            self.put("tls", None if chosen.tls == "implicit" else "implicit")

    def same_mailbox(self) -> str:
        """The account that the file has for this mailbox already; empty: none, or another one is named.

        A mailbox is a login at a provider: the address, unless there is a `username`.
        """
        wanted = _mailbox(self.keys)
        found = (name for name, keys in self.addition.tables().items() if _mailbox(keys) == wanted)
        return next((name for name in found if self.name in ("", name)), "") if wanted[1] else ""

    def differs_from(self, name: str) -> list[str]:
        """The keys whose values are others than those of the account `name` of the file."""
        there = self.addition.tables()[name]
        return [key for key, value in self.keys.items() if there.get(key) != value]

    def grants(self) -> dict[str, str]:
        """The grants that work here and at the provider, with what there is to know about each."""
        offered = dict(self.preset.grants)
        if not offered or not self.preset.servers:  # any server: what it takes is known to nobody
            offered |= {name: GrantPreset() for name in grant_names() if name not in offered}
        ours = {name: kind for name in offered if (kind := grant_class(name))}
        return {
            name: " ".join(dict.fromkeys(filter(None, (kind.meaning, offered[name].note))))
            for name, kind in ours.items()
            if offered[name].works != "no"
        }

    @property
    def grant(self) -> type[TokenGrant] | None:
        """The grant chosen, as it describes itself; None if there is none yet, or another package's."""
        return grant_class(self.keys.get("grant"))

    @property
    def signs_in(self) -> bool:
        """Whether a person has to sign in before it can send."""
        return self.grant is not None and self.grant.signs_in

    def is_found(self) -> bool:
        """Whether its file is the one that commands find by themselves."""
        try:
            return find(None, self.environ) == self.addition.path
        except ConfigError:
            return False

    def problems(self) -> Sequence[ConfigError]:
        """Everything that is wrong with it so far."""
        try:
            configuration = self.addition.parsed(self.environ)
            assembly = Assembly(configuration, self.state or StateFolder(), self.environ)
            assembly.account(self.name)
            if self.addition.listen and self.examine is not None:
                self.examine(assembly)
        except ConfigError as error:
            return error.problems
        except UsageError as error:
            return (ConfigError(error.message, key=f"accounts.{self.name}", hint=error.hint),)
        return ()

    def problem(self, key: str) -> ConfigError | None:
        """What is wrong with `key` of the account."""
        return next((each for each in self.problems() if self.key(each).split(".")[0] == key), None)

    def key(self, problem: ConfigError) -> str:
        """Which key of the account `problem` is about; empty: none."""
        head = f"accounts.{self.name}."
        return problem.key.removeprefix(head) if problem.key.startswith(head) else ""


def _mailbox(keys: Mapping[str, Any]) -> tuple[str, str]:
    login = str(keys.get("username") or keys.get("address") or "")
    return str(keys.get("provider", "")), login.lower()


def usual_name(address: str, taken: Sequence[str]) -> str:
    """What an account is called unless somebody says otherwise: the local part of its address."""
    try:
        name = name_for(Address.parse(address).local)
    except UsageError:
        return "mail"
    others = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in others if each not in taken)


def target(named: str | None, places: Sequence[str]) -> str:
    """The file to write: the one named, else the one that is found, else root's or one's own."""
    if named:
        return os.path.abspath(named)
    found = next((place for place in places if os.path.lexists(place) and os.access(place, os.W_OK)), None)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return os.path.abspath(found or places[-1 if root else 0])
