"""What DNS says of the senders' domains: looked up in the background, so that no page waits for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass

from postbearer.account import Account
from postbearer.api import ApiServices
from postbearer.diagnosis import Finding, domain_in_use, examine_sender_domain
from postbearer.providers import SenderDomain
from postbearer.tasks import Tasks

GOOD_FOR = 600.0  # seconds that good news are good …
ELSE_FOR = 60.0  # … and others: somebody may be mending it
MOST = 100  # accounts whose domains are looked at
_AT_ONCE = 4


@dataclass(slots=True)
class _DomainLook:
    """What was found of one account; None before the first look has come back."""

    domain: str
    wanted: SenderDomain
    findings: tuple[Finding, ...] | None = None
    again: float = -math.inf  # monotonic


class SenderDomains:
    """The last look at each account's domain, in memory. What is old is looked at anew for whoever asks."""

    def __init__(self, services: ApiServices) -> None:
        self._clock = services.clock
        self._tasks = Tasks(services.clock, services.observer)
        self._looks: dict[str, _DomainLook] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)

    def known(self, account: Account) -> tuple[Finding, ...] | None:
        """What was found last; nothing where there is nothing to look at, None where it is not known yet."""
        domain = domain_in_use(account)
        if not domain:
            return ()
        look = self._looks.get(account.name)
        if look is None or (look.domain, look.wanted) != (domain, account.sender_domain):
            look = self._looks[account.name] = _DomainLook(domain, account.sender_domain)
        if self._clock.monotonic() >= look.again:
            look.again = math.inf  # not before this one is over
            self._tasks.start(self._look(look, account), f"look at the domain of {account.name}")
        return look.findings

    def keep(self, names: Iterable[str]) -> None:
        """Forget accounts that are not among `names`."""
        self._looks = {name: self._looks[name] for name in names if name in self._looks}

    async def stop(self) -> None:
        """End what goes on."""
        await self._tasks.stop()

    async def _look(self, look: _DomainLook, account: Account) -> None:
        good = False
        try:
            async with self._free:
                look.findings = await examine_sender_domain(account)
            good = all(each.ok for each in look.findings)
        finally:
            look.again = self._clock.monotonic() + (GOOD_FOR if good else ELSE_FOR)
