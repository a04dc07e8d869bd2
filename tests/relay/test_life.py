"""A relay's life: one at a time, reloaded, stopped with patience, and never in doubt without saying so."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.conversing import TO, client_of, submit, text
from relay.load import transaction
from relay.running import SENDER, Relay, plain_account, relay_table
from servers.sink import Received, Sink


class Slow(Sink):
    """Answers the content when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()
        self.go_on = threading.Event()

    def record(self, message: Received) -> None:
        self.came.set()
        assert self.go_on.wait(30)
        super().record(message)


class Rude(Sink):
    """Takes the first message, and hangs up in place of an answer."""

    def record(self, message: Received) -> None:
        first = not self.messages()
        super().record(message)
        if first:
            raise ConnectionError("gone")


class Counting(Sink):
    """Knows over which connection each message came."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[threading.Thread] = []  # one serves each

    def record(self, message: Received) -> None:
        self.connections.append(threading.current_thread())
        super().record(message)


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.go_on.set()
    made.close()


def test_a_second_relay_on_the_same_spool_is_refused(home: Path, sink: Sink) -> None:
    config = plain_account(sink.port) + relay_table()
    with Relay(home, config) as first, Relay(home, config) as second:
        assert first.start()
        assert not second.start()
        assert second.ended() != 0
        assert f"in use by another process ({first.pid})" in second.log
        assert submit(first, "still here") == 250
        sink.wait_for(1)
        assert first.stop() == 0


def test_sigterm_waits_for_the_answer_to_what_was_sent(home: Path, slow: Slow) -> None:
    """And for the mark: the next start has nothing to send, and nothing in doubt."""
    with Relay(home, plain_account(slow.port) + relay_table()) as relay:
        assert relay.start()
        assert submit(relay, "one") == 250
        assert slow.came.wait(10)
        relay.signal(signal.SIGTERM)
        time.sleep(0.5)
        assert relay.running  # it waits for the provider
        slow.go_on.set()
        assert relay.ended() == 0
        assert "the relay has stopped" in relay.log
        assert relay.start()
        assert relay.open_recipients() == 0
        assert relay.said("PossibleDuplicate") == []
        assert relay.stop() == 0
    assert len(slow.messages()) == 1


def test_sigterm_during_data_takes_the_message_or_says_no(home: Path, sink: Sink) -> None:
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        assert relay.start()
        with client_of(relay) as client, client_of(relay) as idle:
            for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{TO}>", "DATA"):
                client.docmd(command)
            client.send(text("one")[:-20])
            relay.signal(signal.SIGTERM)
            assert idle.getreply()[0] == 421  # whoever has nothing under way is sent home
            client.send(text("one")[-20:] + b".\r\n")
            code, said = client.getreply()
        assert relay.ended() == 0
        assert (code, b"Queued" in said) == (250, True)
        assert relay.start()
        sink.wait_for(1)
        assert relay.stop() == 0


def test_a_second_sigterm_shortens_the_wait_and_the_doubt_is_told(home: Path, slow: Slow) -> None:
    with Relay(home, plain_account(slow.port) + relay_table()) as relay:
        assert relay.start()
        assert submit(relay, "one") == 250
        assert slow.came.wait(10)
        relay.signal(signal.SIGTERM)
        time.sleep(0.3)
        began = time.monotonic()
        relay.signal(signal.SIGTERM)
        assert relay.ended() == 0
        assert 1 < time.monotonic() - began < 15
        [doubt] = relay.said("PossibleDuplicate")
        assert doubt["window"] == "DUP-REPLY"


def test_a_connection_lost_behind_the_content_is_a_doubt_that_is_told(home: Path) -> None:
    """Retried, so nothing is lost; the copy is the same to the octet, and was foretold."""
    rude = Rude()
    with Relay(home, plain_account(rude.port) + relay_table()) as relay:
        assert relay.start()
        assert submit(relay, "one") == 250
        first, second = rude.wait_for(2)
        assert first.content == second.content
        assert [each["window"] for each in relay.said("PossibleDuplicate")] == ["DUP-REPLY"]
        assert relay.drain()
        assert relay.stop() == 0
    rude.close()


def test_where_a_copy_is_worse_than_none_the_doubt_is_for_a_person(home: Path) -> None:
    rude = Rude()
    account = plain_account(rude.port, 'on-unknown = "hold"')
    with Relay(home, account + relay_table()) as relay:
        assert relay.start()
        assert submit(relay, "one") == 250
        relay.wait_for("PossibleDuplicate")
        assert relay.drain()
        assert len(relay.ask("queue.list", statuses=["held"]).messages) == 1
        assert len(rude.messages()) == 1
        assert relay.stop() == 0
    rude.close()


def test_reloading_what_is_wrong_keeps_what_is_right(home: Path, sink: Sink) -> None:
    good = plain_account(sink.port) + relay_table()
    with Relay(home, good) as relay:
        assert relay.start()
        with client_of(relay) as client:
            for bad, why in {
                good.replace("none-loopback", "perhaps"): "perhaps",
                good + "= nonsense": "",
                good.replace("127.0.0.1:0", "127.0.0.1:1"): "cannot change while the relay runs",
                good.replace('tls = "none-loopback"', 'proxy = "http://[x"'): "proxy",
            }.items():
                relay.configure(bad)
                before = sum("the old one stays" in each["text"] for each in relay.said("Warned"))
                relay.signal(signal.SIGHUP)
                told = relay.wait_for("Warned", text="the old one stays", count=before + 1)
                assert why in told["text"]
                assert transaction(client, [TO], text("still here")) == 250
        sink.wait_for(4)
        assert relay.said("Reloaded") == []
        assert relay.stop() == 0


def test_reloading_moves_the_account_and_drops_no_connection(home: Path, sink: Sink) -> None:
    other = Sink()
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        assert relay.start()
        with client_of(relay) as client:
            assert transaction(client, [TO], text("one")) == 250
            sink.wait_for(1)
            relay.configure(plain_account(other.port) + relay_table('size = "1MiB"'))
            relay.signal(signal.SIGHUP)
            relay.wait_for("Reloaded")
            assert transaction(client, [TO], text("two")) == 250
            other.wait_for(1)
        with client_of(relay) as client:
            assert client.esmtp_features["size"] == str(1 << 20)
        assert relay.stop() == 0
    assert len(sink.messages()) == 1
    other.close()


def test_an_account_keeps_its_connections_when_something_else_in_the_file_changes(home: Path) -> None:
    """Else the old ones and the new would be more together than the provider takes."""
    sink = Counting()
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        assert relay.start()
        assert submit(relay, "one") == 250
        sink.wait_for(1)
        relay.configure("# to be looked at\n" + plain_account(sink.port) + relay_table('size = "1MiB"'))
        relay.signal(signal.SIGHUP)
        relay.wait_for("Reloaded")
        assert submit(relay, "two") == 250
        sink.wait_for(2)
        first, second = sink.connections
        assert first is second
        assert relay.stop() == 0
    sink.close()


def test_a_storm_of_reloads_loses_nothing(home: Path, sink: Sink) -> None:
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        assert relay.start()
        with client_of(relay) as client:
            for number in range(40):
                os.kill(relay.pid, signal.SIGHUP)
                assert transaction(client, [TO], text(f"storm-{number}")) == 250
        sink.wait_for(40)
        assert relay.drain()
        assert relay.stop() == 0
    assert len(sink.messages()) == 40
