"""What the queue and the accounts are like now, as values: read in the background, shown as gauges."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from postbearer.clock import Clock
from postbearer.engine import AccountState
from postbearer.forecast import Expiry
from postbearer.store import Priority, Spool, Status, Waiting

SHOWN: Final = tuple(each for each in Status if not each.final)  # states of what is not done
SHARE: Final = 100  # a look at each message that waits is taken again after so many times what it took
AHEAD: Final = 600.0  # seconds between looks at what will run out


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReading:
    """One account. Points in time are Unix seconds."""

    name: str
    recipients: Mapping[Status, int] = field(default_factory=dict)
    messages: int = 0  # that wait, or are under way
    oldest: float | None = None  # since when the oldest of them might have left
    due: float | None = None  # since when something might be sent and has not been begun
    paused_by: str = "nobody"  # operator, limit, relay
    budget_opens: float = 0.0  # when its budget lets the next ordinary message go
    provider_opens: float = 0.0  # when the provider lets it go on, as far as is known
    token_expires: float | None = None
    endings: Sequence[Expiry] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReading:
    """One webhook. Points in time are Unix seconds."""

    name: str
    waiting: int = 0  # events
    oldest: float | None = None  # when the first of them happened
    failing: float | None = None  # since when nothing arrives
    disabled: bool = False
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Everything, as of one look."""

    accounts: Sequence[AccountReading] = ()
    oldest: float | None = None  # since when the oldest message that is not done might have left
    under_way: int = 0
    disk_free: float = 0.0  # octets, for who runs the relay
    disk_size: float = 0.0
    inodes_free: float | None = None  # None: the file system does not count them
    certificates: Mapping[str, float] = field(default_factory=dict)
    webhooks: Sequence[WebhookReading] = ()


async def _no_webhooks() -> Sequence[WebhookReading]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSources:
    """Where a look goes. `folder` is the queue's."""

    spool: Spool
    states: Callable[[], Mapping[str, AccountState]]
    foresee: Callable[[], Awaitable[Mapping[str, Sequence[Expiry]]]]
    certificates: Mapping[str, float]  # listener → when its certificate ends
    folder: Path
    webhooks: Callable[[], Awaitable[Sequence[WebhookReading]]] = _no_webhooks


class GaugeReader:
    """Looks at everything, at what costs more less often. Raises `StoreError`."""

    def __init__(self, sources: ReadingSources, clock: Clock) -> None:
        self._clock = clock
        self._sources = sources
        self._waiting: Mapping[str, Waiting] = {}
        self._waiting_again = 0.0  # monotonic
        self._endings: Mapping[str, Sequence[Expiry]] = {}
        self._endings_again = 0.0

    def use(self, sources: ReadingSources) -> None:
        """Go by another configuration."""
        self._sources = sources
        self._endings_again = 0.0

    async def read(self) -> Readings:
        """Look now."""
        spool, now = self._sources.spool, self._clock.now()
        statistics = await spool.statistics()
        due: dict[str, float] = {}
        for lane in await spool.lanes(now):
            due[lane.account] = min(lane.due, due.get(lane.account, lane.due))
        await self._look_closely()
        states = self._sources.states()
        names = sorted({*states, *due, *statistics.by_account})
        accounts = [
            self._account(name, states.get(name), statistics.by_account.get(name, {}), due.get(name))
            for name in names
        ]
        disk = os.statvfs(self._sources.folder)
        return Readings(
            accounts=accounts,
            oldest=statistics.oldest,
            under_way=sum(each.busy for each in states.values()),
            disk_free=disk.f_bavail * disk.f_frsize,
            disk_size=disk.f_blocks * disk.f_frsize,
            inodes_free=disk.f_favail if disk.f_files else None,
            certificates=self._sources.certificates,
            webhooks=await self._sources.webhooks(),
        )

    async def _look_closely(self) -> None:
        if self._clock.monotonic() >= self._waiting_again:
            began = self._clock.monotonic()
            self._waiting = {each.account: each for each in await self._sources.spool.waiting()}
            took = self._clock.monotonic() - began
            self._waiting_again = began + SHARE * took
        if self._clock.monotonic() >= self._endings_again:
            self._endings = await self._sources.foresee()
            self._endings_again = self._clock.monotonic() + AHEAD

    def _account(
        self, name: str, state: AccountState | None, recipients: Mapping[Status, int], due: float | None
    ) -> AccountReading:
        waiting = self._waiting.get(name)
        open_ = any(recipients.get(each) for each in (Status.READY, Status.LEASED, Status.DEFERRED))
        reading = AccountReading(
            name=name,
            recipients=recipients,
            messages=waiting.messages if waiting is not None and open_ else 0,
            oldest=waiting.oldest if waiting is not None and open_ else None,
            due=due,
            endings=self._endings.get(name, ()),
        )
        return reading if state is None else _working(reading, state, self._clock)


def _working(reading: AccountReading, state: AccountState, clock: Clock) -> AccountReading:
    """With what only the running relay knows."""
    pause, now = state.pause, clock.now()
    provider = now + state.resting if state.resting else 0.0
    if pause is not None and pause.by != "operator" and pause.probe is not None:
        provider = max(provider, pause.probe)
    return replace(
        reading,
        paused_by="nobody" if pause is None else pause.by,
        budget_opens=state.budget_opens(Priority.NORMAL),
        provider_opens=provider,
        token_expires=state.channel.token_expires(),
    )
