"""Exit codes (``sysexits.h``), so that whoever calls knows whether to try again."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from errno import EDQUOT, EIO, ENOSPC

from postbearer.errors import (
    BudgetSpent,
    ConfigError,
    CredentialError,
    GrantRefused,
    LocalProtocolError,
    NetworkError,
    PlugInFailed,
    PostbearerError,
    ProtocolError,
    Rejected,
    SecretError,
    SecretUnavailable,
    SenderNotAllowed,
    StoreError,
    TokenUnavailable,
    UsageError,
)
from postbearer.outcome import Outcome, Receipt, State
from postbearer.reply import Reply


class Exit(IntEnum):
    """What an exit code means."""

    OK = 0
    USAGE = 64  # the command line
    DATA = 65  # the message
    NO_INPUT = 66  # a file that cannot be read
    UNAVAILABLE = 69  # refused for good
    BUG = 70
    CANNOT_CREATE = 73
    IO = 74
    TRY_AGAIN = 75
    NO_PERMISSION = 77
    CONFIG = 78
    INTERRUPTED = 130  # 128 + SIGINT, as shells say it
    BROKEN_PIPE = 141  # 128 + SIGPIPE


class UnusableMessage(UsageError):
    """The message cannot be sent as it is."""


class Unreadable(UsageError):
    """A file that was named cannot be read."""


class CannotCreate(UsageError):
    """A file that was named is there already, or cannot be made."""


_BY_KIND: tuple[tuple[type[PostbearerError], Exit], ...] = (  # the first that fits
    (ConfigError, Exit.CONFIG),
    (SecretUnavailable, Exit.TRY_AGAIN),
    (SecretError, Exit.CONFIG),
    (SenderNotAllowed, Exit.NO_PERMISSION),
    (UnusableMessage, Exit.DATA),
    (Unreadable, Exit.NO_INPUT),
    (CannotCreate, Exit.CANNOT_CREATE),
    (UsageError, Exit.USAGE),
    (LocalProtocolError, Exit.DATA),
    (TokenUnavailable, Exit.TRY_AGAIN),
    (PlugInFailed, Exit.BUG),
    (CredentialError, Exit.NO_PERMISSION),
    (NetworkError, Exit.TRY_AGAIN),
    (ProtocolError, Exit.TRY_AGAIN),
    (BudgetSpent, Exit.TRY_AGAIN),
    (StoreError, Exit.TRY_AGAIN),
)
_AUTHENTICATION = (530, 534, 535, 538)  # RFC 4954 6
_SENDER = ((5, 2, 252), (5, 7, 60))  # SendAsDenied, as Exchange says it


def exit_code(error: BaseException) -> Exit:
    """The exit code for an error."""
    match error:
        case Rejected():
            return outcomes_code(error.receipt.outcomes)
        case GrantRefused(configuration=True) | StoreError(configuration=True):
            return Exit.CONFIG
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case BrokenPipeError():
            return Exit.BROKEN_PIPE
        case OSError() if error.filename is not None or error.errno in (ENOSPC, EIO, EDQUOT):
            return Exit.IO  # a file or a full disk; any other is a defect of ours
        case _:
            return next((code for kind, code in _BY_KIND if isinstance(error, kind)), Exit.BUG)


def receipt_code(receipt: Receipt) -> Exit:
    """The exit code for what became of a message."""
    return outcomes_code(receipt.outcomes)


def outcomes_code(outcomes: Iterable[Outcome]) -> Exit:
    """0 when everybody was accepted, else the first that applies of 77, 69 and 75."""
    codes = {_outcome_code(outcome) for outcome in outcomes}
    order = (Exit.NO_PERMISSION, Exit.UNAVAILABLE, Exit.TRY_AGAIN)
    return next((code for code in order if code in codes), Exit.OK)


def _outcome_code(outcome: Outcome) -> Exit:
    if outcome.state is State.DELIVERED:
        return Exit.OK
    if outcome.reply is not None and _refuses_us(outcome.reply):
        return Exit.NO_PERMISSION
    if outcome.error is not None and exit_code(outcome.error) in (Exit.NO_PERMISSION, Exit.CONFIG):
        return Exit.NO_PERMISSION
    return Exit.UNAVAILABLE if outcome.state is State.FAILED else Exit.TRY_AGAIN


def _refuses_us(reply: Reply) -> bool:
    """Whether the account or the sender was refused, rather than a recipient."""
    return reply.code in _AUTHENTICATION or reply.enhanced in _SENDER
