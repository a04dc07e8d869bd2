"""Our own replies to a message that is not taken."""

from __future__ import annotations

from postbearer.account import Account
from postbearer.errors import KeyReused, SenderNotAllowed, StoreError, StoreFull, UsageError
from postbearer.message import ParsedHeader
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


def refuse_for(account: Account, reverse_path: str, parsed: ParsedHeader, size: int) -> Reply | None:
    """Why `account` cannot carry a message that has `size` octets as it leaves."""
    if account.limits.size is not None and size > account.limits.size:
        return too_large(account.limits.size)
    try:
        if reverse_path and account.sender.rule != "force":
            account.sender.require([reverse_path])
        parsed.leaving(account.sender)  # as each attempt asks, so that what cannot leave is refused now
    except SenderNotAllowed as error:
        return refuse(550, "5.7.1", error.message)
    except UsageError as error:
        return refuse(550, "5.6.0", str(error))
    return None
