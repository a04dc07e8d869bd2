"""What the pages work on: the parts of one relay that runs, and what its configuration says."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from postbearer.api import ApiServices
from postbearer.console.check_runs import CheckRuns
from postbearer.console.codes import OneTimeCodes
from postbearer.console.gate import Gate
from postbearer.console.logins import ConsoleLogin
from postbearer.console.passkeys import Passkeys
from postbearer.console.sender_domains import SenderDomains
from postbearer.console.sessions import ConsoleSessions
from postbearer.console.shared_reads import SharedReads
from postbearer.store import Statistics, TrafficCount, Waiting


class CountingSpool(Protocol):
    """A spool that counts what becomes of recipients, as `SqliteSpool` does."""

    def traffic(self, since: float, width: int) -> Awaitable[Sequence[TrafficCount]]: ...

    def statistics(self) -> Awaitable[Statistics]: ...

    def waiting(self) -> Awaitable[Sequence[Waiting]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """What the configuration says, for people to see."""

    relay: str  # the name of this machine
    on_disk: bool  # the queue is on what outlives the machine's next start
    alerts: tuple[str, ...]  # who is told when a person must act
    bounces_to: str
    state: str = ""  # the folder that a backup would have; empty where a database keeps it all
    logins: tuple[ConsoleLogin, ...] = ()
    codes_anywhere: bool = False  # one-time codes are good from other machines, too


class ConsoleState:
    """What outlives a change of the configuration: who is logged in, what was looked at."""

    def __init__(self, services: ApiServices, codes: OneTimeCodes, passkeys: Passkeys) -> None:
        self.sessions = ConsoleSessions(services.clock)
        self.looks = SharedReads(services.clock)
        self.gate = Gate(codes, passkeys, services.clock, services.reject_log)
        self.checks = CheckRuns(services)
        self.domains = SenderDomains(services)

    async def stop(self) -> None:
        """End what goes on in the background."""
        await self.checks.stop()
        await self.domains.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleServices:
    """All of it."""

    api: ApiServices
    spool: CountingSpool
    settings: ConsoleSettings
    state: ConsoleState = field(repr=False)
