"""Codes that open the console once: who can ask the relay for one is its own user, and may do everything."""

from __future__ import annotations

import hashlib
import secrets

from postbearer.clock import Clock

LIFETIME = 600.0  # seconds
MOST = 20  # that are good at one time


class OneTimeCodes:
    """Codes of this run of the relay. Hashes of them are kept, and none outlives its use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[bytes, float] = {}  # hash → monotonic

    def make(self) -> str:
        """A new code. The oldest one ends when there are too many."""
        code = secrets.token_urlsafe(24)
        self._ends = dict(list(self._valid().items())[1 - MOST :])
        self._ends[_hash(code)] = self._clock.monotonic() + LIFETIME
        return code

    def use(self, code: str) -> bool:
        """Whether `code` is good; from then on it is not."""
        self._ends = self._valid()
        return self._ends.pop(_hash(code), None) is not None

    def _valid(self) -> dict[bytes, float]:
        now = self._clock.monotonic()
        return {code: ends for code, ends in self._ends.items() if ends > now}


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()
