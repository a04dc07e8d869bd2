"""NO-TOKEN: what is wrong with a server, a certificate or a token is told before a credential leaves."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cli.conftest import Home, Ran
from postbearer.testing import Sandbox
from postbearer.testing.certificates import Authority
from support.canary import assert_absent
from support.listening import listening
from support.planted import assert_none_shows

SEND = ("send", "--account", "sandbox", "--to", "you@example.org", "--text", "x")


@dataclass
class Tap:
    """A mail server that says little and keeps every octet it was told, also those inside TLS."""

    greeting: bytes = b"220 mail.example.org\r\n"
    offers: tuple[str, ...] = ()
    heard: bytearray = field(default_factory=bytearray)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        while line := await reader.readline():
            self.heard += line
            offers = ["mail.example.org", *self.offers]
            ehlo = "".join(f"250{'-' if each != offers[-1] else ' '}{each}\r\n" for each in offers)
            writer.write(ehlo.encode() if line.upper().startswith(b"EHLO") else b"502 5.5.1 no\r\n")


@asynccontextmanager
async def tapped(tap: Tap, authority: Authority | None = None) -> AsyncIterator[int]:
    context: ssl.SSLContext | None = authority.server_context() if authority is not None else None
    async with listening(tap.serve, context) as port:
        yield port


async def told(home: Home, *arguments: str, **environ: str) -> Ran:
    return await asyncio.to_thread(home.run, *arguments, environ=environ)


def configuration(sandbox: Sandbox, port: int, **changes: str) -> str:
    text = sandbox.configuration().replace(f"localhost:{sandbox.starttls_port}", f"localhost:{port}")
    for old, new in changes.items():
        line = next(line for line in text.splitlines() if line.startswith(old.replace("_", "-")))
        text = text.replace(line, f"{old.replace('_', '-')} = {new}")
    return text


def assert_no_token(tap: Tap, sandbox: Sandbox, ran: Ran) -> None:
    assert b"AUTH" not in tap.heard.upper()
    assert b"MAIL" not in tap.heard.upper()
    assert_none_shows(sandbox, bytes(tap.heard), ran.out, ran.err)
    assert ran.err.startswith("error: ")
    assert "→" in ran.err


@pytest.mark.parametrize("offers", [(), ("AUTH XOAUTH2 PLAIN LOGIN",)])
async def test_a_server_without_tls(home: Home, postbearer_sandbox: Sandbox, offers: tuple[str, ...]) -> None:
    tap = Tap(offers=offers)
    async with tapped(tap) as port:
        home.write(configuration(postbearer_sandbox, port))
        ran = await told(home, *SEND)
    assert ran.code == 78
    assert f"localhost:{port} does not offer STARTTLS" in ran.err
    assert_no_token(tap, postbearer_sandbox, ran)


@pytest.mark.parametrize("offers", [(), ("AUTH PLAIN LOGIN",), ("AUTH NTLM",)])
async def test_a_server_that_takes_no_token(
    home: Home, postbearer_sandbox: Sandbox, offers: tuple[str, ...]
) -> None:
    """Also where it would take a password: a token never leaves as one."""
    tap, authority = Tap(offers=offers), Authority()
    authority.write(home.folder / "ca.pem")
    async with tapped(tap, authority) as port:
        changes = {"tls": '"implicit"', "ca_file": f'"{home.folder / "ca.pem"}"'}
        home.write(configuration(postbearer_sandbox, port, **changes))
        ran = await told(home, *SEND)
    assert ran.code == 77
    assert "XOAUTH2" in ran.err
    assert_no_token(tap, postbearer_sandbox, ran)


@pytest.mark.parametrize(
    ("names", "trusted", "says"), [(("other.example.org",), True, "localhost"), ((), False, "authority")]
)
async def test_a_certificate_that_does_not_hold(
    home: Home, postbearer_sandbox: Sandbox, names: tuple[str, ...], trusted: bool, says: str
) -> None:
    tap, authority = Tap(offers=("AUTH XOAUTH2",)), Authority(*names)
    (authority if trusted else Authority()).write(home.folder / "ca.pem")
    async with tapped(tap, authority) as port:
        changes = {"tls": '"implicit"', "ca_file": f'"{home.folder / "ca.pem"}"'}
        home.write(configuration(postbearer_sandbox, port, **changes))
        ran = await told(home, *SEND)
    assert ran.code == 78
    assert f"localhost:{port}" in ran.err
    assert says in ran.err
    assert "certificate" in ran.err
    assert tap.heard == b""
    assert_no_token(tap, postbearer_sandbox, ran)


@pytest.mark.parametrize(
    "token", ["canary-caf\u00e9-0123456789", "canary-\x01-0123456789", "canary 0123456789"]
)
async def test_a_token_that_is_not_printable_ascii(
    home: Home, postbearer_sandbox: Sandbox, token: str
) -> None:
    tap, authority = Tap(offers=("AUTH XOAUTH2",)), Authority()
    authority.write(home.folder / "ca.pem")
    async with tapped(tap, authority) as port:
        changes = {"tls": '"implicit"', "ca_file": f'"{home.folder / "ca.pem"}"', "grant": '"static"'}
        text = configuration(postbearer_sandbox, port, **changes) + 'token = "env:TOKEN"\n'
        home.write(text)
        ran = await told(home, "-v", *SEND, TOKEN=token)
    assert ran.code in (65, 77, 78)
    assert "token" in ran.err
    assert b"AUTH" not in tap.heard.upper()
    assert_absent(token, ran.out, ran.err, bytes(tap.heard))


async def test_a_changed_server_never_gets_the_kept_token(home: Home, postbearer_sandbox: Sandbox) -> None:
    """The token is kept for the old server only; the new one hears nothing of it, whoever it is."""
    environ = {"SECRET": postbearer_sandbox.client_secret}
    home.write(
        configuration(postbearer_sandbox, postbearer_sandbox.starttls_port, client_secret='"env:SECRET"')
    )
    assert (await told(home, *SEND, **environ)).code == 0
    tap, authority = Tap(offers=("AUTH XOAUTH2",)), Authority()
    authority.write(home.folder / "ca.pem")
    async with tapped(tap, authority) as port:
        changes = {"tls": '"implicit"', "ca_file": f'"{home.folder / "ca.pem"}"'}
        home.write(configuration(postbearer_sandbox, port, **changes, client_secret='"env:NOT_SET"'))
        ran = await told(home, *SEND)
    assert ran.code == 78
    assert "NOT_SET" in ran.err
    assert_no_token(tap, postbearer_sandbox, ran)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--to", "a\nb@example.org"), 64),
        (("--to", "nobody"), 64),
        (("--subject", "x\r\nBcc: evil@example.org"), 64),
        (("--header", "X-Note: x\r\nBcc: evil@example.org"), 64),
        (("--dsn-id", "a\r\nRCPT TO:<evil@example.org>"), 64),
        (("--sender", "boss@example.org\r\n"), 64),
        (("--attach", "bad\nname.txt"), 66),
    ],
)
async def test_nothing_is_injected_by_the_fields_of_send(
    home: Home, postbearer_sandbox: Sandbox, arguments: tuple[str, ...], code: int
) -> None:
    before = (postbearer_sandbox.mail.connections, postbearer_sandbox.token_requests)
    home.write(postbearer_sandbox.configuration())
    ran = await told(home, *SEND, *arguments)
    assert ran.code == code
    assert (postbearer_sandbox.mail.connections, postbearer_sandbox.token_requests) == before
    assert postbearer_sandbox.inbox.messages == []


async def test_oversize_content_is_refused_here(home: Home, postbearer_sandbox: Sandbox) -> None:
    before = postbearer_sandbox.token_requests
    home.write(postbearer_sandbox.configuration() + "[accounts.sandbox.limits]\nsize = 200\n")
    ran = await asyncio.to_thread(
        home.run,
        "send",
        "--account",
        "sandbox",
        "--to",
        "you@example.org",
        "--raw",
        "-",
        stdin=b"X: y\n" * 99,
    )
    assert ran.code == 65
    assert "limits.size" in ran.err
    assert postbearer_sandbox.token_requests == before
