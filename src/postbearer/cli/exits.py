"""Exit codes (``sysexits.h``), so that whoever calls knows whether to try again."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from errno import EDQUOT, EIO, ENOSPC

from postbearer import errors
from postbearer.errors import UsageError
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


# Each error there is; one that is not here ends as what it is derived from.
_CODES: dict[type[BaseException], Exit] = {
    KeyboardInterrupt: Exit.INTERRUPTED,
    BrokenPipeError: Exit.BROKEN_PIPE,
    UnusableMessage: Exit.DATA,
    Unreadable: Exit.NO_INPUT,
    CannotCreate: Exit.CANNOT_CREATE,
    errors.PostbearerError: Exit.BUG,
    errors.UsageError: Exit.USAGE,
    errors.KeyReused: Exit.USAGE,
    errors.SenderNotAllowed: Exit.NO_PERMISSION,
    errors.NotPermitted: Exit.NO_PERMISSION,
    errors.ConfigError: Exit.CONFIG,
    errors.ConfigErrors: Exit.CONFIG,
    errors.ProtocolError: Exit.TRY_AGAIN,
    errors.LocalProtocolError: Exit.DATA,
    errors.RemoteProtocolError: Exit.TRY_AGAIN,
    errors.NetworkError: Exit.TRY_AGAIN,
    errors.ConnectFailed: Exit.TRY_AGAIN,
    errors.TlsFailed: Exit.TRY_AGAIN,
    errors.TimedOut: Exit.TRY_AGAIN,
    errors.Disconnected: Exit.TRY_AGAIN,
    errors.ServerRefused: Exit.TRY_AGAIN,
    errors.CredentialError: Exit.NO_PERMISSION,
    errors.TokenUnavailable: Exit.TRY_AGAIN,
    errors.GrantRefused: Exit.NO_PERMISSION,
    errors.CredentialRefused: Exit.NO_PERMISSION,
    errors.MechanismMissing: Exit.NO_PERMISSION,
    errors.PlugInFailed: Exit.BUG,
    errors.SecretError: Exit.CONFIG,
    errors.SecretUnavailable: Exit.TRY_AGAIN,
    errors.Rejected: Exit.UNAVAILABLE,  # but for what its outcomes say
    errors.BudgetSpent: Exit.TRY_AGAIN,
    errors.StoreError: Exit.TRY_AGAIN,
    errors.StoreFull: Exit.TRY_AGAIN,
    errors.AlreadyAccepted: Exit.TRY_AGAIN,
    errors.LeaseLost: Exit.TRY_AGAIN,
    errors.SchemaMismatch: Exit.CONFIG,
    errors.OutcomeUnknown: Exit.TRY_AGAIN,
}
_AUTHENTICATION = (530, 534, 535, 538)  # RFC 4954 6
_SENDER = ((5, 2, 252), (5, 7, 60))  # SendAsDenied, as Exchange says it


def exit_code(error: BaseException) -> Exit:
    """The exit code for an error, whichever command meets it."""
    match error:
        case errors.Rejected():
            return outcomes_code(error.receipt.outcomes)
        case errors.ServerRefused(reply=Reply(code=code)) if code >= 500:
            return Exit.NO_PERMISSION
        case _ if errors.is_configuration(error):
            return Exit.CONFIG
        case OSError() if error.filename is not None or error.errno in (ENOSPC, EIO, EDQUOT):
            return Exit.IO  # a file or a full disk; any other is a defect of ours
        case _:
            return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), Exit.BUG)


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
