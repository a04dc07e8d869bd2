"""Whose turn it is, among processes that send from one mailbox: who had fewer, of those that wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

MOST = 32  # who may wait at a time; of more, those that were here longest ago are forgotten
PATIENCE = 1.0  # seconds a turn is kept for somebody who said that he waits for it
REMEMBERED = 600.0  # seconds for which it is known how many turns somebody had
AGAIN = 0.05  # seconds after which somebody looks again whose turn it is not

_LEVEL = Struct("<d")
_ONE = Struct("<Qdd")
SIZE = _LEVEL.size + MOST * _ONE.size


@dataclass(slots=True)
class _Claimant:
    """How many turns somebody had, counted from where all began equal, and until when he waits."""

    had: float
    until: float


@dataclass(slots=True)
class Turns:
    """Nobody is told to wait for longer than `PATIENCE`, and only while somebody else says that he waits."""

    level: float = 0.0  # where the last turn began
    claimants: dict[int, _Claimant] = field(default_factory=dict)

    @classmethod
    def parse(cls, octets: bytes) -> Turns:
        (level,) = _LEVEL.unpack_from(octets)
        rows = _ONE.iter_unpack(octets[_LEVEL.size : SIZE])
        return cls(level, {who: _Claimant(had, until) for who, had, until in rows if who})

    def render(self) -> bytes:
        rows = [_ONE.pack(who, each.had, each.until) for who, each in self.claimants.items()]
        return (_LEVEL.pack(self.level) + b"".join(rows)).ljust(SIZE, b"\0")

    def wait(self, who: int, until: float) -> None:
        """`who` was told to come again then."""
        if who not in self.claimants and len(self.claimants) >= MOST:
            del self.claimants[min(self.claimants, key=lambda each: self.claimants[each].until)]
        self.claimants[who] = _Claimant(self._start(who), until + PATIENCE)

    def before(self, who: int, now: float) -> bool:
        """Whether somebody else who waits had fewer turns."""
        mine = self._start(who)
        return any(
            other != who and now < each.until and max(each.had, self.level) < mine
            for other, each in self.claimants.items()
        )

    def take(self, who: int, now: float) -> bool:
        """`who` has a turn. Says whether anything is to be remembered: not while there is nobody else."""
        before = bool(self.claimants)
        self.level = start = self._start(who)
        self.claimants = {
            other: each
            for other, each in self.claimants.items()
            if other != who and each.until > now - REMEMBERED
        }
        if self.claimants:
            self.claimants[who] = _Claimant(start + 1.0, now)
        return before

    def _start(self, who: int) -> float:
        claimant = self.claimants.get(who)
        return self.level if claimant is None else max(claimant.had, self.level)
