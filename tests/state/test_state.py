"""The state folder, the key, sealing and the lock."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from postbearer.errors import ConfigError, StoreError, UsageError
from postbearer.state import FileLock, Key, KeyFile, SealedBox, StateFolder, default_state_folder, parse_keys
from postbearer.state.files import trouble
from postbearer.testing import ManualClock


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"POSTBEARER_STATE": "/a", "STATE_DIRECTORY": "/b"}, "/a"),
        ({"STATE_DIRECTORY": "/b:/c", "XDG_STATE_HOME": "/d"}, "/b"),
    ],
)
def test_where_the_state_is(environment: dict[str, str], path: str) -> None:
    assert default_state_folder(environment) == path


def test_where_the_state_of_a_user_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242, raising=False)
    monkeypatch.setenv("HOME", "/home/u")
    assert default_state_folder({"XDG_STATE_HOME": "/d"}) == "/d/postbearer"
    assert default_state_folder({"XDG_STATE_HOME": "not/absolute"}) == "/home/u/.local/state/postbearer"
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert default_state_folder({}) == "/var/lib/postbearer"


def test_the_folder_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "deep" / "state").ensure()
    assert os.stat(folder.path).st_mode & 0o777 == 0o700
    assert os.stat(folder.tokens).st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(ConfigError, match="written by others") as caught:
        StateFolder(tmp_path).ensure()
    assert "chmod go-w" in caught.value.hint


def test_the_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1, raising=False)
    with pytest.raises(ConfigError, match="another user"):
        StateFolder(tmp_path).ensure()


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "Alerts", "", "a.lock", "-a", "a\n"])
def test_what_is_no_account_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        StateFolder(tmp_path).token(name)


# -- sealing


@given(some.binary(max_size=3000), some.text(max_size=50))
def test_what_is_sealed_opens_in_its_place_only(plain: bytes, place: str) -> None:
    box = SealedBox([Key.generate()])
    sealed = box.seal(plain, place)
    assert sealed.isascii()
    assert box.unseal(sealed, place) == plain
    with pytest.raises(StoreError, match="another place"):
        box.unseal(sealed, place + "x")
    with pytest.raises(StoreError, match="not among ours"):
        SealedBox([Key.generate()]).unseal(sealed, place)


@given(some.text(max_size=80) | some.from_regex(r"v1\.k\.[A-Za-z0-9_-]{0,80}", fullmatch=True))
def test_nonsense_does_not_open(text: str) -> None:
    with pytest.raises(StoreError):
        SealedBox([Key("k", bytes(32))]).unseal(text, "")


def test_a_key_does_not_show_itself() -> None:
    key = Key("abc", b"CANARY-OF-A-KEY-0123456789ABCDEF")
    assert "CANARY" not in repr(key)
    assert "CANARY" not in repr(SealedBox([key]))


def test_a_bare_key_may_be_given() -> None:
    [key] = parse_keys("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
    assert key.octets == b"01234567890123456789012345678901"
    for text in ("", "# only a comment", "c2hvcnQ=", "not base64!", "v1 id", "v2 id MDEy"):
        with pytest.raises(StoreError, match="damaged"):
            parse_keys(text)


# -- the key file


def test_the_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    sealed = KeyFile(folder).box().seal(b"x", "here")
    assert KeyFile(folder).box().unseal(sealed, "here") == b"x"
    assert os.stat(folder.key).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(folder.path)) == ["key", "tokens"]


def test_processes_that_start_together_make_one_key(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    with ThreadPoolExecutor(8) as pool:
        boxes = list(pool.map(lambda _: repr(KeyFile(folder).box()), range(8)))
    assert len(set(boxes)) == 1


def test_o8_a_lost_key_is_never_made_anew_while_something_is_sealed(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state").ensure()
    for account, field in (("alerts", "refresh"), ("billing", "refresh"), ("shop", "access")):
        Path(folder.token(account)).write_text(json.dumps({field: "v1.k.x"}))
    with pytest.raises(StoreError, match="missing") as caught:
        KeyFile(folder).box()
    assert caught.value.hint.endswith(f"remove {folder.tokens} and sign in again: alerts, billing.")
    assert caught.value.configuration
    assert not os.path.exists(folder.key)


def test_nobody_is_asked_to_sign_in_for_tokens_that_are_got_without_a_person(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state").ensure()
    Path(folder.token("alerts")).write_text(json.dumps({"access": "v1.k.x"}))
    with pytest.raises(StoreError, match="missing") as caught:
        KeyFile(folder).box()
    assert "sign in" not in caught.value.hint
    assert f"remove {folder.tokens}: what is kept there is got anew by itself" in caught.value.hint


def test_a_key_that_cannot_be_read_is_for_a_person_too(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state").ensure()
    Path(folder.key).mkdir()
    with pytest.raises(StoreError, match=f"The key file {folder.key} cannot be read") as caught:
        KeyFile(folder).box()
    assert caught.value.configuration


def test_a_damaged_key_file_is_not_replaced(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state").ensure()
    Path(folder.key).write_text("")
    with pytest.raises(StoreError, match="damaged"):
        KeyFile(folder).box()
    assert Path(folder.key).read_text() == ""


def test_what_we_may_not_do_in_a_folder_is_told_with_another_way() -> None:
    told = trouble(PermissionError(errno.EACCES, "Permission denied"), "/state", "made")
    assert told.message == "/state cannot be made: Permission denied."
    assert "name another state folder by POSTBEARER_STATE" in told.hint


# -- the lock


async def test_the_lock_keeps_another_out(tmp_path: Path) -> None:
    path, clock = str(tmp_path / "lock"), ManualClock()
    async with FileLock(path):
        with pytest.raises(StoreError, match="still locked"):
            async with FileLock(path, timeout=5, clock=clock):
                pass
        assert 5 <= sum(clock.slept) < 6
    async with FileLock(path, timeout=0):
        pass


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from postbearer.state import FileLock; FileLock(sys.argv[1]).acquire(); "
        "print('held', flush=True); signal.pause()"
    )
    path = str(tmp_path / "lock")
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert not FileLock(path).acquire()
        child.kill()
        child.wait()
        with FileLock(path, timeout=0):
            pass


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from postbearer.state import FileLock; lock = FileLock(sys.argv[1])\n"
        "with lock:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        sys.stdin.read(); os._exit(0)\n"
        "print(FileLock(sys.argv[1]).acquire())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "True\n"
