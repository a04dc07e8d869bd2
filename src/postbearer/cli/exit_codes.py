"""Exit codes (``sysexits.h``), so that whoever calls knows whether to try again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from errno import EDQUOT, EIO, ENOSPC

from postbearer import errors
from postbearer.errors import UsageError
from postbearer.outcome import Outcome, Receipt, State
from postbearer.reply import Reply


class ExitCode(IntEnum):
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


class UsageErrors(UsageError):
    """Several things are impossible; `problems` holds one `UsageError` for each."""

    def __init__(self, problems: Sequence[UsageError]) -> None:
        super().__init__(" ".join(problem.message for problem in problems), hint=problems[0].hint)
        self.problems = tuple(problems)


# Each error there is; one that is not here ends as what it is derived from.
_CODES: dict[type[BaseException], ExitCode] = {
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    BrokenPipeError: ExitCode.BROKEN_PIPE,
    UnusableMessage: ExitCode.DATA,
    Unreadable: ExitCode.NO_INPUT,
    CannotCreate: ExitCode.CANNOT_CREATE,
    errors.PostbearerError: ExitCode.BUG,
    errors.UsageError: ExitCode.USAGE,
    errors.Conflict: ExitCode.USAGE,
    errors.KeyReused: ExitCode.USAGE,
    errors.SenderNotAllowed: ExitCode.NO_PERMISSION,
    errors.NotPermitted: ExitCode.NO_PERMISSION,
    errors.ConfigError: ExitCode.CONFIG,
    errors.ConfigErrors: ExitCode.CONFIG,
    errors.ProtocolError: ExitCode.TRY_AGAIN,
    errors.LocalProtocolError: ExitCode.DATA,
    errors.RemoteProtocolError: ExitCode.TRY_AGAIN,
    errors.NetworkError: ExitCode.TRY_AGAIN,
    errors.ConnectFailed: ExitCode.TRY_AGAIN,
    errors.TlsFailed: ExitCode.TRY_AGAIN,
    errors.TimedOut: ExitCode.TRY_AGAIN,
    errors.Disconnected: ExitCode.TRY_AGAIN,
    errors.ServerRefused: ExitCode.TRY_AGAIN,
    errors.RelayNotRunning: ExitCode.TRY_AGAIN,
    errors.CredentialError: ExitCode.NO_PERMISSION,
    errors.TokenUnavailable: ExitCode.TRY_AGAIN,
    errors.GrantRefused: ExitCode.NO_PERMISSION,
    errors.CredentialRefused: ExitCode.NO_PERMISSION,
    errors.MechanismMissing: ExitCode.NO_PERMISSION,
    errors.PlugInFailed: ExitCode.BUG,
    errors.SecretError: ExitCode.CONFIG,
    errors.SecretUnavailable: ExitCode.TRY_AGAIN,
    errors.Rejected: ExitCode.UNAVAILABLE,  # but for what its outcomes say
    errors.SubmissionRefused: ExitCode.TRY_AGAIN,  # but for a reply of 5xx
    errors.BudgetSpent: ExitCode.TRY_AGAIN,
    errors.StoreError: ExitCode.TRY_AGAIN,
    errors.StoreFull: ExitCode.TRY_AGAIN,
    errors.AlreadyAccepted: ExitCode.TRY_AGAIN,
    errors.LeaseLost: ExitCode.TRY_AGAIN,
    errors.SchemaMismatch: ExitCode.CONFIG,
    errors.OutcomeUnknown: ExitCode.TRY_AGAIN,
}


def exit_code(error: BaseException) -> ExitCode:
    """The exit code for an error, whichever command meets it."""
    match error:
        case errors.Rejected():
            return outcomes_code(error.receipt.outcomes)
        case errors.ServerRefused(reply=Reply(code=code)) if code >= 500:
            return ExitCode.NO_PERMISSION
        case errors.SubmissionRefused(reply=Reply(permanent=True)):
            return ExitCode.UNAVAILABLE
        case _ if errors.is_configuration(error):
            return ExitCode.CONFIG
        case OSError() if error.filename is not None or error.errno in (ENOSPC, EIO, EDQUOT):
            return ExitCode.IO  # a file or a full disk; any other is a defect of ours
        case _:
            return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), ExitCode.BUG)


def receipt_code(receipt: Receipt) -> ExitCode:
    """The exit code for what became of a message."""
    return outcomes_code(receipt.outcomes)


def outcomes_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """0 when everybody was accepted, else the first that applies of 77, 69 and 75."""
    codes = {_outcome_code(outcome) for outcome in outcomes}
    order = (ExitCode.NO_PERMISSION, ExitCode.UNAVAILABLE, ExitCode.TRY_AGAIN)
    return next((code for code in order if code in codes), ExitCode.OK)


def _outcome_code(outcome: Outcome) -> ExitCode:
    if outcome.state is State.DELIVERED:
        return ExitCode.OK
    if outcome.refuses_us:
        return ExitCode.NO_PERMISSION
    if outcome.error is not None and exit_code(outcome.error) in (ExitCode.NO_PERMISSION, ExitCode.CONFIG):
        return ExitCode.NO_PERMISSION
    return ExitCode.UNAVAILABLE if outcome.state is State.FAILED else ExitCode.TRY_AGAIN
