"""``send --queue``: what is handed to the relay of this machine, at once or for later, with tags."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from postbearer.engine import Submitter
from postbearer.handover import RelayLocation, hand_over, reached
from support.local import SRC, Ran, local_relay, running, short_folder

WORDS = ("--to", "you@example.org", "--subject", "hello", "--text", "hi")
AS_ME = ("--from", "me@example.org")
DAY = 86_400.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


async def send(environ: dict[str, str], *words: str, stdin: bytes = b"") -> Ran:
    command = [sys.executable, "-m", "postbearer", "send", *words]
    return await running(command, stdin, {**environ, "PYTHONPATH": str(SRC)})


async def test_it_is_in_the_queue_and_its_id_is_told(folder: Path) -> None:
    async with local_relay(folder) as relay:
        ran = await send(relay.environ, *WORDS, *AS_ME, "--cc", "c@example.org", "--queue")
        entry, content = await relay.one()
        assert (ran.code, ran.out, ran.err) == (0, f"queued as {entry.message.id}\n", "")
        assert entry.message.envelope.addresses == ("you@example.org", "c@example.org")
        assert entry.message.envelope.reverse_path == "me@example.org"
        assert (entry.message.send_at, entry.message.tags) == (None, ())
        assert b"Subject: hello\r\n" in content


async def test_it_waits_for_its_time_under_its_tags(folder: Path) -> None:
    async with local_relay(folder) as relay:
        tags = ("--tag", "kind:report", "--tag", "customer:42")
        ran = await send(relay.environ, *WORDS, *AS_ME, "--at", "2h", *tags, "--json")
        entry, content = await relay.one()
        told = json.loads(ran.out)
        assert told["id"] == entry.message.id
        assert entry.message.send_at == pytest.approx(time.time() + 7200, abs=60)
        assert told["send_at"].endswith("+00:00")
        assert entry.message.tags == (("customer", "42"), ("kind", "report"))
        dated = parsedate_to_datetime(message_from_bytes(content)["date"]).timestamp()
        assert dated == pytest.approx(entry.message.send_at, abs=1)
        shown = await running(
            [sys.executable, "-m", "postbearer", "queue", "list", "--tag", "customer:42"],
            b"",
            {**relay.environ, "PYTHONPATH": str(SRC)},
        )
        assert "scheduled" in shown.out
        assert "leaves at" in shown.out


async def test_a_date_of_ones_own_stays(folder: Path) -> None:
    async with local_relay(folder) as relay:
        date = "Tue, 01 Dec 2026 08:00:00 +0000"
        await send(relay.environ, *WORDS, *AS_ME, "--at", "2h", "--header", f"Date: {date}")
        _, content = await relay.one()
        assert content.count(b"Date: ") == 1
        assert f"Date: {date}\r\n".encode() in content


async def test_a_finished_message_is_handed_over_as_it_is(folder: Path) -> None:
    async with local_relay(folder) as relay:
        raw = b"From: me@example.org\r\nX: 1\r\n\r\nhello\r\n"
        (folder / "m.eml").write_bytes(raw)
        ran = await send(
            relay.environ, "--raw", str(folder / "m.eml"), "--to", "a@example.org", *AS_ME, "--queue"
        )
        assert ran.code == 0
        assert (await relay.one())[1] == raw


async def test_reports_are_wished_for_as_without_a_queue(folder: Path) -> None:
    async with local_relay(folder) as relay:
        wishes = ("--dsn-notify", "success,failure", "--dsn-return", "full", "--dsn-id", "e 1")
        await send(relay.environ, *WORDS, *AS_ME, "--queue", *wishes)
        envelope = (await relay.one())[0].message.envelope
        assert (envelope.ret, envelope.envid) == ("FULL", "e 1")
        assert envelope.recipients[0].notify == ("SUCCESS", "FAILURE")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--at", "2026-12-01T08:00:00"), 64, "no time zone"),
        (("--at", "31d"), 64, "30 days at most"),
        (("--at", "9999-12-31T23:59:59Z"), 64, "30 days at most"),
        (("--at", "tomorrow"), 64, "not a duration"),
        (("--at", ""), 64, "not a duration"),
        (("--tag", "customer"), 64, "NAME:VALUE"),
        (("--tag", "a:b\x07"), 64, "control"),
        (("--queue", "--no-wait"), 64, "not waited for"),
        (("--queue", "--header", "Bcc: x@example.org"), 65, "own option"),
    ],
)
async def test_what_cannot_be_is_told_and_nothing_is_queued(
    folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    async with local_relay(folder) as relay:
        ran = await send(relay.environ, *WORDS, *AS_ME, *words)
        assert (ran.code, said in ran.err) == (code, True), ran.err
        assert "Traceback" not in ran.err
        assert await relay.accepted() == []


async def test_without_an_author_the_configuration_says_who_writes(folder: Path) -> None:
    async with local_relay(folder) as relay:
        ran = await send(relay.environ, *WORDS, "--queue")
        assert ran.code == 78
        assert "--from" in ran.err


async def test_a_relay_that_is_down_is_waited_for(folder: Path) -> None:
    async with local_relay(folder, handing=False) as relay:
        ran = await send(relay.environ, *WORDS, *AS_ME, "--queue", "--timeout", "0.2s")
        assert (ran.code, "does not run" in ran.err) == (75, True), ran.err
        assert await relay.drop.collect() == 0


async def test_where_no_relay_is_set_up_that_is_told(folder: Path) -> None:
    environ = {"HOME": str(folder), "POSTBEARER_STATE": str(folder / "none"), "PATH": "/usr/bin"}
    ran = await send(environ, *WORDS, *AS_ME, "--queue")
    assert ran.code == 75
    assert "postbearer serve" in ran.err


@pytest.mark.parametrize(
    "slip", [{"send_at": 4e9}, {"tags": [["a:b", "c"]]}, {"tags": [["a", "b\n"]]}, {"tags": 1}]
)
async def test_a_relay_believes_no_slip(folder: Path, slip: dict[str, Any]) -> None:

    async with local_relay(folder, client=Submitter(name="local")) as relay:
        made = {"uid": 0, "to": ["a@example.org"], "from": "b@example.org"} | slip
        content = b"Subject: x\r\n\r\nhi\r\n"
        octets = json.dumps(made).encode()
        head = b"postbearer 1 send %d %d\n" % (len(octets), len(content))
        connection = reached(RelayLocation([str(folder)], str(folder)))
        assert connection is not None
        reply = await asyncio.to_thread(hand_over, connection, [head + octets, content])
        assert reply.startswith("501 ")
        assert await relay.accepted() == []
