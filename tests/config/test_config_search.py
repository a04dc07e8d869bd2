"""Where the file is looked for, and which files are not trusted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.config import load
from postbearer.config.search import SYSTEM_FILE, candidates, find, read
from postbearer.errors import ConfigError
from support.configuration import COMPLETE

Write = Callable[[str], Path]


def test_the_order_of_the_places() -> None:
    assert candidates({"POSTBEARER_CONFIG": "/x.toml", "HOME": "/u"}) == ["/x.toml"]
    assert candidates({"XDG_CONFIG_HOME": "/c", "HOME": "/u"}) == [
        "/c/postbearer/postbearer.toml",
        SYSTEM_FILE,
    ]
    assert candidates({"XDG_CONFIG_HOME": "relative", "HOME": "/u"}) == [
        "/u/.config/postbearer/postbearer.toml",
        SYSTEM_FILE,
    ]


def test_the_current_folder_is_never_looked_at(
    written: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(COMPLETE)
    monkeypatch.chdir(tmp_path)
    if os.path.exists(SYSTEM_FILE):
        assert find(None, {"HOME": str(tmp_path / "home")}) == SYSTEM_FILE
        return
    with pytest.raises(ConfigError, match="no configuration file") as caught:
        find(None, {"HOME": str(tmp_path / "home")})
    assert SYSTEM_FILE in caught.value.hint
    assert "Make one by `postbearer init`" in caught.value.hint


def test_a_named_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "missing.toml", {})
    assert caught.value.file.endswith("missing.toml")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(written: Write, mode: int) -> None:
    path = written(COMPLETE)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="Others may write this file") as caught:
        load(path, {})
    assert caught.value.hint == f"Take that away: chmod go-w {path}"


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_file_in_a_folder_that_others_may_write_is_refused(
    written: Write, tmp_path: Path, mode: int
) -> None:
    path = written(COMPLETE)
    tmp_path.chmod(mode)
    with pytest.raises(ConfigError, match=f"Others may write the folder {tmp_path}"):
        load(path, {})


@pytest.mark.servers  # which need root, too: nobody else gives a folder to a group
def test_a_group_without_a_name_that_was_given_to_us_is_nobody_else(written: Write, tmp_path: Path) -> None:
    """As Kubernetes does with the volumes of a pod (fsGroup)."""
    path = written(COMPLETE)
    os.chown(tmp_path, -1, 1234567)
    tmp_path.chmod(0o2770)
    before = os.getgroups()
    with pytest.raises(ConfigError, match="Others may write the folder"):
        load(path, {})  # it is not ours
    try:
        os.setgroups([*before, 1234567])
        assert load(path, {}).settings.accounts
        tmp_path.chmod(0o2772)
        with pytest.raises(ConfigError, match="Others may write the folder"):
            load(path, {})
    finally:
        os.setgroups(before)


def test_a_link_is_as_weak_as_the_folder_it_points_into(written: Write, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    target = shared / "postbearer.toml"
    target.write_text(COMPLETE)
    target.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(target)
    assert read(str(link)) == COMPLETE.encode()
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match="may write the folder"):
        read(str(link))


def test_a_file_of_somebody_else_is_refused(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(COMPLETE)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:  # only root can give a file away; so be somebody else instead
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigError, match="belongs to user") as caught:
        load(path, {})
    assert "chown" in caught.value.hint


def test_a_folder_instead_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


def test_finding_the_file_imports_next_to_nothing() -> None:
    code = "import sys; import postbearer.config.search; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"msgspec", "tomllib", "click", "asyncio", "re", "typing"} & set(modules.split())
