"""Our own replies to a message that is not taken."""

from __future__ import annotations

from postbearer.errors import KeyReused, StoreError, StoreFull
from postbearer.reply import EnhancedStatus, Reply


def refuse(code: int, status: str, text: str) -> Reply:
    kind, subject, detail = (int(part) for part in status.split("."))
    safe = "".join(char if char.isprintable() else "?" for char in text)[:400]
    return Reply(
        code, (f"{status} {safe}".encode("ascii", "replace"),), EnhancedStatus(kind, subject, detail)
    )


def too_large(limit: int) -> Reply:
    return refuse(552, "5.3.4", f"The message is larger than {limit} octets")


NO_ROOM = refuse(452, "4.3.1", "There is no room for this message now; try again later")
NOT_STORED = refuse(451, "4.3.0", "The message could not be stored; try again later")


def refusal_of(error: StoreError | KeyReused) -> Reply:
    """What a client is told of trouble with the spool."""
    if isinstance(error, KeyReused):
        return refuse(554, "5.5.0", error.message)
    return NO_ROOM if isinstance(error, StoreFull) else NOT_STORED
