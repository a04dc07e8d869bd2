"""The settings of an account as they stand: key by key with where each comes from, and what differs."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from postbearer.config import AccountKey, Configuration, account_keys, blanked
from postbearer.control.account_answers import AccountSettingRow, SettingOrigin
from postbearer.control.account_keys import SECRETS

if TYPE_CHECKING:
    from postbearer.providers import Preset
    from postbearer.settings import AccountSettings

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Previous:
    """What keys of an account were before they were changed, None: not there; and which state that led to."""

    keys: Mapping[str, Any]
    led_to: str


@dataclass(slots=True)
class SharedEdits:
    """What all have in common who edit one configuration: one at a time, by the same versions."""

    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    previous: dict[str, Previous] = field(default_factory=dict)  # by account: what was changed last
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def version(self, table: Mapping[str, Any]) -> str:
        """What tells one state of an account's keys from any other, and nothing of what they hold."""
        text = json.dumps(table, sort_keys=True, default=str)
        return hmac.digest(self._key, text.encode(), "sha256").hex()[:32]


def setting_rows(
    loaded: Configuration, name: str, table: Mapping[str, Any], changeable: frozenset[str]
) -> Iterator[AccountSettingRow]:
    """All keys of the account `name`, of which the file has `table`. Secrets are not in them."""
    settings = loaded.account(name)
    given = _flat(table)
    holds, preset = _flat(_as_given(loaded, name)), loaded.preset(settings)
    usual = _flat(_usual(settings, preset))
    defaults = _flat(msgspec.to_builtins(settings))
    ours = [path for path in loaded.origins if path[:2] == ("accounts", name)]
    free = changeable - {str(path[2]) for path in ours if len(path) > 2}
    others = tuple(sorted(each for each in loaded.settings.accounts if each != name))
    for key in account_keys():
        variable = _variable(loaded, name, key.key)
        origin, value = _in_force(key.key, given, holds, usual, defaults, variable)
        yield AccountSettingRow(
            key=key.key,
            meaning=key.meaning,
            entry=key.entry,
            unit=key.unit,
            choices=others if key.entry == "account" else key.choices,
            examples=key.examples,
            value=_shown(key, value),
            origin=origin,
            variable=variable,
            changeable=key.entry != "table" and _top(key.key) in free,
        )


def difference(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """What changes of the account `name`: lines of TOML that go (-) and come (+), without secrets."""
    old, new = _flat(before), _flat(after)
    lines: list[str] = []
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key, _MISSING), new.get(key, _MISSING)
        if was != now:
            lines += [f"- {key} = {_written(key, was)}"] if was is not _MISSING else []
            lines += [f"+ {key} = {_written(key, now)}"] if now is not _MISSING else []
    return (f"  [accounts.{name}]", *lines) if lines else ()


def _in_force(
    key: str,
    given: Mapping[str, Any],
    holds: Mapping[str, Any],
    usual: Mapping[str, Any],
    defaults: Mapping[str, Any],
    variable: str,
) -> tuple[SettingOrigin, Any]:
    if variable:
        return "environment", holds.get(key)
    if key in given:
        return "file", given[key]
    if usual.get(key) not in (None, "", (), [], 0):
        return "provider", usual[key]
    default = defaults.get(key)
    return ("default", default) if default not in (None, "", (), [], {}) else ("none", None)


def _as_given(loaded: Configuration, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = loaded.data["accounts"][name]
    return found


def _usual(settings: AccountSettings, preset: Preset) -> dict[str, Any]:
    """What the provider says where the account does not."""
    found: dict[str, Any] = {
        "servers": preset.servers,
        "tls": preset.tls,
        "limits": msgspec.to_builtins(preset.limits),
    }
    if settings.authentication == "oauth":
        found |= {
            "tenant": preset.default_tenant,
            "scopes": preset.scopes.get(settings.grant or "", ()),
            "refresh-margin": preset.refresh_margin,
            "refresh-token-idle": preset.refresh_idle,
            "refresh-token-lifetime": preset.refresh_lifetime,
        }
    return found


def _variable(loaded: Configuration, name: str, key: str) -> str:
    """Which variable of the environment sets the key; empty: none."""
    path = ("accounts", name, *key.split("."))
    found = (loaded.origins.get(path[:length]) for length in range(2, len(path) + 1))
    return next(filter(None, found), "")


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a table and of the one below it that has keys of ours, in dots."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key == "limits" and isinstance(value, Mapping):
            found |= {f"limits.{name}": each for name, each in value.items()}
        else:
            found[key] = value
    return found


def _top(key: str) -> str:
    return key.partition(".")[0]


def _shown(key: AccountKey, value: Any) -> Any:
    if key.entry == "secret" and isinstance(value, str):
        return value.partition(":")[0]  # where it is kept, which is no secret
    return blanked(value, key.key)


def _written(key: str, value: Any) -> str:
    """A value as it stands in a file."""
    import tomlkit

    if key in SECRETS and isinstance(value, str) and value.startswith("sealed:"):
        return '"sealed:…"'
    shown = blanked(value, key)
    if isinstance(shown, Mapping):
        table = tomlkit.inline_table()
        table.update(shown)
        return str(table.as_string())
    return str(tomlkit.item(shown).as_string())
