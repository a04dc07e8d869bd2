"""Rows that a transaction adds: to all tables by one statement, since each one is a wait for the database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import asyncpg

from postbearer.errors import StoreError
from postbearer.store.queries import queries

ADDING = queries("adding", "postgres")

Rows = Sequence[tuple[Any, ...]]

_PARAMETER = re.compile(r"\$(\d+)")
_TAKEN = "An id or a key of a message is used already."
_KNOWN = """(SELECT count(*)
     FROM new_messages AS new CROSS JOIN unnest('{0,1,2,3,4,5,6,7}'::smallint[]) AS every (slot)
    CROSS JOIN LATERAL (SELECT 1 FROM message WHERE slot = every.slot AND id = new.id LIMIT 1) AS there)"""


class UniqueConflict(StoreError):
    """An id or a key is used already, perhaps since this moment: to be tried again, as it is known then."""


async def add(connection: Any, tables: Mapping[str, Rows]) -> None:
    """Add rows to tables, by their names in `adding.sql`.

    Raises `UniqueConflict`: then nothing may be committed.
    """
    columns = [column for rows in tables.values() for column in zip(*rows, strict=True)]
    try:
        found = await connection.fetchrow(statement(tuple(tables)), *columns)
    except asyncpg.UniqueViolationError as error:
        raise UniqueConflict(_TAKEN, hint="Try it again.") from error
    if found["known"] or found["keys"] < len(tables.get("keys", ())):
        raise UniqueConflict(_TAKEN, hint="Try it again.")


@cache
def statement(tables: tuple[str, ...]) -> str:
    """Adds rows to these; says how many ids of messages were there before, and how many keys are new."""
    parts, behind = [], 0
    for table in tables:
        numbers = [int(number) for number in _PARAMETER.findall(ADDING[table])]
        parts.append(f"new_{table} AS (\n{_renumbered(ADDING[table], behind)})")
        behind += max(numbers)
    known = _KNOWN if "messages" in tables else "0"
    keys = "(SELECT count(*) FROM new_keys)" if "keys" in tables else "0"
    return f"WITH {', '.join(parts)}\nSELECT {known} AS known, {keys} AS keys"


def _renumbered(text: str, behind: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + behind}", text)
