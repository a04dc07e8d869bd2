"""Disks that a test can take away: ext4 on a loop device whose power fails, and a small tmpfs."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers.processes import missing, program

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN = _IOR('X', 125, __u32)
NO_FLUSH = 2  # not even the journal: what was not synced is gone


def _root() -> None:
    if os.geteuid() != 0:
        missing("mounting a disk takes root: run these tests as root")


class PowerDisk:
    """ext4 in a file. `cut` lets it forget what was not synced, as a power failure does."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "disk.img"
        self.path = folder / "disk"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(320 << 20)
        subprocess.run([program("mkfs.ext4", "e2fsprogs"), "-q", "-F", self._image], check=True)
        self._mounted = False
        self.mount()

    def mount(self, mode: str = "rw") -> None:
        argv = [program("mount", "mount"), "-o", f"loop,{mode}", self._image, self.path]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode and not Path("/dev/loop-control").exists():
            pytest.skip(f"this kernel has no loop devices: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        self._mounted = True
        os.sync()  # only what comes now is at stake

    def cut(self) -> None:
        """From here on nothing is written any more, and what was only in memory is lost."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NO_FLUSH))
        except OSError as error:
            pytest.skip(f"this kernel cannot shut ext4 down: {error}")
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        """Wants everybody gone who had a file open."""
        for _ in range(100):
            if (
                not self._mounted
                or subprocess.run(["umount", self.path], capture_output=True).returncode == 0
            ):
                self._mounted = False
                self._renew()
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.path} is still in use")

    def _renew(self) -> None:
        """What is on it now, as another disk: a mount namespace made meanwhile keeps this one, as it is."""
        copy = self._image.with_suffix(".new")
        subprocess.run(["cp", "--sparse=always", self._image, copy], check=True)
        copy.replace(self._image)


@contextmanager
def power_disk(folder: Path) -> Iterator[PowerDisk]:
    _root()
    disk = PowerDisk(folder)
    try:
        yield disk
    finally:
        disk.unmount()


@contextmanager
def small_disk(folder: Path, octets: int) -> Iterator[Path]:
    """A tmpfs of that size."""
    _root()
    path = folder / "small"
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={octets}", "none", str(path)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
