"""What each account has sent lately, shared by all processes of one user.

Not synced to disk on purpose: a crash of the process loses nothing, and after a power cut the
provider's own count decides, which it does anyhow.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.keeping import FileLock, trouble

KEEP = 2 * 86_400.0  # seconds a charge can still matter: a day, and a clock that was set back by as much
COMPACT = 4096  # rows beyond which the old ones are dropped from the file

_ROW = struct.Struct("<dI")


class Charge(NamedTuple):
    """One attempt: when it began (wall clock, Unix seconds) and for how many recipients."""

    at: float
    recipients: int


Decide = Callable[[Sequence[Charge], float], float]  # the past and the present → when it may begin


class Ledger(Protocol):
    """The charges of one account."""

    async def charge(self, recipients: int, decide: Decide) -> float | None:
        """Ask `decide` when an attempt may begin; if that is now, record it and return None.

        Else nothing is recorded, and the time is returned at which to ask again. Asking and recording
        are one step for all who share the ledger, and happen at one time, which `decide` is told.
        """
        ...


class MemoryLedger:
    """A ledger of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._charges: list[Charge] = []

    async def charge(self, recipients: int, decide: Decide) -> float | None:
        now = self._clock.now()
        self._charges = [each for each in self._charges if each.at > now - KEEP]
        slot = decide(self._charges, now)
        if slot > now:
            return slot
        self._charges.append(Charge(now, recipients))
        return None


class FileLedger:
    """A ledger in a file: rows of time and count, appended under a lock.

    Raises `StoreError` when its folder cannot be made.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise trouble(error, str(path.parent), "made") from error
        self._lock = FileLock(f"{path}.lock", clock=clock)

    async def charge(self, recipients: int, decide: Decide) -> float | None:
        async with self._lock:
            try:
                return self._charge(recipients, decide)
            except OSError as error:
                raise StoreError(
                    f"{self._path} cannot be used: {error.strerror}.",
                    hint="The account's budget is counted there; make room or correct its permissions.",
                ) from None

    def _charge(self, recipients: int, decide: Decide) -> float | None:
        now = self._clock.now()
        rows = self._read()
        charges = [row for row in rows if row.at > now - KEEP]
        slot = decide(charges, now)
        if slot > now:
            return slot
        charges.append(Charge(now, recipients))
        self._write(charges, compact=len(rows) - len(charges) > COMPACT)
        return None

    def _read(self) -> list[Charge]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        whole = len(data) - len(data) % _ROW.size  # a torn last row is the end of a write that died
        return sorted(Charge(*row) for row in _ROW.iter_unpack(data[:whole]))

    def _write(self, charges: Sequence[Charge], *, compact: bool) -> None:
        if compact:
            fresh = self._path.with_name(self._path.name + ".new")
            fresh.write_bytes(b"".join(_ROW.pack(*charge) for charge in charges))
            fresh.replace(self._path)
            return
        with self._path.open("ab") as file:
            torn = file.tell() % _ROW.size
            if torn:
                file.truncate(file.tell() - torn)
            file.write(_ROW.pack(*charges[-1]))
