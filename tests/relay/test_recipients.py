"""Who a relay's mail reaches in the end: aliases, two accounts for one message, staging, the archive."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.conversing import client_of, text
from relay.load import transaction
from relay.running import Relay, eventually, plain_account, relay_table
from servers.sink import Sink

ALIASES = """\
postmaster: root
root: anna@example.net, ben@example.net
nobody: |/bin/true
"""


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@contextmanager
def running(config: str) -> Iterator[Relay]:
    folder = Path(tempfile.mkdtemp(prefix="postbearer-"))
    (folder / "aliases").write_text(ALIASES)
    with Relay(folder, config) as relay:
        assert relay.start(), relay.log
        yield relay
        assert relay.stop() == 0
    shutil.rmtree(folder)


def status(relay: Relay, *options: str) -> str:
    """What `postbearer status` prints beside this relay."""
    command = [sys.executable, "-m", "postbearer", "status", *options]
    env = {**os.environ, "POSTBEARER_STATE": relay.state.path}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def arrived(sink: Sink, name: str) -> list[str]:
    return sorted(address for message in sink.messages(name.encode()) for address in message.addresses)


def test_mail_for_root_reaches_people(sink: Sink) -> None:
    with running(plain_account(sink.port) + relay_table('aliases = "aliases"')) as relay:
        command = [sys.executable, "-m", "postbearer", "sendmail", "root"]
        environ = {"POSTBEARER_STATE": str(relay.state.path), "HOME": str(relay.folder)}
        done = subprocess.run(command, input=b"Subject: disk\n\nfull\n", env=environ, capture_output=True)
        assert done.returncode == 0, done.stderr
        eventually(lambda: arrived(sink, "disk") == ["anna@example.net", "ben@example.net"])
        with client_of(relay) as client:
            assert transaction(client, ["Postmaster"], text("by-smtp")) == 250
            assert client.docmd("MAIL FROM:<app@example.org>")[0] == 250
            code, told = client.docmd("RCPT TO:<nobody@localhost>")
            assert (code, b"stands for nobody" in told) == (550, True)
        eventually(lambda: arrived(sink, "by-smtp") == ["anna@example.net", "ben@example.net"])


def test_one_message_leaves_by_two_accounts_and_no_stranger_sees_the_wrong_one(sink: Sink) -> None:
    inside = Sink()
    config = plain_account(inside.port, name="hve") + plain_account(sink.port)
    config += relay_table('account = "out"')
    config += '[[relay.routes]]\nrecipients = ["@corp.example", "boss@example.org"]\naccount = "hve"\n'
    with running(config) as relay:
        with client_of(relay) as client:
            to = ["a@corp.example", "stranger@example.net", "boss@example.org", "b@corp.example"]
            assert transaction(client, to, text("mixed")) == 250
        assert relay.drain()
    assert arrived(inside, "mixed") == ["a@corp.example", "b@corp.example", "boss@example.org"]
    assert arrived(sink, "mixed") == ["stranger@example.net"]
    inside.close()


def test_staging_redirects_and_keeps_a_copy(sink: Sink) -> None:
    config = plain_account(sink.port) + relay_table(
        'redirect-all-to = "test@example.org"',
        'allow-recipients = ["@corp.example"]',
        'archive-to = "archive@example.org"',
    )
    with running(config) as relay:
        with client_of(relay) as client:
            to = ["a@corp.example", "stranger@example.net", "other@example.net"]
            assert transaction(client, to, text("staged")) == 250
        assert relay.drain()
        assert "Staging mode" in relay.log
        line = status(relay)
        assert line.startswith("OK - 1 account sends, 0 recipients wait; Staging mode: mail reaches @corp")
        assert "for others goes to test@example.org instead | accounts=1" in line
        told = json.loads(status(relay, "--json"))
        assert told["staging"].startswith("Staging mode: mail reaches @corp.example only")
    assert arrived(sink, "staged") == ["a@corp.example", "archive@example.org", "test@example.org"]


def test_staging_holds_what_is_for_strangers_until_it_is_released(sink: Sink) -> None:
    config = plain_account(sink.port) + relay_table('allow-recipients = ["@corp.example"]')
    with running(config) as relay:
        with client_of(relay) as client:
            assert transaction(client, ["a@corp.example", "stranger@example.net"], text("held")) == 250
        assert relay.drain()
        assert arrived(sink, "held") == ["a@corp.example"]
        assert relay.ask("queue.stats").counts["held"] == 1
        (entry,) = relay.ask("queue.list", statuses=["held"]).messages
        relay.ask("queue.release", message=entry.id)
        eventually(lambda: arrived(sink, "held") == ["a@corp.example", "stranger@example.net"])
