"""SQL by name: ``sql/FILE.sql`` holds queries, each below a line ``-- name: NAME``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_NAME = re.compile(r"^-- name: (\S+)$", re.MULTILINE)


@cache
def queries(file: str, room: str = "") -> dict[str, str]:
    """The queries of ``sql/{file}.sql``, of SQLite or of another store in the folder `room`."""
    text = (_FOLDER / room / "sql" / f"{file}.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {name: query.strip() for name, query in zip(parts[::2], parts[1::2], strict=True)}


@cache
def migrations(room: str = "") -> list[str]:
    """The scripts of ``migrations/``, in order; the version of a schema is how many of them made it."""
    return [file.read_text("utf-8") for file in sorted((_FOLDER / room / "migrations").iterdir())]
