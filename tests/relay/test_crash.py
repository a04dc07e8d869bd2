"""A relay that is killed at every step and at any moment: whatever it answered by 250 arrives."""

from __future__ import annotations

import os
import random
import signal
import smtplib
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from postbearer.errors import PostbearerError
from postbearer.testing import BackgroundSandbox, Sandbox
from relay.campaign import Campaign, Row
from relay.load import transaction
from relay.running import Relay, relay_table
from servers.sink import Received, Sink

# What is done, before or after its commit; `n`: the how manieth time it is done.
POINTS = [f"{what}.{when}" for what in ("accept", "attempt", "done", "dsn") for when in ("before", "after")]
FEW, MANY = (1, 6, 40), (1, 2, 3, 4, 5, 8, 13, 21, 34, 55, 89, 144, 233)

Tell = Callable[[Row], None]


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_named_point(home: Path, tell: Tell, long: bool, point: str) -> None:
    with Campaign(home / "relay", POINTS.index(point), refused=0.3 if "dsn" in point else 0.02) as campaign:
        for n in MANY if long else FEW:
            assert campaign.die_at(f"{point}:{n}"), f"{point} was not reached {n} times"
        row, found = await campaign.outcome("killed", point)
    tell(row)
    assert found.bad == {}
    assert found.accepted > 0
    if point in ("attempt.after", "done.before"):
        assert found.windows.get("DUP-MARK", 0) > 0  # the one place in which a copy may leave twice


async def test_killed_while_it_removes_what_is_done(home: Path, tell: Tell) -> None:
    with Campaign(home / "relay", 50) as campaign:
        for point in ("purge.before", "purge.after"):
            campaign.kill_after(0.1)
            assert campaign.die_at(point)  # at the start, which looks for what can go
        row, found = await campaign.outcome("killed", "purge")
    tell(row)
    assert found.bad == {}


async def test_killed_at_any_moment_under_load(home: Path, tell: Tell, long: bool) -> None:
    dice = random.Random(7)
    with Campaign(home / "relay", 100, refused=0.02) as campaign:
        for _ in range(200 if long else 10):
            campaign.kill_after(dice.uniform(0.0, 0.4))
        row, found = await campaign.outcome("killed", "at random")
    tell(row)
    assert found.bad == {}


class People:
    """Somebody who pauses and resumes the account, holds and releases mail, and reloads, again and again."""

    def __init__(self, relay: Relay, seed: int) -> None:
        self.done = 0
        self._relay = relay
        self._dice = random.Random(seed)
        self._text = relay.config.read_text()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> People:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join(30)
        self._relay.configure(self._text)

    def _work(self) -> None:
        works = (self._pause, self._resume, self._reload, self._hold, self._release)
        while not self._end.wait(0.005):
            with suppress(PostbearerError, AssertionError):  # it was killed meanwhile
                self._dice.choice(works)()
                self.done += 1

    def _pause(self) -> None:
        self._relay.ask("accounts.pause", name="out")

    def _resume(self) -> None:
        self._relay.ask("accounts.resume", name="out")

    def _reload(self) -> None:
        more = self._dice.choice(["", "limits = { messages-per-minute = 100000 }\n"])
        written = self._relay.config.with_suffix(".new")
        written.write_text(self._text.replace("[accounts.out]\n", f"[accounts.out]\n{more}"))
        written.chmod(0o600)
        written.replace(self._relay.config)
        self._relay.ask("relay.reload")

    def _hold(self) -> None:
        for entry in self._relay.ask("queue.list", limit=5).messages:
            self._relay.ask("queue.hold", message=entry.id)

    def _release(self) -> None:
        for entry in self._relay.ask("queue.list", statuses=["held"], limit=50).messages:
            self._relay.ask("queue.release", message=entry.id)


async def test_killed_while_people_work_on_it(home: Path, tell: Tell, long: bool) -> None:
    dice = random.Random(9)
    done = 0
    with Campaign(home / "relay", 400, refused=0.02) as campaign:
        for kill in range(60 if long else 6):
            with People(campaign.relay, kill) as people:
                campaign.kill_after(dice.uniform(0.2, 0.9))
            done += people.done
        assert campaign.relay.start()
        campaign.relay.ask("accounts.resume", name="out")
        while held := campaign.relay.ask("queue.list", statuses=["held"], limit=1000).messages:
            for entry in held:
                campaign.relay.ask("queue.release", message=entry.id)
        row, found = await campaign.outcome("killed", "while people work on it")
    tell(row)
    assert found.bad == {}
    assert found.accepted > 0
    assert done > 0


@pytest.mark.servers
async def test_killed_at_any_moment_under_load_from_smtp_source(home: Path, tell: Tell, long: bool) -> None:
    dice = random.Random(8)
    with Campaign(home / "relay", 200) as campaign:
        for _ in range(100 if long else 6):
            campaign.kill_after(dice.uniform(0.1, 0.5), source=True)
        row, found = await campaign.outcome("killed", "at random, smtp-source")
    tell(row)
    assert found.bad == {}
    assert found.accepted > 100


class Murderer(Sink):
    """Kills whoever sends to it, when it has taken the message and before it says so."""

    victim = 0

    def record(self, message: Received) -> None:
        super().record(message)
        if self.victim:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = 0


async def test_killed_when_the_provider_has_the_message_and_the_mark_is_not_made(
    home: Path, tell: Tell, long: bool
) -> None:
    with Campaign(home / "relay", 300, sink=Murderer) as campaign:
        assert isinstance(campaign.sink, Murderer)
        for kills in range(20 if long else 3):
            assert campaign.relay.start()
            assert campaign.relay.drain()
            campaign.sink.victim = campaign.relay.pid
            campaign.send(1)
            assert campaign.relay.ended() == -signal.SIGKILL
            campaign.kills = kills + 1
        row, found = await campaign.outcome("killed", "as the provider answers")
        copies = [message.content for message in campaign.sink.messages()]
    tell(row)
    assert found.bad == {}
    assert found.windows == {"DUP-MARK": campaign.kills}
    assert len(copies) == 2 * campaign.kills  # twice each, as foretold …
    assert len(set(copies)) == campaign.kills  # … with the same Message-ID, the same id in Received


# The fourth commit: that of a refresh token which the authorization server has exchanged for another.


def person(sandbox: Sandbox) -> str:
    """The configuration of somebody who signed in, with a relay."""
    return sandbox.configuration() + relay_table()


def send_through(relay: Relay) -> None:
    """One message from the account's own address; the relay may die before it answers QUIT."""
    client = smtplib.SMTP("127.0.0.1", relay.port, "load.example.org", timeout=20)
    try:
        client.ehlo()
        text = b"From: alerts@example.org\r\nSubject: token\r\n\r\nHello.\r\n"
        assert transaction(client, ["anna@example.net"], text, sender="alerts@example.org") == 250
    finally:
        client.close()


def arrives(sandbox: Sandbox, relay: Relay) -> bool:
    relay.wait_for("DeliveryEnded", text="accepted by the provider")
    return len(sandbox.inbox.messages) == 1


def test_killed_with_a_new_refresh_token_that_is_kept(home: Path) -> None:
    with BackgroundSandbox("google") as sandbox, Relay(home, person(sandbox)) as relay:
        assert relay.start(crash_at="token.after")
        send_through(relay)
        assert relay.ended() == 137
        assert relay.start()
        assert arrives(sandbox, relay)
        assert relay.stop() == 0


def test_killed_with_a_new_refresh_token_that_is_not_kept(home: Path) -> None:
    """Whoever uses the old one again is taken for a thief: somebody has to sign in. The mail waits."""
    with BackgroundSandbox("google") as sandbox, Relay(home, person(sandbox)) as relay:
        assert relay.start(crash_at="token.before")
        send_through(relay)
        assert relay.ended() == 137
        assert relay.start()
        relay.wait_for("AccountPaused")
        assert relay.open_recipients() == 1
        (sandbox.folder / "refresh-token").write_text(sandbox.sign_in() + "\n")
        relay.signal(signal.SIGHUP)
        assert arrives(sandbox, relay)
        assert relay.stop() == 0
