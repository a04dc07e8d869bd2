"""An SMTP client on smtplib that logs in with a token and shows every reply; nothing of postbearer."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

Mechanism = Literal["XOAUTH2", "OAUTHBEARER"]
Answer = tuple[int, str]


class Submission(Protocol):
    """What Postfix and Dovecot have in common here."""

    host: str
    submission_port: int
    submissions_port: int
    ca_file: Path


def sasl_response(mechanism: Mechanism, user: str, token: str) -> bytes:
    if mechanism == "XOAUTH2":
        return f"user={user}\1auth=Bearer {token}\1\1".encode()
    return f"n,a={user},\1auth=Bearer {token}\1\1".encode()


@contextlib.contextmanager
def connected(server: Submission, *, implicit_tls: bool = False) -> Iterator[smtplib.SMTP]:
    """A connection under TLS whose EHLO was answered."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    if implicit_tls:
        with smtplib.SMTP_SSL(server.host, server.submissions_port, timeout=20, context=context) as client:
            client.ehlo("client.example.org")
            yield client
        return
    with smtplib.SMTP(server.host, server.submission_port, timeout=20) as client:
        client.starttls(context=context)
        client.ehlo("client.example.org")
        yield client


def log_in(client: smtplib.SMTP, mechanism: Mechanism, user: str, token: str) -> list[Answer]:
    """Every answer to the token; with a challenge, (334, its decoded text) comes before the last one."""
    assert client.docmd("AUTH", mechanism)[0] == 334
    code, text = client.docmd(base64.b64encode(sasl_response(mechanism, user, token)).decode())
    if code != 334:
        return [(code, text.decode())]
    code, last = client.docmd("AQ==")
    return [(334, base64.b64decode(text).decode()), (code, last.decode())]


@contextlib.contextmanager
def logged_in(
    server: Submission, user: str, token: str, *, implicit_tls: bool = False
) -> Iterator[smtplib.SMTP]:
    """A connection that may send."""
    with connected(server, implicit_tls=implicit_tls) as client:
        [(code, text)] = log_in(client, "XOAUTH2", user, token)
        assert code == 235, text
        yield client
