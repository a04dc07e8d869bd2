"""The whole way: plain SMTP into the relay, out with a token to servers nobody here wrote."""

from __future__ import annotations

import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.load import transaction
from relay.running import Relay, relay_table

from .authorization import AuthorizationServer
from .postfix import Postfix
from .sending import MESSAGE, RECIPIENT, SENDER, Command, Watched, command
from .sink import Sink, from_first_header

pytestmark = pytest.mark.servers


@pytest.fixture
def home() -> Iterator[Path]:
    """Short, because the names of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="postbearer-") as folder:
        yield Path(folder)


def relay_of(home: Path, made: Command, monkeypatch: pytest.MonkeyPatch) -> Relay:
    """A relay with the account of that command."""
    for name, value in made.secrets.items():
        monkeypatch.setenv(name, value)
    return Relay(home, (made.folder / "config.toml").read_text() + relay_table())


def submit(relay: Relay, content: bytes = MESSAGE, *, to: str = RECIPIENT, times: int = 1) -> list[int]:
    with smtplib.SMTP("127.0.0.1", relay.port, "app.example.org", timeout=20) as client:
        client.ehlo()
        return [transaction(client, [to], content, sender=SENDER) for _ in range(times)]


def test_every_octet_arrives_with_one_token_for_all(
    home: Path,
    tmp_path: Path,
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = MESSAGE + b".\r\n..\r\n" + "grün\r\n".encode() + b"x" * 998 + b"\r\n"
    before = authorization_server.token_requests()
    with relay_of(home, command(tmp_path, server, authorization_server), monkeypatch) as relay:
        assert relay.start(), relay.log
        assert submit(relay, content, times=5) == [250] * 5
        for message in sink.wait_for(5):
            assert (message.sender, message.addresses) == (SENDER, (RECIPIENT,))
            assert from_first_header(message.content, content) == content
        assert relay.drain()
        assert relay.stop() == 0
    assert authorization_server.token_requests() - before == 1


def test_a_killed_relay_goes_on_with_the_token_it_had(
    home: Path,
    tmp_path: Path,
    mail_servers: Postfix,
    authorization_server: AuthorizationServer,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = authorization_server.token_requests()
    with relay_of(home, command(tmp_path, mail_servers, authorization_server), monkeypatch) as relay:
        for _ in range(3):
            assert relay.start(), relay.log
            assert submit(relay) == [250]
            sink.wait_for(1)
            assert relay.drain()
            relay.kill()
    assert len(sink.messages()) == 3
    assert authorization_server.token_requests() - before == 1


def test_what_postfix_refuses_comes_back_as_a_report(
    home: Path,
    tmp_path: Path,
    mail_servers: Postfix,
    authorization_server: AuthorizationServer,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with relay_of(home, command(tmp_path, mail_servers, authorization_server), monkeypatch) as relay:
        assert relay.start(), relay.log
        assert submit(relay, to="unknown@example.org") == [250]
        [report] = sink.wait_for(1)
        assert report.addresses == (SENDER,)
        assert b"multipart/report" in report.content
        assert b"550 5.1.1" in report.content
        assert submit(relay, to="later@example.org") == [250]
        ended = relay.wait_for("DeliveryEnded", text="later@example.org deferred")
        assert ended["fates"][0]["reply"].startswith("450 4.2.1")
        assert relay.stop() == 0


def test_a_revoked_client_pauses_the_account_and_fails_nothing(
    home: Path,
    tmp_path: Path,
    mail_servers: Postfix,
    authorization_server: AuthorizationServer,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = command(tmp_path, mail_servers, authorization_server)
    good = made.secrets["ALERTS_SECRET"]
    with relay_of(home, Command(made.folder, {"ALERTS_SECRET": "canary-wrong"}), monkeypatch) as relay:
        assert relay.start(), relay.log
        assert submit(relay) == [250]
        relay.wait_for("AccountPaused")
        assert relay.open_recipients() == 1
        assert relay.stop() == 0
        assert "canary-wrong" not in relay.log
        monkeypatch.setenv("ALERTS_SECRET", good)
        assert relay.start(), relay.log
        relay.ask("accounts.resume", name="alerts")
        sink.wait_for(1)
        assert relay.stop() == 0
