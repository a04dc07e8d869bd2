"""The drop folder: what is left there while the relay is away, and what hostile users leave."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from postbearer.store import MemorySpool
from postbearer.submission import parse_line
from postbearer.testing import ManualClock
from support.local import NOBODY, LocalRelay, local_relay, sendmail

CONTENT = b"From: a@example.org\r\nSubject: hi\r\n\r\nHello.\r\n"
NAME = "0123456789abcdef0123456789abcdef"


def parcel(content: bytes = CONTENT, **envelope: object) -> bytes:
    slip = {"uid": os.getuid(), "from": "a@example.org", "to": ["b@example.net"], **envelope}
    octets = json.dumps(slip).encode()
    return b"postbearer 1 send %d %d\n" % (len(octets), len(content)) + octets + content


def put(relay: LocalRelay, octets: bytes, name: str = NAME) -> Path:
    path = relay.drop.path / name
    path.write_bytes(octets)
    return path


def aside(relay: LocalRelay) -> list[str]:
    return [name for name in os.listdir(relay.drop.path) if name.startswith("bad.")]


async def test_what_sendmail_leaves_is_taken_once_and_then_gone(folder: Path) -> None:
    async with local_relay(folder, handing=False) as relay:
        ran = await sendmail("-v", "b@example.net", stdin=b"Subject: x\n\nhi\n", environ=relay.environ)
        assert ran.code == 0
        assert "drop folder" in ran.out
        (name,) = os.listdir(relay.drop.path)
        assert stat.S_IMODE((relay.drop.path / name).stat().st_mode) == 0o644
        assert await relay.drop.collect() == 1
        assert await relay.drop.collect() == 0
        _, content = await relay.one()
        assert content.endswith(b"\r\n\r\nhi\r\n")
        assert os.listdir(relay.drop.path) == []


async def test_the_folder_is_to_be_written_by_all_and_listed_by_none(folder: Path) -> None:
    async with local_relay(folder, handing=False) as relay:
        assert stat.S_IMODE(relay.drop.path.stat().st_mode) == 0o1733
        relay.drop.ensure()  # again, at the next start


async def test_another_user_can_leave_mail_and_cannot_look(folder: Path) -> None:
    if os.geteuid() != 0:
        return  # nobody else to be
    os.chmod(folder, 0o711)
    async with local_relay(folder, handing=False) as relay:
        ran = await sendmail("b@example.net", stdin=b"hi\n", environ=relay.environ, uid=NOBODY)
        assert (ran.code, ran.err) == (0, "")
        assert await relay.drop.collect() == 1
        assert (await relay.one())[0].message.client.startswith("user:nobody")


@pytest.mark.parametrize("missing", [1, 5, len(CONTENT), len(CONTENT) + 20])
async def test_a_file_that_is_not_whole_is_set_aside(folder: Path, missing: int) -> None:
    async with local_relay(folder, handing=False) as relay:
        put(relay, parcel()[:-missing])
        assert await relay.drop.collect() == 0
        assert await relay.accepted() == []
        (text,) = relay.warnings
        assert NAME in text
        assert "not whole" in text or "no message" in text
        assert len(aside(relay)) == 1
        await relay.drop.collect()
        assert len(relay.warnings) == 1  # never a loop


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "no message"),
        (b"\0" * 5000, "no message"),
        (b"x" * 1_000_000, "no message"),
        (parcel() + b"more", "not whole"),
        (parcel(uid=os.getuid() + 1), f"it is from user {os.getuid() + 1}"),
        (parcel(to=["nobody"]), "553"),
        (parcel(b"bare\nlf\r\n"), "554"),
        (b"postbearer 1 smtp\n", "no message"),
        (b"postbearer 1 send 4 0\nnull", "no message"),
    ],
)
async def test_a_bad_file_is_set_aside_with_the_reason(folder: Path, octets: bytes, why: str) -> None:
    async with local_relay(folder, handing=False) as relay:
        put(relay, octets)
        await relay.drop.collect()
        assert why in relay.warnings[0]
        assert await relay.accepted() == []
        assert len(os.listdir(relay.drop.path)) == len(aside(relay)) == 1


async def test_a_file_of_a_foreign_owner_is_not_believed(folder: Path) -> None:
    if os.geteuid() != 0:
        return  # cannot give files away
    async with local_relay(folder, handing=False) as relay:
        os.chown(put(relay, parcel(uid=0)), NOBODY, NOBODY)
        await relay.drop.collect()
        assert f"belongs to user {NOBODY}" in relay.warnings[0]
        assert await relay.accepted() == []


async def test_links_pipes_and_folders_are_set_aside_unread(folder: Path) -> None:
    async with local_relay(folder, handing=False) as relay:
        secret = folder / "secret"
        secret.write_bytes(parcel())
        (relay.drop.path / ("a" * 32)).symlink_to(secret)
        os.link(secret, relay.drop.path / ("b" * 32))
        os.mkfifo(relay.drop.path / ("c" * 32))
        (relay.drop.path / ("d" * 32)).mkdir()
        (relay.drop.path / "../x".replace("/", "%")).write_bytes(parcel())
        (relay.drop.path / "line\nbreak\x1b[31m").write_bytes(parcel())
        assert await relay.drop.collect() == 0
        assert await relay.accepted() == []
        assert len(aside(relay)) == len(relay.warnings) == 6
        assert secret.exists()
        assert all(text.isprintable() for text in relay.warnings)


async def test_one_bad_file_does_not_keep_the_good_ones_back(folder: Path) -> None:
    async with local_relay(folder, handing=False) as relay:
        put(relay, b"rubbish", "0" * 32)
        put(relay, parcel(), "1" * 32)
        assert await relay.drop.collect() == 1


async def test_a_flood_of_rubbish_does_not_flood_the_log(folder: Path) -> None:
    async with local_relay(folder, handing=False) as relay:
        for number in range(300):
            put(relay, b"rubbish", f"{number:032x}")
        put(relay, parcel(), "f" * 32)
        assert await relay.drop.collect() == 1
        assert len(relay.warnings) == 21
        assert "280 more files" in relay.warnings[-1]


async def test_half_written_files_are_left_in_peace_until_they_are_old(folder: Path) -> None:
    async with local_relay(folder, handing=False) as relay:
        half = put(relay, parcel(), f"half.{NAME}")
        await relay.drop.collect()
        assert half.exists()
        os.utime(half, (1_000_000_000, 1_000_000_000))
        await relay.drop.collect()
        assert not half.exists()
        assert "half-written" in relay.warnings[0]


async def test_without_room_the_file_stays_for_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_room(self: MemorySpool, size: int) -> bool:
        return False

    async with local_relay(folder, handing=False) as relay:
        path = put(relay, parcel())
        with monkeypatch.context() as patched:
            patched.setattr(MemorySpool, "room", no_room)
            assert await relay.drop.collect() == 0
            assert path.exists()
        assert await relay.drop.collect() == 1


async def test_something_else_by_the_name_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "drop").symlink_to(folder / "elsewhere")
    with pytest.raises(Exception, match="no folder of ours"):
        async with local_relay(folder, handing=False):
            pass


def test_lengths_are_read_as_they_are_written() -> None:
    lengths = parse_line(b"postbearer 1 send 12 345")
    assert (lengths.envelope, lengths.content) == (12, 345)


async def test_what_was_set_aside_is_removed_after_a_fortnight(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(time.time())
    async with local_relay(folder, handing=False) as relay:
        monkeypatch.setattr(relay.drop, "_clock", clock)
        put(relay, b"rubbish", "0" * 32)
        (relay.drop.path / "folder").mkdir()
        await relay.drop.collect()
        assert len(aside(relay)) == 2
        for name in aside(relay):
            os.utime(relay.drop.path / name, (0, 0))  # its owner may say what they like
        clock.advance(13 * 86_400)
        await relay.drop.collect()
        assert len(aside(relay)) == 2
        clock.advance(2 * 86_400)
        await relay.drop.collect()
        assert aside(relay) == []
