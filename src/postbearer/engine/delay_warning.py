"""Telling senders that their mail is late when nothing is attempted: a pause, or a budget that is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from postbearer.clock import Clock
from postbearer.engine.account_state import AccountState
from postbearer.engine.attempt import AttemptRunner
from postbearer.engine.disposition import put_off
from postbearer.errors import StoreError
from postbearer.events import Observer, Reported
from postbearer.message import DeliveryReport
from postbearer.store import Claimed, Priority, Spool
from postbearer.tasks import defect

AT_ONCE = 100  # deliveries that are looked at together


async def warn_late(
    spool: Spool,
    attempts: AttemptRunner,
    account_states: Mapping[str, AccountState],
    clock: Clock,
    observer: Observer,
) -> int:
    """Queue a report for each delivery that waits for too long; how many. Raises `StoreError`.

    A report leaves by an account that can carry it now. While there is none, its time has not come.
    """
    told = 0
    for name, home in account_states.items():
        now, last = clock.now(), 0
        carrier, before = _carrier(home, account_states), now - attempts.rules.retry.warn_after
        while carrier is not None and (found := await spool.late(name, before, last, AT_ONCE)):
            for late in found:
                cause = _why(late, home, now)
                if not cause:
                    continue
                try:
                    report = await attempts.report(late, carrier, put_off(late, now, cause), now)
                    warned = await _warn(spool, attempts, late, carrier, report)
                except StoreError:
                    raise
                except Exception as error:  # any: the senders of other messages are told all the same
                    observer.notice(defect(error, "delay report", account=name, id=late.message.id))
                    continue
                if not warned or report is None:
                    continue
                observer.notice(
                    Reported(carrier.account.name, id=late.message.id, report=report.id, to=report.to)
                )
                told += 1
            last = found[-1].delivery
    return told


def _why(late: Claimed, home: AccountState, now: float) -> str:
    """Why nothing is attempted; empty when something is, as then the attempt tells."""
    if home.pause is not None:
        return f"The account that it leaves by does not send now. {home.pause.reason}"
    if home.budget_opens(late.priority) > now or not late.attempt:
        return "The account has sent all it may for now."
    return ""


async def _warn(
    spool: Spool, attempts: AttemptRunner, late: Claimed, carrier: AccountState, report: DeliveryReport | None
) -> bool:
    """Whether the sender was not told before; `report` is queued then."""
    if report is None:
        return await spool.warn(late, None)
    async with attempts.staged(late, report) as made:
        delivery = replace(made.delivery, account=carrier.account.name, priority=Priority.URGENT)
        return await spool.warn(late, replace(made, delivery=delivery))


def _carrier(home: AccountState, account_states: Mapping[str, AccountState]) -> AccountState | None:
    """The account a report leaves by: its own, its substitute, or one of the same organisation or domain.

    Not just any: a customer's report does not leave in the name of another one.
    """
    if not home.paused:
        return home
    domain = home.account.address.rpartition("@")[2].casefold()
    kin = (
        name
        for name, other in account_states.items()
        if other.account.organisations & home.account.organisations
        or other.account.address.rpartition("@")[2].casefold() == domain
    )
    candidates = (account_states.get(name) for name in (home.account.settings.fallback or "", *kin))
    return next((other for other in candidates if other is not None and not other.paused), None)
