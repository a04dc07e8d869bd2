"""One client at the relay's door, and the replies it gets."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

from relay.load import transaction
from relay.running import Relay

TO = "anna@example.net"


@contextmanager
def client_of(relay: Relay) -> Iterator[smtplib.SMTP]:
    """A connection whose EHLO was answered; it is closed without a word."""
    client = smtplib.SMTP("127.0.0.1", relay.port, "load.example.org", timeout=30)
    try:
        client.ehlo()
        yield client
    finally:
        client.close()


def text(name: str, size: int = 100) -> bytes:
    body = f"{name}\r\n" + "x" * 70 + "\r\n"
    return f"X-Load: {name}\r\nFrom: app@example.org\r\nSubject: {name}\r\n\r\n".encode() + body.encode() * (
        size // len(body) + 1
    )


def submit(relay: Relay, name: str, *, to: str = TO, size: int = 100) -> int:
    """Send one message; the reply that decides."""
    with client_of(relay) as client:
        return transaction(client, [to], text(name, size))
