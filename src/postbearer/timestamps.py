"""Points in time as text: RFC 3339, section 5.6."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|([+-])(\d\d):(\d\d))?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> float:
    """Unix seconds of ``2026-12-01T08:00:00+01:00``. Raises `ValueError` that says what is wrong with it.

    A leap second (``:60``) is the one that follows it.
    """
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError("is no time as RFC 3339 has it, 2026-12-01T08:00:00+01:00")
    if found[8] is None:
        raise ValueError("has no time zone; end it with Z for UTC, or with an offset such as +01:00")
    year, month, day, hour, minute, second = (int(found[group]) for group in range(1, 7))
    leap = second == 60
    try:
        there = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"is no time there is: {error}") from None
    if found[9] is None:
        offset = 0
    else:
        hours, minutes = int(found[10]), int(found[11])
        if hours > 23 or minutes > 59:
            raise ValueError("has an offset from UTC that no place has")
        offset = (hours * 3600 + minutes * 60) * (1 if found[9] == "+" else -1)
    return (there - _EPOCH).total_seconds() + leap + float(found[7] or 0) - offset


def format_timestamp(seconds: float) -> str:
    """Unix seconds as ``2026-12-01T07:00:00Z``, without what is left of the second."""
    return f"{(_EPOCH + timedelta(seconds=int(seconds))).replace(tzinfo=None).isoformat()}Z"
