"""What is asked of accounts that are added, changed and renamed."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from postbearer.control.method import Text


class NewAccount(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An account to add. `settings` are its keys, `secrets` the secrets themselves, to be sealed.

    With `like`, the rest is as that account has it. `sure`: odd secrets are taken all the same.
    """

    name: Text = ""
    settings: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    like: Text = ""
    sure: bool = False

    def __repr__(self) -> str:
        return f"NewAccount({self.name!r})"


class ChangedAccount(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An account and what of it is to be otherwise; a key that is null is taken away.

    With a `version`, only while its settings are those of that version.
    """

    name: Text
    settings: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    sure: bool = False
    version: Text = ""

    def __repr__(self) -> str:
        return f"ChangedAccount({self.name!r})"


class RenamedAccount(Struct, forbid_unknown_fields=True, frozen=True):
    """An account, and what it is to be called."""

    name: Text
    to: Text
