"""Secret references: ``env:NAME``, ``file:/path``, … → a `SecretSource`.

Each kind of store is a function from what stands behind the colon to a source. Further kinds come
from the entry-point group ``postbearer.secret_stores``, and from the named tables of a configuration.
What is no reference may be a secret written in the wrong place, so it is never repeated in an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from postbearer.clock import Clock, SystemClock
from postbearer.errors import SecretError
from postbearer.secret import SecretSource
from postbearer.state import StateFolder
from postbearer.suggestion import meant

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP = "postbearer.secret_stores"

_BUILT_IN = {  # scheme -> module and function; loaded when a reference of that scheme is met
    "env": "postbearer.secrets.env:EnvironmentSecret",
    "file": "postbearer.secrets.file:open_file",
    "systemd": "postbearer.secrets.systemd:open_credential",
    "command": "postbearer.secrets.command:CommandSecret",
    "sealed": "postbearer.secrets.sealed:open_sealed",
    "hashicorp-vault": "postbearer.secrets.vault:open_vault",
    "azure-key-vault": "postbearer.secrets.azure:open_azure",
    "gcp-secret-manager": "postbearer.secrets.gcp:open_gcp",
    "conjur": "postbearer.secrets.conjur:open_conjur",
    "aws-secrets-manager": "postbearer.secrets.aws:open_aws",
    "github-actions": "postbearer.secrets.github:open_github",
    "keyring": "postbearer.secrets.keyring:open_keyring",
}


@dataclass(frozen=True, slots=True)
class ReferenceContext:
    """What a store may know beside the reference."""

    base: Path | None = None  # relative paths start here: the folder of the configuration
    state: StateFolder | None = None  # where the local key is
    settings: Mapping[str, object] = field(default_factory=dict)  # of its [secret-stores.NAME] table
    clock: Clock = field(default_factory=SystemClock)
    scheme: str = ""  # what stands before the colon: the kind of store, or the name of its table

    def source(self, reference: str) -> SecretSource:
        """Where a secret is that the store itself needs; never in a store that a table names."""
        return source(reference, base=self.base, state=self.state, clock=self.clock)


class SecretStore(Protocol):
    """A kind of store: ``(what stands behind the colon, place)`` → source. Raises `SecretError`."""

    def __call__(self, rest: str, place: ReferenceContext, /) -> SecretSource: ...


def source(
    reference: str,
    *,
    base: Path | None = None,
    state: StateFolder | None = None,
    cache: float = 0.0,
    named: Mapping[str, SecretStore] | None = None,
    clock: Clock | None = None,
) -> SecretSource:
    """The source that `reference` names.

    `cache` is how many seconds a value may be kept (0: read each time); `named` holds stores of the
    configuration, which go before all others. Raises `SecretError` for what is no reference, or names
    a store nobody knows.
    """
    scheme, colon, rest = reference.partition(":")
    store = _find(scheme, named or {}) if colon else None
    if store is None:
        raise _unknown(scheme if colon else "", named or {})
    if not rest:
        raise SecretError(f"{scheme}: names nothing.", reference=reference, hint=f"Write {scheme}:…")
    place = ReferenceContext(base=base, state=state, clock=clock or SystemClock(), scheme=scheme)
    return _cached(store(rest, place), cache, place.clock)


def configured(kind: str, settings: Mapping[str, object], cache: float = 0.0) -> SecretStore:
    """The store of a ``[secret-stores.NAME]`` table; its values are kept for `cache` seconds."""

    def store(rest: str, place: ReferenceContext) -> SecretSource:
        found = _find(kind, {})
        if found is None:
            raise _unknown(kind, {})
        return _cached(found(rest, replace(place, settings=settings)), cache, place.clock)

    return store


def _cached(found: SecretSource, cache: float, clock: Clock) -> SecretSource:
    if cache <= 0:
        return found
    from postbearer.secrets.cached import CachedSecret

    return CachedSecret(found, cache, clock)


def is_reference(text: str, named: Mapping[str, SecretStore] | None = None) -> bool:
    """Whether `text` names a secret in a store we know."""
    scheme, colon, rest = text.partition(":")
    return bool(colon and rest) and _find(scheme, named or {}) is not None


def schemes(named: Mapping[str, SecretStore] | None = None) -> list[str]:
    """Every scheme there is: built in, plugged in, named."""
    return sorted({*_BUILT_IN, *_plug_ins().names, *(named or {})})


def _find(scheme: str, named: Mapping[str, SecretStore]) -> SecretStore | None:
    if scheme in named:
        return named[scheme]
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return cast(SecretStore, getattr(import_module(module), name))
    for entry in _plug_ins().select(name=scheme):
        from postbearer.secrets.plugins import plugged

        return plugged(entry)
    return None


def _plug_ins() -> EntryPoints:
    from importlib.metadata import entry_points  # slow to import, and most references need no plug-in

    return entry_points(group=GROUP)


def incomplete(reference: str, shape: str) -> SecretError:
    """The error for a reference that leaves something out; it shows the `shape` of a whole one."""
    return SecretError(f"{reference} is not complete.", reference=reference, hint=f"Write {shape}.")


def need(package: str, extra: str, reference: str) -> None:
    """Raise `SecretError` naming what to install, if `package` is not there."""
    if find_spec(package) is None:
        raise SecretError(
            f"{reference} needs the package {package}.",
            reference=reference,
            hint=f"Install it: pip install 'postbearer[{extra}]'",
        )


def _unknown(scheme: str, named: Mapping[str, SecretStore]) -> SecretError:
    known = schemes(named)
    close = meant(scheme, known)
    hint = (
        f"Did you mean {close[0]}:…?"
        if close
        else "Known are " + ", ".join(f"{one}:…" for one in known) + "."
    )
    return SecretError(
        "This is not a reference to a secret (it is not shown: it may be the secret itself).",
        hint=f"Put the secret somewhere and write where, for instance env:NAME or file:/path. {hint}",
    )
