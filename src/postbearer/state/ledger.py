"""What each mailbox has sent lately, shared by all processes of one user.

Not synced to disk on purpose: a crash of the process loses nothing, and after a power cut the
provider's own count decides, which it does anyhow.
"""

from __future__ import annotations

import io
import secrets
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.state.charges import KEEP, Charge, ChargeHistory, Charges, find, since
from postbearer.state.files import trouble
from postbearer.state.lock import FileLock
from postbearer.state.turns import AGAIN, SIZE, Turns

T = TypeVar("T")

SPARE = 4096  # old charges that may stay
_MAGIC = b"pbLedge2"
_HINT = struct.Struct("<Q")  # behind the magic: where the last day began, about
_NEAR = 16  # charges by which it may be wrong
_TURNS = 16  # where the turns stand
_FIRST = 1024  # where the charges begin
_HEAD = _MAGIC.ljust(_FIRST, b"\0")
_ROW = struct.Struct("<dQ")  # when, and for how many recipients all were up to this one
_OLD_ROW = struct.Struct("<dI")  # of the first versions: when, and for how many recipients
_TAIL = 256  # rows at the end that are read at once …
_BLOCK = 32  # … and so many elsewhere, as the neighbours of one are asked for next

Decide = Callable[[ChargeHistory, float], float]  # the past and the present → when it may begin


class Ledger(Protocol):
    """The charges of one mailbox. `who` asks is known by a number of its own, for fair turns."""

    async def charge(self, recipients: int, decide: Decide, who: int = 0) -> Charge | float:
        """Ask `decide` when an attempt may begin; if that is now, record it and return the charge.

        Else nothing is recorded, and the time is returned at which to ask again. Asking and recording
        are one step for all who share the ledger, and happen at one time, which `decide` is told.
        """
        ...

    async def give_back(self, charge: Charge) -> None:
        """Nothing of it reached the provider: it was not made."""
        ...

    async def look(self, read: Callable[[ChargeHistory, float], T]) -> T:
        """What `read` makes of the past and the present."""
        ...


def claimant() -> int:
    """A number for who asks, that nobody else has."""
    return secrets.randbits(63) | 1


class MemoryLedger:
    """A ledger of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._charges = Charges()
        self._turns = Turns()

    async def charge(self, recipients: int, decide: Decide, who: int = 0) -> Charge | float:
        now = self._clock.now()
        self._charges.settle(now)
        slot = next_turn(self._turns, who, decide(self._charges, now), now)
        if slot > now:
            return slot
        self._turns.take(who, now)
        charge = Charge(now, recipients)
        self._charges.add(charge)
        self._charges.forget(now, SPARE)
        return charge

    async def give_back(self, charge: Charge) -> None:
        self._charges.remove(charge)

    async def look(self, read: Callable[[ChargeHistory, float], T]) -> T:
        now = self._clock.now()
        self._charges.settle(now)
        return read(self._charges, now)


def next_turn(turns: Turns, who: int, slot: float, now: float) -> float:
    """When to ask again: at `slot`, or a moment later where that is somebody else's turn."""
    if slot <= now and turns.before(who, now):
        slot = now + AGAIN
    if slot > now:
        turns.wait(who, slot)
    return slot


class FileLedger:
    """A ledger in a file, in which each question costs the same however many charges it holds.

    Rows of time and running total are appended under a lock. `formerly` are ledgers of the first versions
    whose charges it takes over. Raises `StoreError` when its folder cannot be made.
    """

    def __init__(self, path: Path, clock: Clock, formerly: Sequence[Path] = ()) -> None:
        self._path = path
        self._clock = clock
        self._formerly = tuple(formerly)
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise trouble(error, str(path.parent), "made") from error
        self._lock = FileLock(f"{path}.lock", clock=clock)

    async def charge(self, recipients: int, decide: Decide, who: int = 0) -> Charge | float:
        def charge(rows: _Rows, now: float) -> Charge | float:
            turns = rows.turns()
            slot = next_turn(turns, who, decide(rows, now), now)
            if slot > now:
                rows.keep_turns(turns)
                return slot
            if turns.take(who, now):
                rows.keep_turns(turns)
            made = Charge(now, recipients)
            rows.add(made)
            return made

        return await self._with(charge)

    async def give_back(self, charge: Charge) -> None:
        await self._with(lambda rows, now: rows.remove(charge))

    async def look(self, read: Callable[[ChargeHistory, float], T]) -> T:
        if not self._path.exists() and not any(old.exists() for old in self._formerly):
            return read(Charges(), self._clock.now())  # nothing was sent yet
        return await self._with(read)

    async def _with(self, work: Callable[[_Rows, float], T]) -> T:
        async with self._lock:
            try:
                self._take_over()
                return self._work(work)
            except OSError as error:
                raise StoreError(
                    f"{self._path} cannot be used: {error.strerror}.",
                    hint="The account's budget is counted there; make room or correct its permissions.",
                ) from None

    def _work(self, work: Callable[[_Rows, float], T]) -> T:
        now = self._clock.now()
        with closing(_opened(self._path)) as file:
            rows = _Rows(file)
            rows.settle(now)
            done = work(rows, now)
            left = rows.worth_keeping(now)
        if left is not None:
            _write_whole(self._path, left)
        return done

    def _take_over(self) -> None:
        """Take up what versions before counted by the account's name."""
        while self._formerly:
            old = self._formerly[-1]
            if old.exists():
                data = old.read_bytes()
                whole = len(data) - len(data) % _OLD_ROW.size
                charges = [Charge(*row) for row in _OLD_ROW.iter_unpack(data[:whole])]
                with closing(_opened(self._path)) as file:
                    charges += _Rows(file).charges()
                _write_whole(self._path, Charges(sorted(charges)))
                old.unlink()
            self._formerly = self._formerly[:-1]


class _Rows:
    """The past in a file that is open and locked."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        size = file.seek(0, io.SEEK_END)
        head = self._read(0, _FIRST)
        if len(head) < _FIRST or not head.startswith(_MAGIC):  # new, or torn in the moment it was made
            size, head = _FIRST, _HEAD
            file.truncate(0)
            self._write(0, head)
        self._head = head
        self._today = min(_HINT.unpack_from(head, len(_MAGIC))[0], (size - _FIRST) // _ROW.size)
        self._count = (size - _FIRST) // _ROW.size  # a torn last row is the end of a write that died
        self._from = max(0, self._count - _TAIL)
        self._tail = self._read_rows(self._from, self._count)
        self._blocks: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._count

    def at(self, index: int) -> float:
        return float(self._row(index if index >= 0 else self._count + index)[0])

    def total(self, index: int) -> int:
        return int(self._row(index - 1)[1]) if index > 0 else 0

    def since(self, when: float) -> int:
        """Where it was last time, or a little behind: time only goes on."""
        low = self._today if not self._today or self.at(self._today - 1) <= when else 0
        step = 1
        while low + step <= self._count and self.at(low + step - 1) <= when:
            low, step = low + step, 2 * step
        high = min(low + step, self._count)
        found = bisect_right(range(low, high), when, key=self.at) + low
        if abs(found - self._today) >= _NEAR:
            self._today = found
            self._write(len(_MAGIC), _HINT.pack(found))
        return found

    def charges(self, start: int = 0) -> list[Charge]:
        """Those from `start` on."""
        rows = list(_ROW.iter_unpack(self._read_rows(start, self._count)))
        totals = [self.total(start), *(total for _, total in rows)]
        return [Charge(at, totals[index + 1] - totals[index]) for index, (at, _) in enumerate(rows)]

    def add(self, charge: Charge) -> None:
        row = _ROW.pack(charge.at, self.total(self._count) + charge.recipients)
        self._write(_FIRST + self._count * _ROW.size, row)
        self._count += 1
        self._tail += row

    def remove(self, charge: Charge) -> None:
        """Those behind it are few: it was made a moment ago."""
        index = find(self, charge)
        if index is not None:
            later = self.charges(index + 1)
            self._cut(index)
            for each in later:
                self.add(each)

    def settle(self, now: float) -> None:
        """What is later than now was made by a clock that ran ahead: it counts as made now."""
        if self._count and self.at(-1) > now:
            first = since(self, now)
            late = self.charges(first)
            self._cut(first)
            for each in late:
                self.add(Charge(now, each.recipients))

    def worth_keeping(self, now: float) -> Charges | None:
        """What still matters, once that is less than half of it; None: it may stay as it is."""
        if self._count <= SPARE or self._count % SPARE or self.at(self._count // 2) > now - KEEP:
            return None
        return Charges(self.charges(since(self, now - KEEP)))

    def turns(self) -> Turns:
        return Turns.parse(self._head[_TURNS : _TURNS + SIZE])

    def keep_turns(self, turns: Turns) -> None:
        self._write(_TURNS, turns.render())

    def _cut(self, count: int) -> None:
        self._file.truncate(_FIRST + count * _ROW.size)
        self._count = count
        self._from = min(self._from, count)
        self._blocks.clear()
        self._tail = self._tail[: (count - self._from) * _ROW.size]

    def _row(self, index: int) -> tuple[float, int]:
        if index >= self._from:
            return _ROW.unpack_from(self._tail, (index - self._from) * _ROW.size)
        block, place = divmod(index, _BLOCK)
        rows = self._blocks.get(block)
        if rows is None or len(rows) <= place * _ROW.size:
            rows = self._blocks[block] = self._read_rows(block * _BLOCK, (block + 1) * _BLOCK)
        return _ROW.unpack_from(rows, place * _ROW.size)

    def _read_rows(self, start: int, end: int) -> bytes:
        return self._read(_FIRST + start * _ROW.size, (end - start) * _ROW.size)

    def _read(self, place: int, size: int) -> bytes:
        self._file.seek(place)
        return self._file.read(size) or b""

    def _write(self, place: int, octets: bytes) -> None:
        self._file.seek(place)
        self._file.write(octets)


def _opened(path: Path) -> io.FileIO:
    try:
        return open(path, "r+b", buffering=0)
    except FileNotFoundError:
        return open(path, "x+b", buffering=0)


def _write_whole(path: Path, charges: Charges) -> None:
    """Put a new file in the place of the old one."""
    fresh = path.with_name(f"{path.name}.new")
    rows = [_ROW.pack(charges.at(index), charges.total(index + 1)) for index in range(len(charges))]
    fresh.write_bytes(_HEAD + b"".join(rows))
    fresh.replace(path)
