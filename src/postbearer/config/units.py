"""Durations, sizes and times as people write them: ``90 s``, ``1h 30m``; ``25 MB``, ``10 MiB``."""

from __future__ import annotations

import math
import re

from postbearer.timestamps import parse_timestamp

_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
}
_DURATION_WORDS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
_BYTES = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)

_MOST = 1e300  # what goes beyond is no number of anything, and some of it no float

DURATION_HINT = 'Write seconds (90) or a text such as "90 s", "55m" or "1h 30m".'
MOMENT_HINT = 'Write "2026-12-01T08:00:00+01:00", or a while from now such as "90 s" or "1h 30m".'
SIZE_HINT = 'Write bytes (26214400) or a text such as "25 MB" or "10 MiB".'


def parse_duration(value: object) -> float:
    """Seconds from a number or a text. Raises `ValueError` for anything that is no duration."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _seconds(float(value) if abs(value) < _MOST else math.inf)
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError("is not a duration")
    total, position = 0.0, 0
    previous = math.inf
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or (unit := _DURATION_WORDS.get(part[2].lower())) is None:
            raise ValueError("is not a duration")
        if not part[2] and (position or part.end() < len(text)):
            raise ValueError("mixes a number without a unit with others that have one")
        if _SECONDS[unit] >= previous:  # "30m 1h" is more likely a slip than a wish
            raise ValueError("does not go from the larger unit to the smaller")
        previous = _SECONDS[unit]
        total += float(part[1]) * _SECONDS[unit]
        position = part.end()
    return _seconds(total)


def parse_moment(text: str, now: float) -> float:
    """Unix seconds of a time by RFC 3339, or of a duration behind `now`. Raises `ValueError`."""
    if "-" in text or ":" in text:  # no duration has these
        return parse_timestamp(text.strip())
    return now + parse_duration(text)


def parse_time_span(value: object) -> float:
    """`parse_duration` where nothing could be done in no time. Raises `ValueError` for zero, too."""
    if not (seconds := parse_duration(value)):
        raise ValueError("is zero, and would leave no time")
    return seconds


def parse_size(value: object) -> int:
    """Bytes from a whole number or a text. Raises `ValueError` for anything that is no size."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("is negative")
        return _size(value)
    if not isinstance(value, str) or not (part := _PART.fullmatch(value.strip())):
        raise ValueError("is not a size")
    if (factor := _BYTES.get(part[2].lower())) is None:
        raise ValueError("has a unit that is not known")
    return _size(float(part[1]) * factor)


def _size(value: float) -> int:
    if value >= _MOST:
        raise ValueError("has too many digits")
    if not (octets := int(value)):
        raise ValueError("is zero, and would let nothing through")
    return octets


def _seconds(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("is not a finite number of seconds")
    if value < 0:
        raise ValueError("is negative")
    return value
