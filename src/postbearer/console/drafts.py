"""Settings of an account on their way from a form to the file: kept by the session until they are written."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from postbearer.config import typed_value
from postbearer.console.sessions import ConsoleSession
from postbearer.control import AccountSettingList, AccountSettingRow
from postbearer.secret import Secret

_MOST = 8  # of one session: as many pages as somebody may have open


@dataclass(slots=True, kw_only=True)
class SettingsDraft:
    """What was typed for an account whose settings were those of `version`; no page shows the secrets again.

    `texts` and `secrets` are by key, `dropped` are secrets to take away. `sure`: odd secrets are right.
    """

    account: str
    version: str
    texts: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict, repr=False)
    dropped: frozenset[str] = frozenset()
    sure: bool = False
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def text(self, row: AccountSettingRow) -> str:
        """What stands in the field of a key; of one that its page did not have, what stood there before."""
        return self.texts.get(row.key, text_of(row))

    def asked(self, found: AccountSettingList) -> Mapping[str, Any]:
        """What is to change in `found`, as the method that does it takes it. Raises `ConfigError`."""
        changed = {
            row.key: _value(found.name, row, self.texts[row.key].strip())
            for row in found.rows
            if row.changeable
            and row.key in self.texts
            and self.texts[row.key].strip() != text_of(row).strip()
        }
        settings = {key: value for key, value in changed.items() if not key.startswith("limits.")}
        if len(settings) < len(changed):
            settings["limits"] = dict(_limits(found, changed)) or None
        settings |= dict.fromkeys(self.dropped - self.secrets.keys())
        return {
            "name": found.name,
            "settings": settings,
            "secrets": {key: secret.reveal() for key, secret in self.secrets.items()},
            "sure": self.sure,
            "version": self.version,
        }


def keep(session: ConsoleSession, draft: SettingsDraft) -> None:
    """Have `session` know the draft; those that are older than the last ones are forgotten."""
    session.drafts.pop(draft.id, None)
    session.drafts[draft.id] = draft
    while len(session.drafts) > _MOST:
        del session.drafts[next(iter(session.drafts))]


def text_of(row: AccountSettingRow) -> str:
    """What stands in the field of a key: what the file says, and nothing where it is silent."""
    if row.origin != "file" or row.entry == "secret" or row.value is None:
        return ""
    return "\n".join(map(str, row.value)) if isinstance(row.value, list | tuple) else str(row.value)


def _value(account: str, row: AccountSettingRow, text: str) -> Any:
    if not text:
        return None
    if row.entry == "list":
        return [line.strip() for line in text.splitlines() if line.strip()]
    return typed_value(f"accounts.{account}.{row.key}", text) if row.entry in ("number", "day") else text


def _limits(found: AccountSettingList, changed: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The whole table, of which some keys are `changed`."""
    for row in found.rows:
        head, _, key = row.key.partition(".")
        value = changed.get(row.key, row.value if row.origin == "file" else None)
        if head == "limits" and value is not None:
            yield key, value
