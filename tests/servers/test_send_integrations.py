"""Other mail libraries, logged in by postbearer, at servers nobody here wrote."""

from __future__ import annotations

import logging
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from django.core.mail import EmailMessage

import support.djangosite  # noqa: F401 - settings
from postbearer import StaticToken
from postbearer.errors import CredentialRefused
from postbearer.integrations.django import EmailBackend
from postbearer.integrations.logging import MailHandler
from postbearer.secret import Secret
from postbearer.state import StateFolder
from support.libraries import send_by, trusting

from .authorization import AuthorizationServer
from .sending import RECIPIENT, SENDER, Watched, account, client_credentials
from .sink import Sink

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def own_state(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBEARER_STATE", state.path)


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_they_log_in_and_send(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, library: str, mechanism: Any
) -> None:
    before = authorization_server.token_requests()
    sender = account(server, authorization_server, mechanism=mechanism)
    for _ in range(2):
        await send_by(library, server.submission_port, trusting(str(server.ca_file)), sender, sender=SENDER)
    assert {message.sender for message in sink.wait_for(2)} == {SENDER}
    assert authorization_server.token_requests() - before == 1


@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_a_refusal_is_told(
    server: Watched, authorization_server: AuthorizationServer, library: str
) -> None:
    sender = account(server, authorization_server, StaticToken(Secret("no-token-of-this-server")))
    with pytest.raises(CredentialRefused) as refused:
        await send_by(library, server.submission_port, trusting(str(server.ca_file)), sender, sender=SENDER)
    assert refused.value.reply is not None
    assert refused.value.reply.code == 535
    assert refused.value.code == "invalid_token"  # as the error challenge said (RFC 7628 3.2.2)


@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_a_long_token_goes_in_two_steps(
    mail_servers: Watched, authorization_server: AuthorizationServer, sink: Sink, library: str
) -> None:
    sender = account(mail_servers, authorization_server, client_credentials(authorization_server, "large"))
    context = trusting(str(mail_servers.ca_file))
    await send_by(library, mail_servers.submission_port, context, sender, sender=SENDER)
    assert len(sink.wait_for(1)) == 1


def test_django(server: Watched, authorization_server: AuthorizationServer, sink: Sink) -> None:
    letter = EmailMessage("Grüße", "Größer als ASCII.", SENDER, [RECIPIENT], bcc=["b@example.org"])
    letter.attach("octets.bin", bytes(range(256)), "application/octet-stream")
    with EmailBackend(account=account(server, authorization_server)) as backend:
        assert backend.send_messages([letter, letter]) == 2
    for message in sink.wait_for(2):
        assert set(message.addresses) == {RECIPIENT, "b@example.org"}
        parsed = message_from_bytes(message.content, policy=default)
        body, attached = parsed.get_body(), list(parsed.iter_attachments())
        assert body is not None
        assert body.get_content().strip() == "Größer als ASCII."
        assert attached[0].get_content() == bytes(range(256))


def test_the_logging_handler(server: Watched, authorization_server: AuthorizationServer, sink: Sink) -> None:
    handler = MailHandler(account(server, authorization_server), RECIPIENT, gather=30.0)
    logger = logging.getLogger("a program at work")
    logger.addHandler(handler)
    for number in range(50):
        logger.error("disk %d is full", number)
    logger.removeHandler(handler)
    handler.close()
    (message,) = sink.wait_for(1)
    assert b"Subject: ERROR: disk 0 is full (and 49 more)" in message.content
