"""Programs that know nothing but plain SMTP, as they are: each one's mail arrives as it was sent."""

from __future__ import annotations

import email
import email.policy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from relay.conversing import TO, client_of
from relay.load import transaction
from relay.running import SENDER, Relay, plain_account, relay_table
from servers import nodejs
from servers.processes import program
from servers.sink import Sink, from_first_header

MESSAGE = (
    b"X-First: this line leads\r\nFrom: app@example.org\r\nTo: anna@example.net\r\nSubject: hello\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n"
    b"Hello,\r\n.\r\n..two dots\r\nlast line\r\n"
)
EIGHT_BIT = MESSAGE.replace(b"last line", "die letzte Zeile heißt grün".encode())


@pytest.fixture(scope="module")
def target() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture(scope="module")
def relay(target: Sink) -> Iterator[Relay]:
    folder = Path(tempfile.mkdtemp(prefix="postbearer-"))
    config = plain_account(target.port, 'sender = "allow"') + relay_table(
        f'listeners = [{{ address = "unix:{folder}/smtp" }}]'
    )
    with Relay(folder, config) as running:
        assert running.start(), running.log
        yield running
        assert running.stop() == 0
    shutil.rmtree(folder)


@pytest.fixture
def sink(target: Sink) -> Sink:
    target.clear()
    return target


def run(*argv: str, content: bytes = b"") -> str:
    done = subprocess.run(argv, input=content, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode()


def smtplib_(port: int, file: Path) -> None:
    import smtplib

    with smtplib.SMTP("127.0.0.1", port) as client:
        assert client.sendmail(SENDER, [TO], file.read_bytes()) == {}


def aiosmtplib_(port: int, file: Path) -> None:
    import asyncio

    import aiosmtplib

    send = aiosmtplib.send(
        file.read_bytes(), sender=SENDER, recipients=[TO], hostname="127.0.0.1", port=port, start_tls=False
    )
    refused, said = asyncio.run(send)
    assert (refused, "Queued" in said) == ({}, True)


def nodemailer(port: int, file: Path) -> None:
    transport = {"host": "127.0.0.1", "port": port, "secure": False, "ignoreTLS": True}
    assert nodejs.send(transport, SENDER, [TO], file.read_bytes())["accepted"] == [TO]


def swaks(port: int, file: Path) -> None:
    words = ["--pipeline", "--server", f"127.0.0.1:{port}", "--from", SENDER, "--to", TO]
    run(program("swaks", "swaks"), *words, "--data", f"@{file}")


def msmtp(port: int, file: Path) -> None:
    words = ["--file=/dev/null", "--host=127.0.0.1", f"--port={port}", f"--from={SENDER}"]
    unix = file.read_bytes().replace(b"\r\n", b"\n")
    run(program("msmtp", "msmtp"), *words, TO, content=unix)


def curl(port: int, file: Path) -> None:
    words = ["--silent", "--show-error", "--mail-from", SENDER, "--mail-rcpt", TO, "--upload-file", str(file)]
    run(program("curl", "curl"), f"smtp://127.0.0.1:{port}", *words)


def smtp_source(port: int, file: Path) -> None:
    plain = file.with_name("plain")
    plain.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
    words = ["-f", SENDER, "-t", TO, "-F", str(plain), f"127.0.0.1:{port}"]
    run(program("smtp-source", "postfix"), *words)


@pytest.mark.servers
@pytest.mark.parametrize("content", [MESSAGE, EIGHT_BIT], ids=["ascii", "8-bit"])
@pytest.mark.parametrize("send", [smtplib_, aiosmtplib_, nodemailer, swaks, msmtp, curl, smtp_source])
def test_what_a_client_sends_arrives(
    relay: Relay, sink: Sink, tmp_path: Path, send: Callable[[int, Path], None], content: bytes
) -> None:
    file = tmp_path / "message"
    file.write_bytes(content)
    send(relay.port, file)
    [message] = sink.wait_for(1)
    assert (message.sender, message.addresses) == (SENDER, (TO,))
    added = b"\r\n" if send in (swaks, smtp_source) else b""  # they do that to every server
    assert from_first_header(message.content, content) == content + added
    assert message.content.startswith(b"Received: from ")


@pytest.mark.servers
def test_many_at_once_from_smtp_source(relay: Relay, sink: Sink) -> None:
    words = ["-s", "20", "-m", "200", "-r", "3", "-l", "3000", "-f", SENDER, "-t", TO]
    run(program("smtp-source", "postfix"), *words, f"127.0.0.1:{relay.port}")
    messages = sink.wait_for(200)
    assert {len(message.addresses) for message in messages} == {3}


def test_a_shop_on_django(relay: Relay, sink: Sink) -> None:
    """Mail with text, HTML, an attachment and a hidden copy; and one to the managers."""
    shop = str(Path(__file__).with_name("shop.py"))
    assert run(sys.executable, shop, "127.0.0.1", str(relay.port), "kunde@example.net") == "200\n"
    confirmation, note = sorted(sink.wait_for(2), key=lambda message: len(message.addresses), reverse=True)
    assert confirmation.addresses == ("kunde@example.net", "books@example.net")
    parsed = email.message_from_bytes(confirmation.content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert parsed["Subject"] == "Ihre Bestellung – danke!"
    assert "books" not in str(parsed)
    [invoice] = parsed.iter_attachments()
    assert invoice.get_content() == bytes(range(256)) * 200
    assert note.addresses == ("manager@example.net",)


def test_a_program_on_a_unix_socket(relay: Relay, sink: Sink) -> None:
    """By hand, as no client here speaks to one."""
    import socket

    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(relay.folder / "smtp"))
    with connection, connection.makefile("rb") as replies:
        assert replies.readline().startswith(b"220 ")
        connection.sendall(b"EHLO x\r\n")
        while not replies.readline().startswith(b"250 "):
            pass
        for said in (
            f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{TO}>\r\nBDAT {len(MESSAGE)} LAST\r\n".encode(),
            MESSAGE,
            b"QUIT\r\n",
        ):
            connection.sendall(said)
        assert replies.read().endswith(b"221 2.0.0 Bye\r\n")
    [message] = sink.wait_for(1)
    assert from_first_header(message.content, MESSAGE) == MESSAGE


def test_what_is_seen_of_a_message_from_its_acceptance_to_the_provider(relay: Relay, sink: Sink) -> None:
    with client_of(relay) as client:
        assert transaction(client, [TO], MESSAGE) == 250
    sink.wait_for(1)
    assert relay.drain()
    entry = relay.ask("queue.list", message_id="1@example.org", limit=1000).messages[-1]
    lines = [each["text"] for each in relay.events() if entry.id in each["text"]]
    assert [
        word in line
        for word, line in zip(("accepted from local", "accepted by the provider"), lines, strict=True)
    ] == [True, True]
