"""What somebody does, as it is told: an event for who listens, and a record for the audit."""

from __future__ import annotations

from dataclasses import dataclass

from postbearer.clock import Clock
from postbearer.control.principal import Principal
from postbearer.events import Observer, OperatorAction
from postbearer.store import AuditRecord, Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """`action` by somebody: on an account, on a message (on one `recipient` of it), or on the relay.

    `detail` tells more of it.
    """

    by: Principal
    action: str
    account: str = ""
    message: str = ""
    recipient: str = ""
    detail: str = ""

    def record(self, at: float, *, count: int = 0, result: str = "") -> AuditRecord:
        """For the audit."""
        return AuditRecord(
            at=at,
            by=self.by.name,
            known_by=self.by.known_by,
            action=self.action,
            account=self.account,
            message=self.message,
            recipient=self.recipient,
            detail=self.detail,
            count=count,
            result=result,
        )

    def event(self, count: int = 0) -> OperatorAction:
        """For who listens."""
        return OperatorAction(
            self.account,
            action=self.action,
            by=self.by.name,
            known_by=self.by.known_by,
            id=self.message,
            recipient=self.recipient,
            detail=self.detail,
            count=count,
        )


class AuditRecorder:
    """Tells of acts that change nothing in the store. What does is recorded by the store, with the change."""

    def __init__(self, spool: Spool, clock: Clock, observer: Observer) -> None:
        self._spool = spool
        self._clock = clock
        self._observer = observer

    def now(self) -> float:
        """By the clock that acts are recorded by."""
        return self._clock.now()

    async def done(self, act: Act, *, count: int = 0) -> None:
        """It was done. Raises `StoreError`."""
        await self._spool.audit.add(act.record(self._clock.now(), count=count))
        self._observer.notice(act.event(count))

    async def failed(self, act: Act, why: str) -> None:
        """It was tried. Raises `StoreError`."""
        await self._spool.audit.add(act.record(self._clock.now(), result=why))
