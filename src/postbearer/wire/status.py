"""Reply codes by name, each with its place, and enhanced status codes as text.

Nothing decides by membership in a list of codes: what to do follows from the first digit
(RFC 5321 4.2.1). The names are for those who write replies.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache

from postbearer.reply import EnhancedStatus, Reply


class Code(IntEnum):
    """The reply codes of RFC 5321 4.2.3 and of the extensions spoken here."""

    HELP = 214
    SERVICE_READY = 220  # also the answer to STARTTLS, RFC 3207 4
    CLOSING = 221
    AUTHENTICATED = 235  # RFC 4954 6
    OK = 250
    WILL_FORWARD = 251
    CANNOT_VERIFY = 252
    CHALLENGE = 334  # RFC 4954 4
    START_CONTENT = 354
    SERVICE_NOT_AVAILABLE = 421
    PASSWORD_TRANSITION_NEEDED = 432  # RFC 4954 6
    MAILBOX_BUSY = 450
    LOCAL_ERROR = 451
    INSUFFICIENT_STORAGE = 452
    TEMPORARY_AUTH_FAILURE = 454  # RFC 4954 6; TLS not available, RFC 3207 4
    CANNOT_ACCOMMODATE_PARAMETERS = 455
    SYNTAX_ERROR = 500
    ARGUMENT_ERROR = 501
    NOT_IMPLEMENTED = 502
    BAD_SEQUENCE = 503
    PARAMETER_NOT_IMPLEMENTED = 504
    MALFORMED_CONTENT = 521  # RFC 7504 3: the server speaks no more mail on this connection
    AUTHENTICATION_REQUIRED = 530  # RFC 4954 6; "Must issue a STARTTLS command first", RFC 3207 4
    AUTHENTICATION_MECHANISM_TOO_WEAK = 534  # RFC 4954 6
    AUTHENTICATION_FAILED = 535  # RFC 4954 6
    ENCRYPTION_REQUIRED = 538  # RFC 4954 6
    MAILBOX_UNAVAILABLE = 550
    USER_NOT_LOCAL = 551
    EXCEEDED_STORAGE = 552
    MAILBOX_NAME_NOT_ALLOWED = 553
    TRANSACTION_FAILED = 554
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
    lines = tuple(f"{prefix}{text}".rstrip().encode() for text in texts or ("",))
    return Reply(code, lines, parse_enhanced(lines[0], code))
