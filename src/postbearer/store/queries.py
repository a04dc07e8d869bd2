"""SQL by name: ``sql/FILE.sql`` holds queries, each below a line ``-- name: NAME``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_LATER = ".post.sql"
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
    return [file.read_text("utf-8") for file in _scripts(room)]


@cache
def post_steps(room: str = "") -> dict[int, str]:
    """By version: what is done to a schema once no node of an older one works on it, ``NAME.post.sql``."""
    found = enumerate(_scripts(room), 1)
    later = {number: file.with_name(f"{file.stem}{_LATER}") for number, file in found}
    return {number: file.read_text("utf-8") for number, file in later.items() if file.exists()}


def _scripts(room: str) -> list[Path]:
    files = sorted((_FOLDER / room / "migrations").iterdir())
    return [file for file in files if not file.name.endswith(_LATER)]
