"""How much one client may ask for that brings no message nearer: counted here, and nowhere else."""

from __future__ import annotations

from postbearer.reply import Reply
from postbearer.wire.events import Auth, AuthResponse, Bdat, Ehlo, EndOfContent, Event, Helo, Rcpt
from postbearer.wire.offer import LineLimits
from postbearer.wire.sequence import TransactionState
from postbearer.wire.status import Code


class ErrorLimit:
    """Of one connection. Each method counts one command; False: it was one too many.

    A message that is accepted makes good what was counted before it, but for failed logins.
    """

    def __init__(self, limits: LineLimits) -> None:
        self._limits = limits
        self._errors = 0
        self._idle = 0
        self._failed_logins = 0
        self.slow = limits.soft_errors <= 0  # so many errors that each reply should wait a second

    def renew(self) -> None:
        """A message was accepted."""
        self._errors = self._idle = 0
        self.slow = self._limits.soft_errors <= 0

    def answered(self, event: Event, reply: Reply, transaction: TransactionState | None, chunk: Bdat) -> bool:
        """What the face said to `event`; `chunk` is the last one."""
        match event:
            case Auth() | AuthResponse():
                return True  # `login_failed` counts these
            case Rcpt() if not reply.positive:
                return self.recipient_refused(transaction)
            case _ if not (reply.positive or reply.intermediate):
                return self.refused(reply)
            case Ehlo() | Helo():
                return self.idle()
            case EndOfContent(last=False) if not chunk.size:
                return self.idle()
            case _:
                return True

    def idle(self) -> bool:
        """A greeting, NOOP, RSET, an empty chunk: right in itself, and no step further."""
        self._idle += 1
        return self._idle <= self._limits.max_junk

    def refused(self, reply: Reply) -> bool:
        """What was answered by 4xx or 5xx.

        That it has to wait is no fault; nor is 503, often the mere echo of a refusal in a pipelined group.
        """
        if reply.transient or reply.code == Code.BAD_SEQUENCE:
            return self.idle()
        self._errors += 1
        self.slow = self._errors >= self._limits.soft_errors
        return self._errors < self._limits.max_errors

    def recipient_refused(self, transaction: TransactionState | None) -> bool:
        """One for each that was accepted is free: long lists have dead addresses, and go over the limit."""
        if transaction is None:
            return self.idle()
        transaction.refused += 1
        if transaction.refused - transaction.recipients <= transaction.counted:
            return True
        transaction.counted += 1
        return self.idle()

    def login_failed(self) -> bool:
        """A wrong password, or an exchange that came to nothing."""
        self._failed_logins += 1
        return self._failed_logins < self._limits.max_auth_failures
