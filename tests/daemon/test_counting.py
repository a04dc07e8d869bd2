"""What happens in a relay can be counted by whoever listens, and is no line of the log for that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.events import ClientConnected, ClientDisconnected, CommandRejected, Committed, TurnedAway
from postbearer.state import StateFolder
from support.configuration import COMPLETE
from support.local import short_folder
from support.relay import Ears, WaitingClock
from support.spooling import START
from support.submitting import Talk


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        lines = ["[relay]", 'listen = ["127.0.0.1:0"]', "size = 2000", ""]
        (folder / "postbearer.toml").write_text(COMPLETE + "\n".join(lines))
        yield folder


async def test_clients_refusals_and_commits(home: Path) -> None:
    ears = Ears()
    environ = {"POSTBEARER_ALLOW_EPHEMERAL": "true"}
    assembly = Assembly.load(home / "postbearer.toml", environ, state=StateFolder(home / "state"))
    relay = Relay(assembly, observer=ears, clock=WaitingClock(START))
    await relay.start()
    await relay.dispatcher.pause("alerts")
    host, _, port = relay.addresses[0].rpartition(":")
    async with await Talk.open(host, int(port)) as client:
        await client.reply()
        await client.say("EHLO client.example.org")
        await client.say("HELLO\xa0client")
        await client.say("RCPT TO:<you@example.net>")
        assert (await client.say("MAIL FROM:<app@example.org> SIZE=3000")).startswith("552")
        await client.say("MAIL FROM:<app@example.org>")
        for _ in range(5):  # each is an event, none is a line
            assert (await client.say("RCPT TO:<nobody@[bad>")).startswith("5")
        assert (await client.say("RCPT TO:<you@example.net>")).startswith("250")
        assert (await client.say("DATA")).startswith("354")
        client.send(b"From: app@example.org\r\n\r\nHello\r\n.\r\n")
        assert (await client.reply()).startswith("250")
        await client.say("MAIL FROM:<app@example.org>")
        await client.say("RCPT TO:<you@example.net>")
        await client.say("DATA")
        client.send(b"From: app@example.org\r\n\r\n" + 40 * (b"x" * 70 + b"\r\n") + b".\r\n")
        assert (await client.reply()).startswith("552")
        await client.say("STARTTLS")
        await client.say("BDAT 0")
        await client.say("QUIT")
        await client.reader.read()
    await relay.stop(0.0)

    heard = [type(event) for event in ears.events]
    assert heard.count(ClientConnected) == heard.count(ClientDisconnected) == 1
    rejected = [event for event in ears.events if isinstance(event, CommandRejected)]
    assert {each.peer for each in rejected} == {"127.0.0.1"}
    assert [(each.command, each.code) for each in rejected] == [
        ("OTHER", 500),
        ("RCPT", 503),
        ("MAIL", 552),
        *[("RCPT", 501)] * 5,
        ("CONTENT", 552),
        ("STARTTLS", 502),
        ("BDAT", 503),
    ]
    commits = [event for event in ears.events if isinstance(event, Committed)]
    assert commits
    assert all(each.jobs >= 1 and each.seconds >= 0 and not each.failed for each in commits)
    assert sum(each.pages for each in commits) > 0
    assert TurnedAway not in heard
    numbers = [event.sequence for event in ears.events]
    assert numbers == sorted(set(numbers))
    assert {event.time for event in ears.events} == {START}
