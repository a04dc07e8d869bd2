"""A partner portal moves in: from its properties to messages in the mailbox of the sandbox."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from cli.conftest import Home
from postbearer.assembly import Assembly
from postbearer.daemon import RelayPlan
from postbearer.events import AccountPaused
from postbearer.testing import BackgroundSandbox, Sandbox
from support.canary import assert_absent
from support.relay import Relay, WaitingClock, most_in_any, relaying

SAMPLE = Path(__file__).parent / "samples" / "portal.properties"
MAP = ("--map", "LOGIN_SERVICE=token-url", "--map", "MAIL_MAX_RECIPIENTS=limits.recipients-per-message")
SECRETS = ("PORTAL_PASSWORD", "PORTAL_CLIENT_SECRET")


def moved(home: Home, sandbox: Sandbox, *options: str) -> str:
    """Import the properties, and set what the secrets need; the configuration as text."""
    words = {
        "PORT": sandbox.starttls_port,
        "CLIENT_ID": "sandbox-app",
        "CLIENT_SECRET": sandbox.client_secret,
        "PASSWORD": sandbox.users["alerts@example.org"],
        "TOKEN_URL": sandbox.token_url,
    }
    text = SAMPLE.read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    (home.folder / "portal.properties").write_text(text)
    ran = home.run(
        *("import", "properties", "portal.properties", *MAP, *options),
        *("--output", str(home.config), "--force"),
    )
    assert ran.code == 0, ran.err
    assert home.run("config", "validate").code == 0  # the relay would start with it, too
    configuration = home.config.read_text()
    for secret in (sandbox.client_secret, sandbox.users["alerts@example.org"]):
        assert_absent(secret, configuration, ran.out, ran.err)
    home.environ |= {
        "PORTAL_PASSWORD": sandbox.users["alerts@example.org"],
        "PORTAL_CLIENT_SECRET": sandbox.client_secret,
        "SSL_CERT_FILE": str(sandbox.folder / "ca.pem"),
    }
    return configuration


def letter(author: str, subject: str) -> bytes:
    return f"From: Someone <{author}>\r\nSubject: {subject}\r\n\r\nHello.\r\n".encode()


@asynccontextmanager
async def portal(
    home: Home, monkeypatch: pytest.MonkeyPatch, *options: str
) -> AsyncIterator[tuple[Relay, Sandbox]]:
    """A relay with the imported configuration, at a sandbox like Exchange Online; the clock is the test's."""
    clock = WaitingClock()
    async with Sandbox("microsoft", clock=clock, lifetime=4000) as sandbox:
        moved(home, sandbox, *options)
        for name in (*SECRETS, "SSL_CERT_FILE"):
            monkeypatch.setenv(name, home.environ[name])
        assembly = Assembly.load(home.config, {})
        accounts = [assembly.account(name) for name in assembly.names]
        router = RelayPlan.of(assembly).router
        async with relaying(*accounts, router=router, clock=clock, sockets=True) as relay:
            yield relay, sandbox


def test_from_the_properties_to_a_delivered_message(home: Home) -> None:
    with BackgroundSandbox("microsoft") as sandbox:
        moved(home, sandbox)
        ran = home.run("check", "portal", "--send-to", "anna@example.net")
        assert ran.code == 0, ran.out + ran.err
        (received,) = sandbox.inbox.messages
        assert (received.mechanism, received.username) == ("XOAUTH2", "alerts@example.org")
        assert sandbox.authorization.counts["password"] >= 1


def test_sealed_at_once_nothing_has_to_be_set(home: Home) -> None:
    with BackgroundSandbox("microsoft") as sandbox:
        moved(home, sandbox, "--seal")
        for name in SECRETS:
            del home.environ[name]
        ran = home.run("send", "-a", "portal", "--to", "anna@example.net", "--text", "Hello")
        assert ran.code == 0, ran.err


async def test_every_message_leaves_as_the_mailbox(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async with portal(home, monkeypatch) as (relay, sandbox):
        await relay.submit(sender="boss@example.org", content=letter("boss@example.org", "Hello"))
        await relay.settle()
        (received,) = sandbox.inbox.messages
        assert received.reverse_path == "alerts@example.org"
        assert b"From: Someone <alerts@example.org>\r\n" in received.content
        assert b"Reply-To: Someone <boss@example.org>\r\n" in received.content


async def test_invitations_and_login_codes_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than thirty in a minute, codes before invitations that wait, and all of them arrive."""
    async with portal(home, monkeypatch) as (relay, sandbox):
        began = relay.clock.now()
        for number in range(25):
            await relay.submit(
                f"guest{number}@example.net", content=letter("portal@example.org", "You are invited")
            )
        for number in range(10):
            await relay.submit(
                f"user{number}@example.net", content=letter("portal@example.org", "Your login code")
            )
        await relay.pass_time(180)
        messages = sandbox.inbox.messages
        codes = [each.at - began for each in messages if b"login code" in each.content]
        invitations = [each.at - began for each in messages if b"invited" in each.content]
        assert (len(codes), len(invitations)) == (10, 25)
        assert most_in_any(60.0, [each.at for each in messages]) <= 30
        assert max(codes) <= 30
        assert sum(each > max(codes) for each in invitations) >= 9  # all that had not left before them
        assert relay.said(AccountPaused) == []


class Mailbox:
    """What a connector took."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 Ok: queued as C1"


async def test_the_connector_takes_what_would_wait_too_long(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = socket.create_server(("127.0.0.1", 0))
    place = f"localhost:{door.getsockname()[1]}"
    async with portal(home, monkeypatch, "--connector", place) as (relay, sandbox):
        mailbox, context = Mailbox(), sandbox.authority.server_context()
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(mailbox, tls_context=context, require_starttls=True), sock=door
        )
        for number in range(180):
            await relay.submit(f"guest{number}@example.net", content=letter("portal@example.org", "Hello"))
        await relay.pass_time(400)
        server.close()
        own = sandbox.inbox.messages
        assert len(own) + len(mailbox.envelopes) == 180
        assert most_in_any(60.0, [each.at for each in own]) <= 30
        assert len(mailbox.envelopes) >= 10
        assert {each.mail_from for each in mailbox.envelopes} == {"alerts@example.org"}
