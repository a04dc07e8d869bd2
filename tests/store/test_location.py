"""File systems a queue must not be on: each refused with what helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.errors import StoreError
from postbearer.store import location

DISTANT = ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "ceph"]
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw - tmpfs tmpfs rw
41 30 0:41 / {point} rw,relatime - {kind} store.example.org:/mail rw,vers=4.2
"""


def mounted(monkeypatch: pytest.MonkeyPatch, point: Path, kind: str) -> None:
    """As the kernel tells of it: what is mounted here is no network's, and never will be."""
    text = MOUNTS.format(point=str(point).replace(" ", "\\040"), kind=kind)
    real = Path.read_text

    def read(path: Path, *given: object) -> str:
        return text if path == Path("/proc/self/mountinfo") else real(path)

    monkeypatch.setattr(Path, "read_text", read)


@pytest.mark.parametrize("kind", DISTANT)
def test_a_shared_file_system_is_refused_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "a share"
    folder.mkdir()
    mounted(monkeypatch, folder, kind)
    for allowed in (False, True):  # allow-ephemeral is about another risk
        with pytest.raises(StoreError) as caught:
            location.examine(folder / "spool.db", allow_ephemeral=allowed)
        assert f"{folder} is on {kind}" in str(caught.value)
        assert f"findmnt --target {folder}" in str(caught.value)
        assert "PostgreSQL" in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_disk_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounted(monkeypatch, tmp_path, "ext4")
    assert location.examine(tmp_path / "spool.db", allow_ephemeral=False) == []
