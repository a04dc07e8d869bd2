"""Against servers that others wrote, over real sockets; and a very large message."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from asyncio import StreamReader, StreamWriter
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult

from postbearer.message import BytesContent, FileContent
from postbearer.outcome import State
from postbearer.secret import GivenSecret, Secret
from postbearer.transport import ServerAddress, Smarthost, SmtpTransport, Transcript
from support.listening import listening
from support.provider import CANARY, MESSAGE, RENEWED, Tokens, envelope


class Mailbox:
    """A handler for aiosmtpd that takes one token and one password."""

    def __init__(self, token: str = CANARY) -> None:
        self.token = token
        self.received: list[tuple[str, list[str], bytes]] = []
        self.logins: list[str] = []

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:
        blob = b64decode(args[1]) if len(args) > 1 else await server.challenge_auth("", encode_to_b64=False)
        assert isinstance(blob, bytes)
        user, auth, *_ = blob.split(b"\x01")
        self.logins.append(user.decode())
        return AuthResult(success=auth == b"auth=Bearer " + self.token.encode(), handled=False)

    async def handle_RCPT(self, server: SMTP, session: Any, received: Any, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 No such user"
        received.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Any, received: Any) -> str:
        self.received.append((received.mail_from, received.rcpt_tos, received.original_content))
        return "250 2.0.0 Ok: queued as 4F2E1D"


@asynccontextmanager
async def aiosmtpd(mailbox: Mailbox, context: ssl.SSLContext, **options: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    made: list[SMTP] = []

    def make() -> SMTP:
        made.append(
            SMTP(
                mailbox,
                hostname="localhost",
                tls_context=context,
                require_starttls=True,
                auth_required=True,
                loop=loop,
                **options,
            )
        )
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for protocol in made:
            if protocol.transport is not None:
                protocol.transport.abort()
        await asyncio.sleep(0)
        await server.wait_closed()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def smarthost(port: int, tmp_path: Path, **options: Any) -> Smarthost:
    fields = {
        "tls": "starttls",
        "ca_file": str(tmp_path / "ca.pem"),
        "username": "alerts@example.org",
    } | options
    return Smarthost(servers=(ServerAddress("127.0.0.1", port),), **fields)


async def test_a_message_through_aiosmtpd(context: ssl.SSLContext, tmp_path: Path) -> None:
    mailbox, transcript = Mailbox(), Transcript()
    async with aiosmtpd(mailbox, context) as port:
        transport = SmtpTransport(
            smarthost(port, tmp_path), Tokens(), account="alerts", capture=lambda: transcript
        )
        dots = BytesContent(MESSAGE + b".\r\n..\r\n.x\r\n")
        first = await transport.deliver(envelope("anna@example.net", "nobody@example.net"), dots)
        second = await transport.deliver(envelope(), BytesContent(MESSAGE))
        await transport.close()
    assert [outcome.state for outcome in first.outcomes] == [State.DELIVERED, State.FAILED]
    assert first.queue_id == "4F2E1D"
    assert second.delivered
    assert mailbox.received == [
        ("alerts@example.org", ["anna@example.net"], MESSAGE + b".\r\n..\r\n.x\r\n"),
        ("alerts@example.org", ["anna@example.net"], MESSAGE),
    ]
    assert mailbox.logins == ["user=alerts@example.org"]  # one connection
    assert "C: AUTH XOAUTH2 ***" in transcript.lines
    assert CANARY not in str(transcript)


async def test_aiosmtpd_refuses_a_token_and_takes_the_next(context: ssl.SSLContext, tmp_path: Path) -> None:
    mailbox = Mailbox(token=RENEWED)
    async with aiosmtpd(mailbox, context) as port:
        transport = SmtpTransport(smarthost(port, tmp_path), Tokens(), account="alerts")
        receipt = await transport.deliver(envelope(), BytesContent(MESSAGE))
        await transport.close()
    assert receipt.delivered
    assert len(mailbox.logins) == 2


async def test_a_password_where_the_account_has_one(context: ssl.SSLContext, tmp_path: Path) -> None:
    def check(server: SMTP, session: Any, received: Any, mechanism: str, login: Any) -> AuthResult:
        return AuthResult(
            success=(login.login, login.password) == (b"alerts@example.org", b"canary-password")
        )

    mailbox = Mailbox()
    async with aiosmtpd(mailbox, context, authenticator=check) as port:
        transport = SmtpTransport(
            smarthost(port, tmp_path, authentication="password"),
            GivenSecret(Secret("canary-password")),
            account="alerts",
        )
        receipt = await transport.deliver(envelope(), BytesContent(MESSAGE))
        await transport.close()
    assert receipt.delivered


async def test_150_mib_take_no_16_mib(tmp_path: Path) -> None:
    file = tmp_path / "large.eml"
    with file.open("wb") as out:
        for _ in range(150):
            out.write((b"x" * 62 + b"\r\n") * 16384)
    swallowed = 0

    async def sink(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal swallowed
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            if line.startswith(b"BDAT"):
                left = int(line.split()[1])
                while left:
                    left -= len(data := await reader.read(min(left, 65536)))
                    swallowed += len(data)
            keywords = b"250-sink\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
            writer.write(keywords if line.startswith(b"EHLO") else b"250 ok\r\n")

    content = FileContent(file)
    async with listening(sink) as port:
        transport = SmtpTransport(
            Smarthost(servers=(ServerAddress("127.0.0.1", port),), tls="none-loopback", authentication="none")
        )
        tracemalloc.start()
        receipt = await transport.deliver(envelope(), content)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await transport.close()
    assert receipt.delivered
    assert swallowed == content.size == 150 * 1024 * 1024
    assert peak < 8 * 1024 * 1024
