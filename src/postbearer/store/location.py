"""The folder a spool lives in: whether it can keep a promise, and how much room is left."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.state import USE, FileLock, open_to_others

EPHEMERAL = {"tmpfs", "ramfs", "overlay", "aufs"}  # gone with the machine's or the container's next start
DISTANT = re.compile(r"fuse.*|nfs\d?|cifs|smb\d|9p|virtiofs|vboxsf|ceph|glusterfs|afs")
COPYING = {"btrfs", "zfs", "bcachefs"}  # need free blocks even to overwrite
FEWEST_FILES = 16  # free inodes
SMALLEST_RESERVE = 64 * 1024 * 1024
PLENTY = 1024 * 1024 * 1024  # octets above the reserve, more than is written …
MOMENT = 0.1  # … in so many seconds
RESERVE_SHARE = 20  # the default reserve is at least the disk's size divided by this

_ESCAPE = re.compile(r"\\([0-7]{3})")


def examine(path: Path, *, allow_ephemeral: bool) -> list[str]:
    """Refuse a folder or a file that cannot keep what is promised; return what should be known about it.

    Raises `StoreError`.
    """
    folder = path.parent
    if not folder.is_dir():
        raise StoreError(
            f"There is no folder {folder} for the spool.",
            hint=f"Create it: install -d -m 700 {folder}",
            configuration=True,
        )
    kind = file_system(folder)
    if DISTANT.fullmatch(kind):
        raise StoreError(
            f"{folder} is on {kind}, where a write that is reported as safe may not be.",
            hint=f"Put the spool on a local disk: findmnt --target {folder} shows what is there, "
            '[relay] spool = "sqlite:/path/spool.db" moves it. Several machines share one in PostgreSQL.',
            configuration=True,
        )
    if kind in EPHEMERAL and not allow_ephemeral:
        raise StoreError(
            f"{folder} is on {kind}: the next start of the machine or container loses the queue.",
            hint=f"Put the spool on a disk, in a container on a volume: "
            f"docker run --volume postbearer:{_volume(folder)} … Or set allow-ephemeral = true.",
            configuration=True,
        )
    if path.exists():
        _refuse_strangers(path)
    return [f"{folder} is on {kind}: on a full disk, marks may fail."] if kind in COPYING else []


def _volume(folder: Path) -> str:
    """Where a volume has to be mounted for the folder to be on it."""
    return str(Path(*folder.parts[:2]))


def _refuse_strangers(path: Path) -> None:
    if sys.platform == "win32":
        return
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"{path} belongs to user {found.st_uid}, and this is user {os.geteuid()}.",
            hint="Run the relay as the user who owns its spool.",
            configuration=True,
        )
    if open_to_others(found, USE):
        raise StoreError(
            f"{path} can be used by other users.", hint=f"Correct it: chmod 600 {path}", configuration=True
        )


def file_system(folder: Path) -> str:
    """The type of the file system `folder` is on, or ``""`` where that cannot be known."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    home = folder.resolve()
    kind, longest = "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), before.split()[4]))
        if home.is_relative_to(point) and len(point.parts) >= longest:  # a later mount hides an earlier one
            kind, longest = after.split()[0], len(point.parts)
    return kind


class DiskSpace:
    """How much room there is, and how much of it is kept free."""

    def __init__(self, folder: Path, reserve: int | None, clock: Clock) -> None:
        self._folder = folder
        self._reserve = reserve
        self._clock = clock
        self._plenty_until = -math.inf  # monotonic

    @property
    def reserve(self) -> int:
        """Octets kept free, so that what was accepted can be marked and checkpointed."""
        return self._kept(self._look().total)

    def missing(self, size: int) -> int:
        """How many octets are missing to write `size` and keep the reserve; 0 if there is room.

        It is asked for each message, and to look lets the other thread run each time: where there is plenty,
        one look is good for a moment.
        """
        if self._plenty and size < PLENTY // 2:
            return 0
        found = self._look()
        if not found.files:
            return max(size, 1)
        return max(0, size + self._kept(found.total) - found.free)

    def tight(self) -> bool:
        """Less than half of the reserve is left: what is delivered could not be marked."""
        if self._plenty:
            return False
        found = self._look()
        return found.free < self._kept(found.total) // 2

    @property
    def _plenty(self) -> bool:
        return self._clock.monotonic() < self._plenty_until

    def _kept(self, total: int) -> int:
        return max(SMALLEST_RESERVE, total // RESERVE_SHARE) if self._reserve is None else self._reserve

    def _look(self) -> _Disk:
        """One look."""
        if sys.platform == "win32":
            usage = shutil.disk_usage(self._folder)
            return _Disk(usage.total, usage.free)
        found = os.statvfs(self._folder)
        files = found.f_files == 0 or found.f_favail >= FEWEST_FILES
        disk = _Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, files)
        if files and disk.free - self._kept(disk.total) > PLENTY:
            self._plenty_until = self._clock.monotonic() + MOMENT
        return disk


class _Disk(NamedTuple):
    """Octets; `files`: whether there is room for more of them."""

    total: int
    free: int
    files: bool = True


class SpoolLock:
    """The right to use a spool: one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_suffix(".lock")
        self._lock = FileLock(str(self._path))

    def take(self) -> None:
        """Raises `StoreError` naming the process that has it."""
        if not self.take_if_free():
            raise StoreError(
                f"The spool is in use by another process{self._holder()}: {self._path} is locked.",
                hint="Stop it first, or ask it: `postbearer queue` talks to a running relay by itself.",
            )

    def take_if_free(self) -> bool:
        """Whether it was."""
        if not self._lock.acquire():
            return False
        if sys.platform != "win32":  # there, a locked file cannot be written by its holder either
            self._path.write_text(f"{os.getpid()}\n")
        return True

    def give_back(self) -> None:
        self._lock.release()

    def _holder(self) -> str:
        try:
            return f" ({int(self._path.read_text())})"
        except (OSError, ValueError):
            return ""
