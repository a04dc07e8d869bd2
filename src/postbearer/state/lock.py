"""A lock among processes: a file that stays, locked while somebody works.

The kernel lets go when the holder dies, however it dies; so a lock is never stale.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType

from postbearer.clock import Clock, SystemClock
from postbearer.errors import StoreError
from postbearer.state.files import trouble

WAIT = 90.0  # seconds: longer than one token request with everything that can happen to it
_POLL = 0.02  # seconds
_SLOWEST_POLL = 0.25


class FileLock:
    """Held inside ``async with`` (or ``with``); waits up to `timeout` seconds, then raises `StoreError`.

    A lock belongs to this object: two objects for one path keep each other out, in one process too.
    """

    def __init__(self, path: str, *, timeout: float = WAIT, clock: Clock | None = None) -> None:
        self.path = path
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self._descriptor: int | None = None

    async def __aenter__(self) -> FileLock:
        if not await acquired(self.acquire, self._timeout, self._clock):
            raise self._busy()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __enter__(self) -> FileLock:
        began = time.monotonic()
        while not self.acquire():
            if time.monotonic() - began >= self._timeout:
                raise self._busy()
            time.sleep(_POLL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> bool:
        """Take the lock if it is free; says whether it was."""
        if self._descriptor is not None:
            return False
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except OSError as error:
            raise trouble(error, self.path, "opened") from error
        try:
            taken = _try(descriptor)
        except OSError as error:  # NFS without its lock daemon, some file systems of containers
            os.close(descriptor)
            raise StoreError(
                f"{self.path} cannot be locked: {error.strerror}.",
                hint="Name a state folder on a file system that has locks by POSTBEARER_STATE.",
            ) from error
        if not taken:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go. A forked child may hold a copy of the descriptor, so closing alone would not do."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _unlock(descriptor)
            os.close(descriptor)

    def _busy(self) -> StoreError:
        return StoreError(
            f"{self.path} is still locked by another process after {self._timeout:g} s.",
            hint="Look for a postbearer process that hangs.",
        )


async def acquired(take: Callable[[], bool], timeout: float, clock: Clock) -> bool:
    """Whether `take` took a lock within `timeout` seconds. It is asked now and again."""
    began, pause = clock.monotonic(), _POLL
    while not take():
        if clock.monotonic() - began >= timeout:
            return False
        await clock.sleep(pause)
        pause = min(pause * 1.5, _SLOWEST_POLL)
    return True


def _try(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
