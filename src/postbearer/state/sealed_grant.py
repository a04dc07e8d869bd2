"""The kept tokens of one account as a record: sealed field by field, whoever keeps it.

Access and refresh token are sealed apart, each to its account, binding and field. An access token
that cannot be read is as good as none; a refresh token never goes missing silently, because nobody
but a person can get another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from postbearer.errors import StoreError
from postbearer.oauth import StoredGrant
from postbearer.secret import Secret
from postbearer.state.cached_token import FORMAT, SEALED, opened, parse, place
from postbearer.state.sealing import SealedBox

_TIMES = ("signed_in", "refreshed", "refresh_expires")  # of the refresh token; older records lack them
_SHORTCUTS = 4  # callers that may use the quick look: the relay's environment and a shell's differ

Standing = dict[str, Any] | None  # the record that stands; empty if there is none, None if it is damaged


class SealedGrant:
    """Reads and writes records. What is kept under another `binding` is never used.

    `box` gives the keys, anew at each use; `place` says in errors where the record is.
    """

    def __init__(
        self, account: str, binding: str, box: Callable[[], SealedBox], *, place: str, shortcut: str = ""
    ) -> None:
        self._account = account
        self._binding = binding
        self._box = box
        self._place = place
        self.shortcut = shortcut

    def standing(self, data: bytes | None) -> Standing:
        """The record in `data`."""
        if data is None:
            return {}
        try:
            return parse(data)
        except (ValueError, RecursionError):
            return None

    def load(self, standing: Standing) -> StoredGrant:
        """What of it is ours."""
        if standing is None:
            return StoredGrant(damage=f"{self._place} is damaged")
        version = version_of(standing)
        entry = self._mine(standing)
        if entry is None:
            return StoredGrant(version=version, damage=self._misnamed(standing))
        return self._open(entry, version)

    def resealed(self, entry: Mapping[str, Any], box: SealedBox) -> dict[str, Any]:
        """The same under the newest key."""
        again = dict(entry)
        for field in SEALED:
            if field in entry:
                where = place(self._account, entry["binding"], field)
                with suppress(StoreError):  # what does not open now stays as it is: a key may come back
                    again[field] = box.seal(box.unseal(entry[field], where), where)
        if isinstance(entry.get("previous"), dict):
            again["previous"] = self.resealed(entry["previous"], box)
        return again

    def _misnamed(self, standing: Mapping[str, Any]) -> str:
        """What is wrong if a sign-in is there that opens under no binding: its own one was damaged."""
        for each in _entries(standing):
            if "refresh" in each:
                try:
                    opened(self._box(), each, self._account, "refresh")
                except (StoreError, ValueError, KeyError) as error:
                    return f"{self._place}: {_why(error)}"
        return ""

    def _open(self, entry: Mapping[str, Any], version: int) -> StoredGrant:
        box = self._box()
        kept = StoredGrant(version=version)
        try:
            if "access" in entry:
                fields = opened(box, entry, self._account, "access")
                kept = replace(
                    kept,
                    access=Secret(fields["token"]),
                    obtained=float(fields["obtained"]),
                    expires=float(fields["expires"]),
                    fresh_until=float(fields["fresh_until"]),
                    scope=str(fields["scope"]),
                    basis=str(fields.get("basis", "")),
                )
        except (StoreError, ValueError, KeyError, TypeError):
            kept = StoredGrant(version=version)  # as good as none: the next request brings another
        try:
            if "refresh" in entry:
                fields = opened(box, entry, self._account, "refresh")
                times: Any = {name: float(fields.get(name, 0.0)) for name in _TIMES}
                token = Secret(fields["token"])
                kept = replace(kept, refresh=token, origin=str(fields["origin"]), **times)
        except (StoreError, ValueError, KeyError, TypeError) as error:
            kept = replace(kept, damage=f"{self._place}: {_why(error)}")
        # One that cannot be read costs one more try of the password, and the next refusal is kept again.
        with suppress(StoreError, ValueError, KeyError):
            if "refused" in entry:
                kept = replace(kept, refused=str(opened(box, entry, self._account, "refused")["digest"]))
        return kept

    def record(self, kept: StoredGrant, standing: Standing) -> bytes:
        """The record to put in the place of the `standing` one."""
        box = self._box()
        entry: dict[str, Any] = {"format": FORMAT, "binding": self._binding, "version": kept.version + 1}
        if kept.access is not None:
            self._seal(box, entry, "access", self._access_fields(kept, standing))
        if kept.refresh is not None:
            fields: dict[str, Any] = {"token": kept.refresh.reveal(), "origin": kept.origin}
            fields |= {name: getattr(kept, name) for name in _TIMES}
            self._seal(box, entry, "refresh", fields)
        elif kept.damage and (mine := self._mine(standing)) and "refresh" in mine:
            entry["refresh"] = mine["refresh"]  # unreadable now, perhaps not once a key is restored
        if kept.refused:
            self._seal(box, entry, "refused", {"digest": kept.refused})
        # A sign-in made under another configuration is kept, unused, until there is one more change:
        # whoever takes the change back need not sign in again.
        other = next((one for one in _entries(standing) if self._foreign(one)), None)
        if other is not None:
            entry["previous"] = {name: value for name, value in other.items() if name != "previous"}
        return json.dumps(entry).encode()

    def _seal(self, box: SealedBox, entry: dict[str, Any], field: str, fields: Mapping[str, Any]) -> None:
        where = place(self._account, self._binding, field)
        entry[field] = box.seal(json.dumps(fields).encode(), where)

    def _access_fields(self, kept: StoredGrant, standing: Standing) -> dict[str, Any]:
        assert kept.access is not None
        known = [name for name in self.shortcuts(standing) if name != self.shortcut]
        return {
            "token": kept.access.reveal(),
            "obtained": kept.obtained,
            "expires": kept.expires,
            "fresh_until": kept.fresh_until,
            "scope": kept.scope,
            "basis": kept.basis,
            "shortcuts": ([self.shortcut] if self.shortcut else []) + known[: _SHORTCUTS - 1],
        }

    def shortcuts(self, standing: Standing) -> list[str]:
        """Under which the access token may be taken quickly."""
        if not standing or standing["binding"] != self._binding:
            return []
        try:
            return list(opened(self._box(), standing, self._account, "access")["shortcuts"])
        except (StoreError, ValueError, KeyError, TypeError):
            return []

    def _mine(self, standing: Standing) -> Mapping[str, Any] | None:
        return next((one for one in _entries(standing) if one["binding"] == self._binding), None)

    def _foreign(self, entry: Mapping[str, Any]) -> bool:
        return entry["binding"] != self._binding and "refresh" in entry


def _why(error: Exception) -> str:
    return error.message.rstrip(".") if isinstance(error, StoreError) else "its content makes no sense"


def _entries(standing: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    entries = [standing, standing.get("previous")] if standing else []
    return [one for one in entries if isinstance(one, dict) and isinstance(one.get("binding"), str)]


def version_of(standing: Standing) -> int:
    version = standing.get("version") if standing else 0
    return version if isinstance(version, int) else 0
