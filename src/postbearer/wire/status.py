"""The few reply codes that have a name here, and enhanced status codes as text.

Nothing decides by membership in a list of codes: what to do follows from the first digit
(RFC 5321 4.2.1).
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache

from postbearer.reply import EnhancedStatus, Reply


class Code(IntEnum):
    """The reply codes that the server core writes or looks at by themselves (RFC 5321 4.2.3)."""

    SERVICE_READY = 220
    OK = 250
    CHALLENGE = 334  # RFC 4954 4
    ARGUMENT_ERROR = 501
    BAD_SEQUENCE = 503
    PARAMETER_NOT_RECOGNIZED = 555


# RFC 3463 2: numbers of one to three digits, no leading zeros; what follows must be apart.
_ENHANCED = re.compile(rb"[245]\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})(?![^ \t])")


def parse_enhanced(line: bytes, code: int) -> EnhancedStatus | None:
    """The enhanced status code a reply line begins with.

    None if there is none, or if its class contradicts `code` (RFC 2034 4): then the code counts.
    """
    match = _ENHANCED.match(line)
    if match is None:
        return None
    status = _status(match[0])
    return status if status.kind == code // 100 else None


@lru_cache(maxsize=256)
def _status(digits: bytes) -> EnhancedStatus:
    return EnhancedStatus(*map(int, digits.split(b".")))


def compose(code: int, *texts: str, enhanced: str = "") -> Reply:
    """A `Reply` to send: `enhanced` (``"5.5.1"``) is written in front of every line (RFC 2034 3)."""
    prefix = f"{enhanced} " if enhanced else ""
    lines = tuple([f"{prefix}{text}".rstrip().encode() for text in texts or ("",)])
    return Reply(code, lines, parse_enhanced(lines[0], code))
