"""What is told of accounts that are edited: where, how they are now, what a change would do."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class AccountFile(Struct, frozen=True, kw_only=True):
    """Where accounts are configured: whether the relay can write the file, and lets who asks change them."""

    file: str
    writable: bool
    editable: bool


class AccountEdited(Struct, frozen=True, kw_only=True):
    """An account as it is called now, in `file`; `reloaded`: the relay goes by it already."""

    name: str
    file: str
    reloaded: bool


SettingOrigin = Literal["file", "environment", "provider", "default", "none"]


class AccountSettingRow(Struct, frozen=True, kw_only=True):
    """A key of an account: what it means, how it is given, the `value` that holds, and where that is from.

    Of a secret the value is the kind of place where it is kept. `variable` is the one of the environment that
    sets it. `changeable`: by who asks.
    """

    key: str
    meaning: str
    entry: Literal["text", "choice", "account", "list", "number", "day", "secret", "table"]
    unit: Literal["seconds", "octets", ""]
    choices: tuple[str, ...]
    examples: tuple[str, ...]
    value: Any
    origin: SettingOrigin
    variable: str
    changeable: bool


class AccountSettingList(Struct, frozen=True, kw_only=True):
    """The settings of an account in its file; `version` tells this state of them from any other.

    `putting_back`: the keys that were changed last, and can be put back as they were.
    """

    name: str
    file: AccountFile
    version: str
    rows: tuple[AccountSettingRow, ...]
    putting_back: tuple[str, ...]


class AccountDifference(Struct, frozen=True, kw_only=True):
    """What a change would do to an account: lines that go (-) and come (+), without secrets."""

    name: str
    version: str
    lines: tuple[str, ...]
