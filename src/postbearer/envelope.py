"""The envelope: who a message is from and for, as SMTP carries it (RFC 5321 2.3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from postbearer.address import Address, refuse_controls
from postbearer.errors import UsageError
from postbearer.trace_context import TraceContext, parse

Body = Literal["7BIT", "8BITMIME", "BINARYMIME"]
Ret = Literal["FULL", "HDRS"]
Notify = Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"]
PriorityName = Literal["urgent", "normal", "bulk"]
PRIORITIES: Mapping[PriorityName, int | None] = {  # MT-PRIORITY (RFC 6710) by what programs call it
    "urgent": 4,
    "normal": None,
    "bulk": -1,
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """One forward-path with its wishes for delivery reports (RFC 3461 4)."""

    address: str
    notify: tuple[Notify, ...] = ()
    orcpt: str = ""  # ``rfc822;user@example.org``, not yet xtext-encoded

    def __post_init__(self) -> None:
        Address.parse(self.address)
        if self.orcpt:
            refuse_controls(self.orcpt, "ORCPT")
        if "NEVER" in self.notify and len(self.notify) > 1:
            raise UsageError("NOTIFY=NEVER excludes all other values (RFC 3461 4.1).")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Reverse-path, recipients and the wishes that travel with them.

    `reverse_path` is ``""`` for the null reverse-path. `body` is None when the content decides.
    Raises `UsageError` for an address that is none, or when there are no recipients.
    """

    reverse_path: str
    recipients: tuple[Recipient, ...]
    body: Body | None = None
    smtputf8: bool = False  # asked for; also set by the session when an address needs it
    ret: Ret | None = None
    envid: str = ""
    require_tls: bool = False
    priority: int | None = None  # MT-PRIORITY, -9 … 9 (RFC 6710)
    traceparent: str = ""  # the trace it belongs to (W3C Trace Context); no server is told
    tracestate: str = ""

    def __post_init__(self) -> None:
        if self.reverse_path != "":
            Address.parse(self.reverse_path)
        if not self.recipients:
            raise UsageError("A message needs at least one recipient.")
        if self.envid:
            _check_envid(self.envid)
        if self.priority is not None and not -9 <= self.priority <= 9:
            raise UsageError(f"A priority lies between -9 and 9, not {self.priority}.")
        if self.traceparent and parse([self.traceparent]) is None:
            raise UsageError("This traceparent is none (W3C Trace Context).")

    @classmethod
    def of(cls, reverse_path: str, recipients: Iterable[str]) -> Envelope:
        """The plain case: addresses and nothing else. A single `str` for `recipients` is refused."""
        if isinstance(recipients, str):
            raise UsageError("recipients is a list of addresses, not one string.")
        return cls(reverse_path, tuple(Recipient(address) for address in dict.fromkeys(recipients)))

    def within(self, context: TraceContext | None) -> Envelope:
        """The same, of the trace that `context` tells, unless it knows of one."""
        if context is None or self.traceparent:
            return self
        return replace(self, traceparent=context.traceparent, tracestate=context.tracestate)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple([recipient.address for recipient in self.recipients])

    @property
    def needs_smtputf8(self) -> bool:
        """True when a local part is not ASCII: no encoding exists for it (RFC 6531 3.2)."""
        for recipient in self.recipients:
            if not recipient.address.rpartition("@")[0].isascii():
                return True
        return self.smtputf8 or not self.reverse_path.rpartition("@")[0].isascii()


def _check_envid(envid: str) -> None:
    refuse_controls(envid, "ENVID")
    if not envid.isascii():
        raise UsageError("ENVID holds a character that is not ASCII (RFC 3461 4.4).")
    if sum(3 if char in " +=" else 1 for char in envid) > 100:  # as xtext, RFC 3461 4.4
        raise UsageError("ENVID is longer than 100 characters, of which blank, + and = count as three.")
