"""The lock among processes, on file systems of all kinds."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from postbearer.errors import StoreError
from postbearer.state.lock import FileLock


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO, errno.EINTR, errno.EBADF])
def test_a_file_system_without_locks_is_told_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StoreError, match="cannot be locked") as caught:
        FileLock(str(tmp_path / "x.lock")).acquire()
    assert "POSTBEARER_STATE" in caught.value.hint
    assert os.listdir("/proc/self/fd") == before
