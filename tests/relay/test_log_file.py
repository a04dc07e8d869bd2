"""The log in a file beside standard error, as logrotate and people find it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.conversing import submit
from relay.running import Relay, eventually, plain_account, relay_table
from servers.sink import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def config(sink: Sink, *lines: str) -> str:
    return plain_account(sink.port) + relay_table(*lines)


def test_a_file_that_was_moved_away_is_opened_anew_by_a_reload(home: Path, sink: Sink) -> None:
    file = home / "relay.log"
    with Relay(home, config(sink, 'log = ["file:relay.log"]', 'log-format = "json"')) as relay:
        assert relay.start(), relay.log
        assert submit(relay, "before") == 250
        eventually(lambda: "DeliveryEnded" in file.read_text())
        file.rename(home / "yesterday.log")
        relay.signal(signal.SIGHUP)
        eventually(file.exists)
        assert submit(relay, "after") == 250
        eventually(lambda: "DeliveryEnded" in file.read_text())
        assert relay.stop() == 0
    events = [json.loads(line).get("event") for line in file.read_text().splitlines()]
    assert "Accepted" in events
    assert "Accepted" in relay.log  # and there it stands as well


def test_a_file_that_cannot_be_written_is_told_before_mail_is_taken(home: Path, sink: Sink) -> None:
    with Relay(home, config(sink, 'log = ["file:missing/relay.log"]')) as relay:
        assert not relay.start()
        assert "relay.log" in relay.log
        assert "The relay's user must be able to write there" in relay.log
