"""A relay that runs inside another program's process, as far as people tell it what to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from postbearer.assembly import Assembly
from postbearer.control import DiagnosisResult
from postbearer.daemon.checks import examined, examining
from postbearer.daemon.relay import Relay
from postbearer.diagnosis import Finding
from postbearer.errors import UsageError
from postbearer.events import Observer


class EmbeddedProcess:
    """What `relay` is told by those who ask it. `load` reads its configuration."""

    relay: Relay

    def __init__(self, load: Callable[[], Assembly]) -> None:
        self._load = load

    async def reload(self) -> None:
        """Take the configuration as it is now. Raises `ConfigError`; then the old one stays."""
        await self.relay.reload(self._load())

    async def examine(self, account: str, send_to: str) -> DiagnosisResult:
        """Look at the whole way of an account's mail."""
        return await examined(self._load, account, send_to)

    def examining(self, account: str, send_to: str) -> AsyncGenerator[Finding, None]:
        """The same, step by step."""
        return examining(self._load, account, send_to)

    def stop(self) -> None:
        """Raises `UsageError`: nobody but the program ends what runs in it."""
        raise UsageError("The relay ends with the program that it runs in.")


def embedded(load: Callable[[], Assembly], *, observer: Observer) -> Relay:
    """A relay by what `load` reads, which is to be started. Raises `ConfigError` and `StoreError`."""
    process = EmbeddedProcess(load)
    process.relay = Relay(load(), observer=observer, process=process)
    return process.relay
