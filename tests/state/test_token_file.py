"""The token file: damage, changed bindings, moved rows, rotation of the key, and the quick look."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.errors import GrantRefused, StoreError, StoreFull, TokenUnavailable
from postbearer.oauth import CachedSource, Endpoint, RefreshToken, StoredGrant
from postbearer.secret import Secret
from postbearer.state import KeyFile, StateFolder, TokenFile, peek, rotate_key, shortcut
from postbearer.state.files import trouble
from postbearer.testing import ManualClock

NOW = 1_800_000_000.0
KEPT = StoredGrant(
    access=Secret("access"),
    obtained=NOW,
    expires=NOW + 3600,
    fresh_until=NOW + 3540,
    scope="smtp.send",
    refresh=Secret("refresh"),
)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def token_file(
    folder: StateFolder, account: str = "alerts", binding: str = "b", shortcut: str = ""
) -> TokenFile:
    return TokenFile(folder, account, binding=binding, box=KeyFile(folder).box, shortcut=shortcut)


def entry(folder: StateFolder, account: str = "alerts") -> dict[str, object]:
    parsed: dict[str, object] = json.loads(Path(folder.token(account)).read_bytes())
    return parsed


def text(folder: StateFolder, account: str = "alerts") -> str:
    return Path(folder.token(account)).read_text()


def put(folder: StateFolder, content: object, account: str = "alerts") -> None:
    Path(folder.token(account)).write_text(json.dumps(content))


async def test_state_under_another_binding_is_never_used(folder: StateFolder) -> None:
    await token_file(folder).save(KEPT)
    assert await token_file(folder, binding="changed").load() == StoredGrant(version=1)


async def test_a_change_of_the_configuration_taken_back_costs_no_sign_in(folder: StateFolder) -> None:
    await token_file(folder).save(KEPT)
    changed = token_file(folder, binding="changed")
    for _ in range(3):
        await changed.save(replace(await changed.load(), access=Secret("other"), refresh=None))
    back = await token_file(folder).load()
    assert (back.refresh, back.version) == (Secret("refresh"), 4)
    await token_file(folder).save(back)
    assert (await token_file(folder).load()).refresh == Secret("refresh")


async def test_a_damaged_access_token_is_as_good_as_none(folder: StateFolder) -> None:
    await token_file(folder).save(KEPT)
    put(folder, {**entry(folder), "access": "v1.x.AAAA"})
    kept = await token_file(folder).load()
    assert (kept.access, kept.refresh, kept.damage) == (None, Secret("refresh"), "")


@pytest.mark.parametrize("damage", ["v1.x.AAAA", "", 5, None, "v1"])
async def test_a_damaged_refresh_token_is_told_and_kept(folder: StateFolder, damage: object) -> None:
    await token_file(folder).save(KEPT)
    put(folder, {**entry(folder), "refresh": damage})
    kept = await token_file(folder).load()
    assert kept.damage.startswith(folder.token("alerts"))
    source = CachedSource(
        RefreshToken("relay"),
        Endpoint("http://127.0.0.1:1/token"),
        account="alerts",
        store=token_file(folder),
        clock=ManualClock(NOW + 4000),
    )
    with pytest.raises(GrantRefused, match="sign-in of alerts cannot be read") as caught:
        await source.token()
    assert "or remove it, and the refresh token of the configuration is used" in caught.value.hint
    await token_file(folder).save(replace(kept, access=None))
    assert entry(folder)["refresh"] == damage


def damaged_file(folder: StateFolder, content: bytes) -> Path:
    path = Path(folder.ensure().token("alerts"))
    KeyFile(folder).box()
    path.write_bytes(content)
    return path


def content_of(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense", b"\xff", b"[" * 100_000, b'{"format": 2}'])
async def test_a_damaged_file_is_put_aside_and_never_overwritten(folder: StateFolder, content: bytes) -> None:
    path = damaged_file(folder, content)
    kept = await token_file(folder).load()
    assert "is damaged" in kept.damage
    assert await token_file(folder).save(replace(KEPT, version=kept.version))
    assert content_of(path.with_suffix(".damaged")) == content
    assert (await token_file(folder).load()).refresh == Secret("refresh")


async def test_o8_rows_that_are_swapped_do_not_open(folder: StateFolder) -> None:
    await token_file(folder, "alerts").save(KEPT)
    await token_file(folder, "billing").save(replace(KEPT, refresh=Secret("other")))
    alerts, billing = entry(folder, "alerts"), entry(folder, "billing")
    put(folder, billing, "alerts")
    kept = await token_file(folder, "alerts").load()
    assert (kept.access, kept.refresh) == (None, None)
    assert "another place" in kept.damage
    put(folder, {**alerts, "refresh": alerts["access"]}, "alerts")
    assert (await token_file(folder, "alerts").load()).damage
    put(folder, {**alerts, "binding": "elsewhere"}, "alerts")
    assert (await token_file(folder, "alerts", binding="elsewhere").load()).access is None


async def test_o8_a_lost_key_names_the_account(folder: StateFolder) -> None:
    await token_file(folder).save(KEPT)
    os.unlink(folder.key)
    with pytest.raises(StoreError, match="missing") as caught:
        await token_file(folder).load()
    assert "sign in again" in caught.value.hint


async def test_a_temporary_name_that_is_a_link_is_not_followed(folder: StateFolder) -> None:
    await token_file(folder).save(KEPT)
    os.symlink("/dev/full", f"{folder.token('alerts')}.tmp")
    with pytest.raises(StoreError):
        await token_file(folder).save(replace(KEPT, version=1))
    assert (await token_file(folder).load()).version == 1


def test_no_room_is_called_so(tmp_path: Path) -> None:
    error = trouble(OSError(errno.ENOSPC, "No space left on device"), "/state/tokens/alerts", "written")
    assert isinstance(error, StoreFull)
    assert "/state/tokens/alerts" in str(error)


async def test_a_lock_that_is_never_free_is_transient(folder: StateFolder) -> None:
    clock = ManualClock()
    box = KeyFile(folder).box
    held = TokenFile(folder, "alerts", binding="b", box=box)
    waiting = TokenFile(folder, "alerts", binding="b", box=box, clock=clock, lock_timeout=5)
    async with held.lock():
        with pytest.raises(TokenUnavailable, match="locked by another process") as caught:
            async with waiting.lock():
                pass
    assert caught.value.account == "alerts"


# -- rotation of the key


async def test_o8_rotation_seals_all_again_and_old_keys_still_open(folder: StateFolder) -> None:
    for account in ("alerts", "billing"):
        await token_file(folder, account).save(KEPT)
    await token_file(folder, "billing", binding="changed").save(StoredGrant(version=1, access=Secret("x")))
    old = KeyFile(folder).existing()
    sealed = old.seal(b"in the configuration", "elsewhere")
    assert rotate_key(folder) == ["alerts", "billing"]
    new = KeyFile(folder).keys()[0].id
    assert repr(old) != f"SealedBox({new!r})"
    for account in ("alerts", "billing"):
        sealed_again = text(folder, account)
        assert sealed_again.count(f"v1.{new}.") == sealed_again.count("v1.")
        assert (await token_file(folder, account).load()).refresh == Secret("refresh")
    assert KeyFile(folder).existing().unseal(sealed, "elsewhere") == b"in the configuration"


ROTATE = """
import os, signal, sys
from postbearer.state import StateFolder, rotate_key

left = int(sys.argv[2])

def fatal(function):
    def wrapper(*args):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return wrapper

for name in ("open", "replace", "fsync"):
    setattr(os, name, fatal(getattr(os, name)))
rotate_key(StateFolder(sys.argv[1]))
"""


def test_o8_a_rotation_killed_anywhere_loses_nothing(folder: StateFolder) -> None:
    for account in ("alerts", "billing"):
        asyncio.run(token_file(folder, account).save(KEPT))
    sealed = KeyFile(folder).existing().seal(b"in the configuration", "elsewhere")
    for calls in range(100):
        end = subprocess.run([sys.executable, "-c", ROTATE, folder.path, str(calls)], check=False)
        assert KeyFile(folder).existing().unseal(sealed, "elsewhere") == b"in the configuration"
        for account in ("alerts", "billing"):
            kept = asyncio.run(token_file(folder, account).load())
            assert (kept.access, kept.refresh) == (Secret("access"), Secret("refresh"))
        if end.returncode == 0:
            break
        assert end.returncode == -signal.SIGKILL
    assert calls > 10, "the rotation was killed at every step"


# -- the quick look


async def test_peek_finds_a_fresh_token_under_its_shortcut(folder: StateFolder) -> None:
    await token_file(folder, shortcut="s").save(KEPT)
    assert peek(folder.path, "alerts", "s", NOW) == "access"
    assert peek(folder.path, "alerts", "s", NOW + 3539) == "access"
    assert peek(folder.path, "alerts", "s", NOW + 3540) is None, "the margin has begun"
    assert peek(folder.path, "alerts", "s", NOW - 61) is None, "the clock was set back"
    assert peek(folder.path, "alerts", "other", NOW) is None
    assert peek(folder.path, "alerts", "", NOW) is None
    assert peek(folder.path, "billing", "s", NOW) is None
    assert peek(folder.path, "../tokens/alerts", "s", NOW) is None


async def test_peek_serves_callers_with_different_shortcuts(folder: StateFolder) -> None:
    await token_file(folder, shortcut="relay").save(KEPT)
    await token_file(folder, shortcut="shell").remember()
    for name in ("relay", "shell"):
        assert peek(folder.path, "alerts", name, NOW) == "access"
    await token_file(folder, shortcut="relay").save(
        replace(await token_file(folder).load(), fresh_until=NOW + 9)
    )
    assert peek(folder.path, "alerts", "shell", NOW + 8) == "access"


async def test_peek_never_raises(folder: StateFolder) -> None:
    assert peek(folder.path, "alerts", "s", NOW) is None
    await token_file(folder, shortcut="s").save(KEPT)
    good = entry(folder)
    for bad in ([], {}, {**good, "access": 5}, {**good, "access": "v1.a.b"}, {**good, "binding": "x"}):
        put(folder, bad)
        assert peek(folder.path, "alerts", "s", NOW) is None
    os.truncate(folder.key, 0)
    put(folder, good)
    assert peek(folder.path, "alerts", "s", NOW) is None


def test_the_shortcut_changes_with_all_that_matters() -> None:
    first = shortcut(b"config", {"POSTBEARER_X": "1", "HOME": "/a"}, "1.0")
    assert first == shortcut(b"config", {"POSTBEARER_X": "1", "HOME": "/b"}, "1.0")
    assert first != shortcut(b"config ", {"POSTBEARER_X": "1"}, "1.0")
    assert first != shortcut(b"config", {"POSTBEARER_X": "2"}, "1.0")
    assert first != shortcut(b"config", {"POSTBEARER_X": "1"}, "1.1")


def test_peek_loads_next_to_nothing(folder: StateFolder) -> None:
    asyncio.run(token_file(folder, shortcut="s").save(KEPT))
    code = (
        "import sys; from postbearer.state import peek; "
        f"print(peek({folder.path!r}, 'alerts', 's', {NOW})); print(*sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    token, _, modules = output.partition("\n")
    assert token == "access"
    heavy = {"asyncio", "dataclasses", "inspect", "msgspec", "httpx2", "tomllib", "click", "email", "logging"}
    assert heavy.isdisjoint(modules.split())


def test_no_bit_of_the_file_takes_a_sign_in_away_in_silence(folder: StateFolder) -> None:
    """A bit of each octet, turned: the sign-in is there, or its damage is told."""
    asyncio.run(token_file(folder, binding="other").save(KEPT))
    mine = token_file(folder)
    asyncio.run(mine.save(replace(asyncio.run(mine.load()), refresh=KEPT.refresh)))
    path = Path(folder.token("alerts"))
    good = path.read_bytes()
    box = KeyFile(folder).box()
    file = TokenFile(folder, "alerts", binding="b", box=lambda: box)
    with asyncio.Runner() as runner:
        for place in range(len(good)):
            for bit in (0, place % 7 + 1):
                path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
                kept = runner.run(file.load())
                assert kept.refresh == KEPT.refresh or kept.damage, (place, bit)


@pytest.mark.parametrize("field", ["binding", "version", "format"])
async def test_a_field_that_is_missing_is_damage(folder: StateFolder, field: str) -> None:
    await token_file(folder).save(KEPT)
    put(folder, {name: value for name, value in entry(folder).items() if name != field})
    assert (await token_file(folder).load()).damage


async def test_a_field_that_nobody_knows_is_damage(folder: StateFolder) -> None:
    await token_file(folder).save(KEPT)
    put(folder, {**entry(folder), "refrush": "x"})
    assert (await token_file(folder).load()).damage
