"""The quick look: a cached token for ``postbearer token``, without loading the rest of postbearer.

A process that starts only to print a token must not pay for asyncio, HTTP, TOML or dataclasses.
It may use the kept token if it is fresh and if nothing it depends on has changed: the shortcut, a
digest of the configuration file, the environment that overrides it and our version, says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from postbearer.errors import StoreError
from postbearer.state.sealing import SealedBox, parse_keys

SLACK = 60.0  # seconds by which a token may seem to come from the future before the clock is distrusted
FORMAT = 1
SEALED = ("access", "refresh", "refused")  # the fields of a token file that are sealed, each by itself


def shortcut(configuration: bytes, environment: Mapping[str, str], version: str) -> str:
    """The digest under which a token may be taken without reading the configuration."""
    import hashlib

    ours = sorted((name, value) for name, value in environment.items() if name.startswith("POSTBEARER_"))
    return hashlib.sha256(json.dumps([version, ours]).encode() + b"\0" + configuration).hexdigest()


def peek(state_folder: str | os.PathLike[str], account: str, shortcut: str, now: float) -> str | None:
    """The kept token of `account`, if it is fresh at `now` (Unix seconds) and `shortcut` knows it.

    None means: take the long way. It never raises.
    """
    folder = os.fspath(state_folder)
    if not shortcut or not account.replace("-", "").replace("_", "").isalnum():
        return None
    try:
        geteuid = getattr(os, "geteuid", None)
        if geteuid is not None and os.stat(folder).st_uid != geteuid():
            return None
        with open(os.path.join(folder, "tokens", account), "rb") as file:
            entry = parse(file.read())
        with open(os.path.join(folder, "key"), encoding="ascii") as file:
            box = SealedBox(parse_keys(file.read()))
        kept = opened(box, entry, account, "access")
        if shortcut in kept["shortcuts"] and kept["obtained"] - SLACK <= now < kept["fresh_until"]:
            return str(kept["token"])
    except (OSError, ValueError, KeyError, TypeError, StoreError):
        pass
    return None


def parse(data: bytes) -> dict[str, Any]:
    """The entry in a token file.

    Raises `ValueError` also where a field is missing or has another name: it would be gone in silence.
    """
    entry = json.loads(data)
    if not _whole(entry) or ("previous" in entry and not _whole(entry["previous"])):
        raise ValueError("not a token file")
    return dict(entry)


def _whole(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("format") == FORMAT
        and entry.keys() >= {"format", "binding", "version"}
        and entry.keys() <= {"format", "binding", "version", "previous", *SEALED}
        and isinstance(entry["binding"], str)
        and type(entry["version"]) is int
    )


def opened(box: SealedBox, entry: Mapping[str, Any], account: str, field: str) -> dict[str, Any]:
    """What is sealed in `field` of `entry`. Raises `StoreError`, `ValueError` or `KeyError`."""
    plain = json.loads(box.unseal(str(entry[field]), place(account, entry["binding"], field)))
    if not isinstance(plain, dict):
        raise ValueError("not a sealed record")  # noqa: TRY004 - one error for all that is unreadable
    return plain


def place(account: str, binding: str, field: str) -> str:
    """What a sealed field is bound to: moved to another account, grant or field, it does not open."""
    return f"postbearer token {account} {binding} {field}"
