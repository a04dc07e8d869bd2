"""What an answer or an error means, as a value: how far it reaches, what to do, and who can cure it.

`postbearer.verdict` finds it in the catalogues of `postbearer.providers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where one recipient stands after an attempt."""

    DELIVERED = "delivered"  # accepted by the provider, which may still report a failure by mail
    DEFERRED = "deferred"  # refused for now; trying again is right
    FAILED = "failed"  # refused for good
    UNKNOWN = "unknown"  # connection lost after the content: it may or may not have arrived (RFC 1047)


class Scope(StrEnum):
    """How far a failure reaches."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    HOST = "host"
    ACCOUNT = "account"


class Disposition(StrEnum):
    """What the queue does about it."""

    DONE = "done"  # nothing: it went well
    SOON = "soon"  # try again with back-off
    WINDOW = "window"  # pause the scope for a while, then go on; never bounce
    HOLD = "hold"  # pause the scope until somebody has acted; the queue stays
    PERMANENT = "permanent"  # bounce this recipient or message


class ImmediateAction(StrEnum):
    """What is done at once and by itself, before the class applies."""

    RENEW = "renew"  # drop the token, get another, connect again, AUTH once
    RECONNECT = "reconnect"  # once, and in place of this connection
    CUT = "cut"  # fewer connections to this account
    SPLIT = "split"  # send to the accepted recipients, the rest in smaller transactions
    TWO_STEP = "two-step"  # AUTH without initial response
    OTHER_MECHANISM = "other-mechanism"


class Who(StrEnum):
    """Who can cure it."""

    NOBODY = "nobody"  # it passes
    MAILBOX_USER = "mailbox user"
    TENANT_ADMIN = "tenant admin"
    APP_OWNER = "app owner"
    HOST_OPERATOR = "host operator"  # who runs postbearer
    RECIPIENT = "recipient"  # or that side's administrator
    SENDER = "sender"  # who wrote the message
    DEVELOPER = "developer"  # of postbearer: a defect


_OURS = (Who.MAILBOX_USER, Who.TENANT_ADMIN, Who.APP_OWNER, Who.HOST_OPERATOR)  # who look after an account


@dataclass(frozen=True, slots=True)
class Verdict:
    """A meaning.

    `state` is what becomes of the recipients now, `disposition` what the queue does with everything in
    `scope`, and `first` what is tried before that. `wait` is in seconds, at least; 0 leaves it to the
    schedule.
    A `soon` that was met `hold_after` times in a row becomes `hold` (0: never).
    """

    state: State
    scope: Scope
    disposition: Disposition
    first: tuple[ImmediateAction, ...] = ()
    wait: float = 0
    cause: str = ""
    remedy: str = ""
    who: Who = Who.NOBODY
    hold_after: int = 0
    tenant: bool = False  # every account of the organisation is affected
    configuration: bool = False  # what was asked is wrong, rather than withdrawn
    rule: str = ""  # catalogue/id; empty: the catalogue does not know it
    certain: bool = False  # words told it, or a code that means the same wherever it comes

    @property
    def refuses_us(self) -> bool:
        """Whether it is the account or its sender that is refused, and not the recipient or the content."""
        lasting = self.disposition is Disposition.PERMANENT and self.who in _OURS
        return self.disposition is Disposition.HOLD or lasting

    @property
    def wide(self) -> bool:
        """Whether it reaches beyond this message."""
        return self.scope in (Scope.ACCOUNT, Scope.HOST)

    @property
    def stops_account(self) -> bool:
        """Whether it says that the account may not send: after the content it means what it means at AUTH."""
        lasting = self.disposition in (Disposition.HOLD, Disposition.WINDOW) or self.hold_after > 0
        return self.wide and lasting

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}".rstrip()
