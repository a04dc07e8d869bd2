"""Through real small proxies: HTTP CONNECT and SOCKS5."""

from __future__ import annotations

import asyncio
import base64
import ssl
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest
import trustme

from postbearer.errors import (
    ConfigError,
    ConnectFailed,
    Disconnected,
    NetworkError,
    RemoteProtocolError,
    ServerRefused,
)
from postbearer.transport import Proxy, ServerAddress, Smarthost, SmtpTransport
from support.listening import Handler, listening
from support.provider import CONTENT, Tokens, envelope

PASSWORD = "canary-proxy-password"
LOGIN = base64.b64encode(f"we:{PASSWORD}".encode())


async def splice(reader: StreamReader, writer: StreamWriter, port: int, answer: bytes) -> None:
    """Connect both sides; the proxy resolves every name to loopback."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source: StreamReader, target: StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    writer.write(answer)
    try:
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
    finally:
        far_writer.transport.abort()


def http_proxy(asked: list[str], *, login: bool = False) -> Handler:
    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b" ")[1].decode())
        if login and b"Basic " + LOGIN not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        await splice(
            reader, writer, int(asked[-1].rpartition(":")[2]), b"HTTP/1.1 200 Connected\r\nVia: test\r\n\r\n"
        )

    return handle


def socks_proxy(asked: list[str], *, login: bool = False) -> Handler:
    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        writer.write(b"\x05\x02" if 2 in methods else b"\x05\x00" if not login else b"\x05\xff")
        if 2 in methods:
            user = await reader.readexactly((await reader.readexactly(2))[1])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(b"\x01\x00" if (user, password) == (b"we", PASSWORD.encode()) else b"\x01\x01")
        kind = (await reader.readexactly(4))[3]
        raw = await reader.readexactly((await reader.readexactly(1))[0] if kind == 3 else 4)
        host = raw.decode() if kind == 3 else ".".join(map(str, raw))
        port = int.from_bytes(await reader.readexactly(2), "big")
        asked.append(f"{host}:{port}")
        await splice(reader, writer, port, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x19")

    return handle


PROXIES = {"http": http_proxy, "socks5": socks_proxy}


async def through(proxy: Handler, url: str, tmp_path: Path, context: ssl.SSLContext | None) -> None:
    """Deliver through `proxy` to a server that says 421 as soon as it hears EHLO."""

    async def server(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        if await reader.readline():
            writer.write(b"421 enough\r\n")

    async with listening(server, context) as port, listening(proxy) as proxy_port:
        smarthost = Smarthost(
            servers=(ServerAddress("mail.example.org", port),),
            tls="implicit" if context else "starttls",
            ca_file=str(tmp_path / "ca.pem"),
            username="alerts@example.org",
            proxy=Proxy.parse(url.replace("PORT", str(proxy_port))),
        )
        transport = SmtpTransport(smarthost, Tokens(), account="alerts")
        try:
            await transport.deliver(envelope(), CONTENT)
        finally:
            await transport.close()


def authority(tmp_path: Path) -> ssl.SSLContext:
    ours = trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("mail.example.org").configure_cert(context)
    return context


@pytest.mark.parametrize("scheme", PROXIES)
@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_the_proxy_resolves_and_tls_reaches_through(
    scheme: str, login: bool, tls: str, tmp_path: Path
) -> None:
    context = authority(tmp_path)
    asked: list[str] = []
    user = f"we:{PASSWORD}@" if login else ""
    with pytest.raises(ServerRefused, match="enough"):
        await through(
            PROXIES[scheme](asked, login=login),
            f"{scheme}://{user}127.0.0.1:PORT",
            tmp_path,
            context if tls == "implicit" else None,
        )
    assert asked[0].startswith("mail.example.org:")


@pytest.mark.parametrize("scheme", PROXIES)
async def test_a_login_that_is_missing_or_wrong(scheme: str, tmp_path: Path) -> None:
    for user in ("", "we:wrong@"):
        with pytest.raises(ConnectFailed, match=r"mail\.example\.org") as caught:
            await through(PROXIES[scheme]([], login=True), f"{scheme}://{user}127.0.0.1:PORT", tmp_path, None)
        assert "user name" in caught.value.hint
        assert "wrong" not in str(caught.value)


def answering(*answers: bytes) -> Handler:
    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        for answer in answers:
            await reader.read(1000)
            writer.write(answer)
        await reader.read()

    return handle


@pytest.mark.parametrize(
    ("scheme", "answers", "said"),
    [
        ("http", [b"HTTP/1.1 403 Forbidden\r\n\r\n"], "403 Forbidden"),
        ("http", [b"HTTP/1.1 200 ok\r\n" + b"X: y\r\n" * 5000], "longer than"),
        ("http", [b"220 mail.example.org ESMTP\r\n\r\n"], "not HTTP"),
        ("http", [b"HTTP/1.1 \x1b[2J\r\n\r\n"], "not HTTP"),
        ("socks5", [b"HT"], "not SOCKS5"),
        ("socks5", [b"\x05\xff"], "login"),
        ("socks5", [b"\x05\x02"], "not SOCKS5"),  # not one of those we named
        ("socks5", [b"\x05\x00", b"\x05\x05\x00\x01\0\0\0\0\0\0"], "connection refused"),
        ("socks5", [b"\x05\x00", b"\x05\x63\x00\x01\0\0\0\0\0\0"], "error 99"),
        ("socks5", [b"\x05\x00", b"\x05\x00\x00\x09"], "not SOCKS5"),
    ],
)
async def test_a_proxy_that_refuses_or_talks_nonsense(
    scheme: str, answers: list[bytes], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConnectFailed, match=said):
        await through(answering(*answers), f"{scheme}://127.0.0.1:PORT", tmp_path, None)


@pytest.mark.parametrize("scheme", PROXIES)
async def test_a_proxy_that_is_not_there(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed) as caught:
        await through(http_proxy([]), f"{scheme}://we:{PASSWORD}@127.0.0.1:1", tmp_path, None)
    assert caught.value.message == f"The proxy {scheme}://127.0.0.1:1 cannot be reached: Connection refused."
    assert "Check proxy of the account" in caught.value.hint  # and not the server's name


async def test_a_proxy_that_hangs_up(tmp_path: Path) -> None:
    async def gone(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(100)

    with pytest.raises(NetworkError) as caught:
        await through(gone, "http://127.0.0.1:PORT", tmp_path, None)
    assert isinstance(caught.value, Disconnected | ConnectFailed)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_words_that_a_proxy_puts_in_front_of_tls(scheme: str, tmp_path: Path) -> None:
    context = authority(tmp_path)
    injected = b"220 hello\r\n"
    answers = {
        "http": [b"HTTP/1.1 200 ok\r\n\r\n" + injected],
        "socks5": [b"\x05\x00", b"\x05\x00\x00\x01\0\0\0\0\0\0" + injected],
    }
    with pytest.raises(RemoteProtocolError, match="in front of TLS"):
        await through(answering(*answers[scheme]), f"{scheme}://127.0.0.1:PORT", tmp_path, context)


@pytest.mark.parametrize(
    "url", ["", "ftp://h:1", "http://h", "http://:3128", "socks5://h:99999", "http://h:1/path", "http://[h:1"]
)
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(ConfigError, match="proxy"):
        Proxy.parse(url)


def test_a_proxy_shows_no_password() -> None:
    proxy = Proxy.parse(f"socks5://we:{PASSWORD}%21@[::1]:1080")
    assert proxy.password is not None
    assert proxy.password.reveal() == PASSWORD + "!"
    assert PASSWORD not in f"{proxy}{proxy!r}"
    assert (proxy.host, proxy.port, proxy.username) == ("::1", 1080, "we")
