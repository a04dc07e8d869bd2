"""``submit.sock``: programs of this machine hand over mail, hostile ones included."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from postbearer.engine import Submitter
from postbearer.submission import SessionLimits
from support.local import HOST, NOBODY, local_relay, sendmail

CONTENT = b"From: a@example.org\r\nSubject: hi\r\n\r\nHello.\r\n"
ME = f"user:{pwd.getpwuid(os.getuid()).pw_name}"


def frame(content: bytes = CONTENT, **envelope: object) -> bytes:
    slip = {"uid": os.getuid(), "from": "a@example.org", "to": ["b@example.net"], **envelope}
    octets = json.dumps(slip).encode()
    return b"postbearer 1 send %d %d\n" % (len(octets), len(content)) + octets + content


async def say(path: Path, *pieces: bytes, end: bool = False) -> str:
    """Write `pieces`, each as a segment of its own; what the relay answers."""

    def run() -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            with suppress(OSError):  # it may have heard enough
                for piece in pieces:
                    connection.sendall(piece)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            answer = b""
            while not answer.endswith(b"\n") and (more := connection.recv(4096)):
                answer += more
            return answer.decode()

    return await asyncio.to_thread(run)


async def test_a_message_handed_over_is_in_the_spool_when_the_relay_says_so(folder: Path) -> None:
    async with local_relay(folder) as relay:
        answer = await say(relay.handover.path, frame())
        entry, content = await relay.one()
        assert answer == f"250 queued as {entry.message.id}\n"
        assert content == CONTENT
        assert entry.message.client == ME
        assert entry.message.envelope.addresses == ("b@example.net",)
        assert f"by {HOST} (postbearer) with local id" in entry.message.received


async def test_any_local_user_may_and_is_known_by_name(folder: Path) -> None:
    async with local_relay(folder) as relay:
        assert stat.S_IMODE(relay.handover.path.stat().st_mode) == 0o666
        if os.geteuid() == 0:
            os.chmod(folder, 0o711)
            ran = await sendmail("b@example.net", stdin=b"hi\n", environ=relay.environ, uid=NOBODY)
            entry, _ = await relay.one()
            name = pwd.getpwuid(NOBODY).pw_name
            assert (ran.code, entry.message.client) == (0, f"user:{name}")


@pytest.mark.parametrize("cut", [1, 10, 30, 60, 120])
async def test_cutting_into_segments_changes_nothing(folder: Path, cut: int) -> None:
    octets = frame()
    pieces = [octets[start : start + cut] for start in range(0, len(octets), cut)]
    async with local_relay(folder) as relay:
        assert (await say(relay.handover.path, *pieces)).startswith("250 ")
        assert (await relay.one())[1] == CONTENT


@pytest.mark.parametrize("length", range(0, len(frame()), 17))
async def test_a_truncated_hand_over_leaves_nothing(folder: Path, length: int) -> None:
    async with local_relay(folder) as relay:
        answer = await say(relay.handover.path, frame()[:length], end=True)
        assert answer[:1] in ("5", "")
        assert await relay.accepted() == []


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO example.org\r\n",
        b"postbearer 2 send 10 10\n",
        b"postbearer 1 send 10\n",
        b"postbearer 1 send -1 10\n",
        b"postbearer 1 send 99999999 10\n",
        b"postbearer 1 send 9999999 10\n",
        b"x" * 100_000,
        b"postbearer 1 send 2 2\n{}ab",
        b"postbearer 1 send 4 2\nnullab",
        b"postbearer 1 send 3 0\n\xff\xfe\xfd",
        frame(extra=1),
        frame(to=[]),
        frame(to="b@example.net"),
        frame(notify=["SOMETIMES"]),
        frame(uid=-1),
        frame(ret="ALL"),
    ],
)
async def test_what_is_no_hand_over_is_refused(folder: Path, octets: bytes) -> None:
    async with local_relay(folder) as relay:
        assert (await say(relay.handover.path, octets, end=True)).startswith("50")
        assert await relay.accepted() == []
        assert (await say(relay.handover.path, frame())).startswith("250 ")


@pytest.mark.parametrize(
    "address",
    [
        "b",
        "",
        "b@",
        "b@example.net\n",
        "b@example.net\rRCPT",
        "a b@example.net",
        "@relay:b@example.net",
        "<b@e.org>",
    ],
)
async def test_an_address_that_is_none_refuses_the_message(folder: Path, address: str) -> None:
    async with local_relay(folder) as relay:
        answer = await say(relay.handover.path, frame(to=["ok@example.net", address]))
        assert answer.startswith("553 5.1.3 ")
        assert answer.count("\n") == 1
        assert await relay.accepted() == []


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"\r\n\r", b"no end"])
async def test_content_that_smtp_would_refuse_is_refused(folder: Path, content: bytes) -> None:
    async with local_relay(folder) as relay:
        assert (await say(relay.handover.path, frame(content))).startswith("554 5.6.0 ")
        assert await relay.accepted() == []


async def test_rights_and_sizes_hold_here_too(folder: Path) -> None:
    limited = Submitter(name="local", senders=("@example.org",))
    async with local_relay(folder, client=limited, size=10_000) as relay:
        refused = await say(relay.handover.path, frame(**{"from": "x@example.com"}))
        assert refused.startswith("550 5.7.1 ")
        assert (await say(relay.handover.path, frame(b"x" * 20_000))).startswith("552 5.3.4 ")
        assert (await say(relay.handover.path, frame())).startswith("250 ")


async def test_a_client_that_says_nothing_is_left_and_others_do_not_wait(folder: Path) -> None:
    async with local_relay(folder, bounds=SessionLimits(grace=0.2, session=0.5)) as relay:
        silent = asyncio.create_task(say(relay.handover.path))
        slow = asyncio.create_task(say(relay.handover.path, frame()[:-5]))
        await asyncio.sleep(0)
        assert (await say(relay.handover.path, frame())).startswith("250 ")
        assert (await silent).startswith("421 ")
        assert (await slow).startswith("421 ")
        assert len(await relay.accepted()) == 1


async def test_too_many_at_once_are_told_to_come_back(folder: Path) -> None:
    bounds = SessionLimits(connections_of_this_machine=2, session=5.0)
    async with local_relay(folder, bounds=bounds) as relay:
        inside = [await asyncio.open_unix_connection(str(relay.handover.path)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert (await say(relay.handover.path, frame())).startswith("421 ")
        for _, writer in inside:
            writer.close()


async def test_the_socket_of_a_relay_that_died_is_replaced_and_a_living_one_is_not(folder: Path) -> None:
    async with local_relay(folder) as relay:
        with pytest.raises(Exception, match="another program listens"):
            await type(relay.handover)(folder, relay.listener_context, None).start()  # type: ignore[arg-type]
    assert not (folder / "submit.sock").exists()
    (folder / "submit.sock").write_text("somebody's file")
    with pytest.raises(Exception, match="no socket"):
        async with local_relay(folder):
            pass


async def test_too_many_recipients_are_told_as_such(folder: Path) -> None:
    async with local_relay(folder) as relay:
        many = [f"b{number}@example.net" for number in range(1001)]
        answer = await say(relay.handover.path, frame(to=many))
        assert answer == "550 5.5.3 A message may have 1000 recipients, this has 1001\n"
        assert (await say(relay.handover.path, frame(to=many[:1000]))).startswith("250 ")
