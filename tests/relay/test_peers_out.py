"""Servers that refuse, hang up, and count: what the relay makes of them."""

from __future__ import annotations

import itertools
import os
import smtplib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from postbearer.testing import BackgroundSandbox, Sandbox
from relay.conversing import client_of, text
from relay.load import transaction
from relay.running import Relay, eventually, plain_account, relay_table
from servers.processes import program
from support.ports import free_ports

COMMANDS = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", ".", "RSET", "QUIT")
WAYS = {
    "later": "-r",
    "bye": "-Q",
    "gone": "-q",
    "never": "-f",
}  # refuses, says 421, hangs up, refuses for good
CASES = {
    f"{account_state}-{number}": (option, command)
    for account_state, option in WAYS.items()
    for number, command in enumerate(COMMANDS)
}


@contextmanager
def smtp_sink(port: int, folder: Path, *options: str) -> Iterator[Path]:
    """Postfix's own sink; yields the file it notes each message in."""
    folder.mkdir(exist_ok=True)
    argv = [program("smtp-sink", "postfix"), *options, "-D", "messages", f"127.0.0.1:{port}", "50"]
    if os.geteuid() == 0:
        argv[1:1] = ["-u", "nobody"]
        folder.chmod(0o777)
    process = subprocess.Popen(argv, cwd=folder, stderr=subprocess.PIPE)
    try:
        yield folder / "messages"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def noted(file: Path, name: str) -> int:
    """How often the message arrived."""
    return file.read_text().count(f"\nX-Load: {name}\n") if file.exists() else 0


@pytest.mark.servers
def test_refusals_and_hang_ups_at_every_command(home: Path) -> None:
    """Nothing is lost, nothing fails that was not refused for good, and each doubt is told."""
    home.chmod(0o755)
    ports = dict(zip(CASES, free_ports(len(CASES)), strict=True))
    accounts = "".join(plain_account(port, name=name) for name, port in ports.items())
    routes = "".join(
        f'[[relay.routes]]\nto = "anna@{name}.example.net"\naccount = "{name}"\n' for name in CASES
    )
    config = accounts + relay_table('account = "never-0"') + routes
    with ExitStack() as rude, Relay(home, config) as relay:
        files = {
            name: rude.enter_context(smtp_sink(ports[name], home / name, option, command))
            for name, (option, command) in CASES.items()
        }
        assert relay.start(), relay.log
        with client_of(relay) as client:
            for name in CASES:
                assert transaction(client, [f"anna@{name}.example.net"], text(name)) == 250
        eventually(lambda: tried(relay) >= set(CASES))
        rude.close()
        failed = {each["fates"][0]["recipient"] for each in ended(relay, "failed")}
        assert failed == {
            f"anna@never-{COMMANDS.index(at)}.example.net" for at in ("MAIL", "RCPT", "DATA", ".")
        }
        with ExitStack() as polite:
            for name in CASES:
                polite.enter_context(smtp_sink(ports[name], home / name))
            for name in CASES:
                relay.ask("accounts.resume", name=name)
            for entry in relay.ask("queue.list", statuses=["deferred", "held"], limit=1000).messages:
                relay.ask("queue.retry", message=entry.id)
            assert relay.drain()
            counts = {name: noted(files[name], name) for name in CASES}
        doubts = {each["account"]: each["window"] for each in relay.said("PossibleDuplicate")}
        assert relay.stop() == 0
    again = {name for name in CASES if f"anna@{name}.example.net" not in failed}
    noted_before = {name for name in again if CASES[name][1] == "."}  # smtp-sink notes, and then refuses
    assert {name: counts[name] - (name in noted_before) for name in again} == dict.fromkeys(again, 1)
    assert doubts == {f"gone-{COMMANDS.index('.')}": "DUP-REPLY"}


def ended(relay: Relay, status: str) -> list[dict[str, object]]:
    return [
        each
        for each in relay.said("DeliveryEnded")
        if each["fates"] and each["fates"][0]["status"] == status and "anna@" in each["text"]
    ]


def tried(relay: Relay) -> set[str]:
    """The accounts that have made an attempt."""
    return {each["account"] for each in relay.said("DeliveryEnded")}


@pytest.fixture
def microsoft() -> Iterator[Sandbox]:
    with BackgroundSandbox("microsoft") as sandbox:
        yield sandbox


def send_as(relay: Relay, sender: str, *names: str) -> list[int]:
    with smtplib.SMTP("127.0.0.1", relay.port, "app.example.org", timeout=20) as client:
        client.ehlo()
        octets = [text(name).replace(b"app@example.org", sender.encode()) for name in names]
        return [transaction(client, ["anna@example.net"], each, sender=sender) for each in octets]


def test_microsoft_is_never_sent_more_than_it_takes(home: Path, microsoft: Sandbox) -> None:
    """Half a minute's worth at once, then one every two seconds, over three connections."""
    most = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            most[0] = max(most[0], microsoft.mail.submitting)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with Relay(home, microsoft.configuration() + relay_table()) as relay:
        assert relay.start(), relay.log
        relay.ask("accounts.pause", name="sandbox")
        names = [f"m{number}" for number in range(19)]
        assert send_as(relay, "alerts@example.org", *names) == [250] * len(names)
        relay.ask("accounts.resume", name="sandbox")
        assert relay.drain()
        assert relay.stop() == 0
    done.set()
    watcher.join()
    times = [message.at for message in microsoft.inbox.messages]
    assert len(times) == len(names)
    assert most[0] <= 3
    assert times[14] - times[0] < 3
    gaps = [after - before for before, after in itertools.pairwise(times[14:])]
    assert min(gaps) > 1.8
    assert microsoft.token_requests == 1


def test_send_as_denied_behind_the_content_is_reported_and_stops_nobody(
    home: Path, microsoft: Sandbox
) -> None:
    config = microsoft.configuration() + 'sender = "allow"\n' + relay_table()
    with Relay(home, config) as relay:
        assert relay.start(), relay.log
        assert send_as(relay, "other@example.org", "denied") == [250]
        assert send_as(relay, "alerts@example.org", "allowed") == [250]
        relay.wait_for("Reported")
        assert relay.drain()
        assert relay.said("AccountPaused") == []
        assert relay.stop() == 0
    allowed, report = sorted(microsoft.inbox.messages, key=lambda each: b"multipart/report" in each.content)
    assert b"Subject: allowed" in allowed.content
    assert report.recipients == ("other@example.org",)
    assert b"5.2.252" in report.content
    assert b"SendAsDenied" in report.content
