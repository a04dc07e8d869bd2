"""A source that remembers for a while, for stores that are slow or count their reads."""

from __future__ import annotations

from postbearer.clock import Clock
from postbearer.secret import ByPlace, Secret, SecretSource


class CachedSecret(ByPlace):
    """`source`, read at most once in `seconds`."""

    def __init__(self, source: SecretSource, seconds: float, clock: Clock) -> None:
        self._source = source
        self.local = bool(getattr(source, "local", False))
        self._seconds = seconds
        self._clock = clock
        self._kept: tuple[float, Secret] | None = None  # read at (monotonic), value

    def __repr__(self) -> str:
        return f"CachedSecret({self.reference!r})"

    @property
    def reference(self) -> str:
        return self._source.reference

    def place(self) -> tuple[object, ...]:
        return (self._source, self._seconds)

    async def read(self) -> Secret:
        now = self._clock.monotonic()
        if self._kept is None or now - self._kept[0] >= self._seconds:
            self._kept = (now, await self._source.read())
        return self._kept[1]
