"""The relay as a process, with webhooks over TLS: killed at random, asked by commands, reloaded."""

from __future__ import annotations

import json
import os
import random
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from cli.conftest import Home
from postbearer.testing.certificates import Authority
from relay.running import SENDER, Relay, eventually, plain_account, relay_table
from servers.sink import Sink
from support.hooks import Hooks, hang_up, huge, receiving
from support.local import short_folder
from support.webhooks import SECRET

SOON = {"retry-after": "1"}
ODD: list[Any] = [(500, {}), (503, SOON), (302, {"location": "/"}), (429, SOON), hang_up, huge]


@dataclass
class Running:
    relay: Relay
    hooks: Hooks
    sink: Sink
    home: Home

    def text(self, *lines: str, url: str = "") -> str:
        more = "".join(f"{line}\n" for line in lines)
        return (
            plain_account(self.sink.port)
            + relay_table()
            + f'[[webhooks]]\nname = "shop"\nurl = "{url or self.hooks.url}"\nsecrets = ["file:secret"]\n'
            + f'ca-file = "ca.pem"\nallow-private = true\n{more}'
        )

    def send(self, subject: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=20) as smtp:
            smtp.sendmail(SENDER, ["you@example.org"], f"Subject: {subject}\r\n\r\nhello\r\n")

    def words(self) -> dict[str, list[str]]:
        """What was told of each message, each event the first time it came and was taken."""
        found: dict[str, dict[str, str]] = {}
        for call in self.hooks.calls:
            if call.json["type"] != "webhook.test":
                event = call.json["data"]
                found.setdefault(event["message"], {}).setdefault(call.headers["webhook-id"], event["type"])
        return {message: list(events.values()) for message, events in found.items()}

    def run(self, *arguments: str) -> tuple[int, str]:
        ran = self.home.run(*arguments)
        return ran.code, ran.out + ran.err


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})


@pytest.fixture
def running(home: Home) -> Iterator[Running]:
    authority = Authority()
    with short_folder() as folder, receiving(context=authority.server_context()) as hooks:
        authority.write(folder / "ca.pem")
        (folder / "secret").write_text(f"{SECRET}\n")
        (folder / "secret").chmod(0o600)
        sink = Sink()
        with Relay(folder, "") as relay:
            made = Running(relay, hooks, sink, home)
            relay.configure(made.text())
            home.environ |= {"POSTBEARER_STATE": relay.state.path, "POSTBEARER_CONFIG": str(relay.config)}
            yield made
        sink.close()


QUEUED, ACCEPTED = "message.queued", "message.accepted"


def test_killed_at_random_nothing_is_lost_invented_or_out_of_order(running: Running, long: bool) -> None:
    kills, dice, sent = 60 if long else 5, random.Random(11), 0
    running.hooks.always = (204, {})
    assert running.relay.start()
    for _ in range(kills):
        running.hooks.answers += dice.choices(ODD, k=3)
        until = time.monotonic() + dice.uniform(0.1, 0.8)
        while time.monotonic() < until:
            running.send(f"m{sent}")
            sent += 1
        running.relay.kill()
        assert running.relay.start()
    running.hooks.answers.clear()
    running.send("last")
    code, said = running.run("hooks", "test", "shop")  # it arrives, so all that failed goes at once
    assert code == 0, said
    told = eventually(
        lambda: (
            words
            if len(words := running.words()) == sent + 1
            and all(each[-1] == ACCEPTED for each in words.values())
            else None
        ),
        120.0,
    )
    for words in told.values():
        assert words[0] == QUEUED
        assert words[-1] == ACCEPTED  # after a kill it may have been of unknown fate in between
        assert set(words) <= {QUEUED, ACCEPTED, "message.unknown", "message.deferred"}
    for call in running.hooks.calls:
        Webhook(SECRET).verify(call.body, call.headers)
    assert "canary" not in running.relay.log


def test_what_people_do_by_commands(running: Running) -> None:
    running.hooks.always = (500, {})
    assert running.relay.start()
    running.send("one")
    eventually(lambda: len(running.hooks.calls) >= 2)
    code, out = running.run("hooks", "list")
    assert (code, "failing" in out, "It answered 500." in out) == (0, True, True)
    (shown,) = json.loads(running.run("hooks", "list", "--json")[1])["webhooks"]
    assert (shown["name"], shown["state"], shown["waiting"] >= 1) == ("shop", "failing", True)
    assert shown["place"] == running.hooks.url.split("/")[2]
    code, out = running.run("hooks", "test", "shop")
    assert (code, "did not take" in out, "It answered 500." in out) == (75, True, True)
    assert running.run("status")[0] == 0  # it may pass in a moment
    running.hooks.always = (410, {})
    running.send("two")
    eventually(lambda: "disabled" in running.run("hooks", "list")[1])
    code, out = running.run("status")
    assert (code, "the webhook shop is disabled: It answered 410" in out) == (2, True)
    running.relay.kill()
    running.hooks.always = (204, {})
    assert running.relay.start()
    code, out = running.run("hooks", "enable", "shop")
    assert (code, "is called again" in out) == (0, True)
    eventually(lambda: [each[-1] for each in running.words().values()] == [ACCEPTED] * 2)
    before = len(running.hooks.calls)
    code, out = running.run("hooks", "replay", "shop", "--from", "1")
    assert (code, "4 events are sent" in out) == (0, True)
    eventually(lambda: len(running.hooks.calls) == before + 4)
    message = next(iter(running.words()))
    assert (
        json.loads(running.run("hooks", "replay", "shop", "--message", message, "--json")[1])["events"] == 2
    )
    eventually(lambda: len(running.hooks.calls) == before + 6)
    assert running.run("hooks", "replay", "shop", "--from", "2001-01-01")[0] == 0
    for wrong, why in (
        (("hooks", "test", "shpo"), "Did you mean shop?"),
        (("hooks", "replay", "shop"), "--from"),
        (("hooks", "replay", "shop", "--from", "tomorrow"), "neither the id of an event nor a time"),
        (("hooks", "replay", "shop", "--from", "4000"), "Nothing has happened since"),
        (("hooks", "replay", "shop", "--from", "2999-01-01"), "Nothing has happened since"),
    ):
        code, out = running.run(*wrong)
        assert (code, why in out) == (64, True), out
    assert running.run("status")[0] == 0


def test_a_reload_applies(running: Running) -> None:
    """One that comes, one that changes, and one that goes; each begins where it stands."""
    text = plain_account(running.sink.port) + relay_table()
    running.relay.configure(text)
    assert running.relay.start()
    running.send("before")
    assert running.run("hooks", "list")[1].startswith("There are no webhooks.")
    running.relay.configure(running.text())
    assert running.run("reload")[0] == 0
    running.send("first")
    eventually(lambda: len(running.hooks.calls) == 2)
    running.relay.configure(running.text('events = ["message.accepted"]'))
    assert running.run("reload")[0] == 0
    running.send("second")
    eventually(lambda: len(running.hooks.calls) == 3)
    assert [call.json["type"] for call in running.hooks.calls] == [QUEUED, ACCEPTED, ACCEPTED]
    running.relay.configure(running.text().replace('"shop"', '"The Shop"'))
    code, out = running.run("reload")
    assert (code, "webhooks.0.name" in out) == (78, True)
    running.relay.configure(text)
    assert running.run("reload")[0] == 0
    running.send("third")
    eventually(lambda: len(running.sink.messages()) == 4)
    assert len(running.hooks.calls) == 3
    assert running.relay.stop() == 0


def test_a_receiver_whose_certificate_does_not_hold_is_told_nothing(running: Running) -> None:
    (running.relay.folder / "ca.pem").write_bytes(Authority().pem)
    assert running.relay.start()
    running.send("one")
    code, out = running.run("hooks", "test", "shop")
    assert code == 75
    assert "TLS with 127.0.0.1" in out
    assert running.hooks.calls == []


def test_a_receiver_that_is_slow_delays_no_mail_and_no_end(running: Running) -> None:
    running.hooks.delay = 30.0
    assert running.relay.start()
    for number in range(20):
        running.send(f"m{number}")
    assert len(running.sink.wait_for(20)) == 20
    began = time.monotonic()
    assert running.relay.stop() == 0
    assert time.monotonic() - began < 20
