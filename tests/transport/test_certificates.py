"""Row C3: the certificate is judged before anything of value is said, by the configured name."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import warnings
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from postbearer.errors import ConfigError, NetworkError, TimedOut, TlsFailed
from postbearer.outcome import State
from postbearer.transport import (
    ClientCertificate,
    ServerAddress,
    Smarthost,
    SmtpTransport,
    Stream,
    Timeouts,
    connect,
    tls_context,
)
from postbearer.verdict import judge
from support.listening import listening
from support.provider import CONTENT, Tokens, envelope

AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
LONG_AGO = datetime.now(UTC) - timedelta(days=30)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def attempt(host: str, context: ssl.SSLContext | None, ca_file: Path, *, tls: float = 5.0) -> bytes:
    """Deliver to `host`, which really is a server on loopback with `context`; returns what it was told."""
    heard = bytearray()

    async def server(reader: StreamReader, writer: StreamWriter) -> None:
        if context is None:
            writer.write(b"220 plain text here\r\n")
        else:
            writer.write(b"220 hello\r\n")
        while data := await reader.read(1000):
            heard.extend(data)
            writer.write(b"421 enough\r\n")

    AUTHORITY.cert_pem.write_to_path(str(ca_file))
    async with listening(server, context) as port:

        async def dial(smarthost: Smarthost, server: ServerAddress, timeout: float) -> Stream:
            return await connect("127.0.0.1", port, timeout=timeout)

        smarthost = Smarthost(
            servers=(ServerAddress(host, 465),),
            ca_file=str(ca_file),
            username="alerts@example.org",
            ehlo_name="client.example.org",
            timeouts=Timeouts(tls=tls),
        )
        transport = SmtpTransport(smarthost, Tokens(), account="alerts", dial=dial)
        try:
            await transport.deliver(envelope(), CONTENT)
        finally:
            await transport.close()
    return bytes(heard)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("mail.example.com", ["mail.example.com"]),
        ("MAIL.example.com", ["mail.example.com"]),
        ("mail.example.com", ["*.example.com"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("bücher.example.com", ["xn--bcher-kva.example.com"]),
    ],
)
async def test_c3_the_right_name(tmp_path: Path, host: str, names: list[str]) -> None:
    with pytest.raises(NetworkError, match="enough"):  # it got as far as EHLO
        await attempt(host, serving(AUTHORITY.issue_cert(*names)), tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("host", "certificate", "reason"),
    [
        pytest.param("localhost", STRANGER.issue_cert("localhost"), "issuer", id="unknown authority"),
        pytest.param(
            "localhost",
            AUTHORITY.issue_cert("localhost", not_before=LONG_AGO, not_after=YESTERDAY),
            "expired",
            id="expired",
        ),
        pytest.param(
            "localhost",
            AUTHORITY.issue_cert("localhost", not_before=TOMORROW),
            "not yet valid",
            id="not yet valid",
        ),
        pytest.param(
            "mail.example.com",
            AUTHORITY.issue_cert("other.example.com"),
            "mismatch",
            id="another host of ours",
        ),
        pytest.param(
            "mail.example.com",
            AUTHORITY.issue_cert(common_name="mail.example.com"),
            "mismatch|Empty Subject Alternative Name",  # Python 3.13 asks OpenSSL to be strict
            id="CN only",
        ),
        pytest.param("example.com", AUTHORITY.issue_cert("*.com"), "mismatch", id="wildcard too wide"),
        pytest.param(
            "a.b.example.com", AUTHORITY.issue_cert("*.example.com"), "mismatch", id="wildcard two levels up"
        ),
        pytest.param("127.0.0.1", AUTHORITY.issue_cert("localhost"), "mismatch", id="name for an address"),
        pytest.param(
            "mail.example.com", AUTHORITY.issue_cert("127.0.0.1"), "mismatch", id="address for a name"
        ),
    ],
)
async def test_c3_a_certificate_that_does_not_hold(
    tmp_path: Path, host: str, certificate: trustme.LeafCert, reason: str
) -> None:
    with pytest.raises(TlsFailed) as caught:
        await attempt(host, serving(certificate), tmp_path / "ca.pem")
    error = caught.value
    assert host in str(error)
    assert re.search(reason, str(error))
    assert error.hint
    assert judge(error).state is State.DEFERRED


async def test_c3_self_signed(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own, trusted = tmp_path / "own.pem", tmp_path / "ca.pem"
    AUTHORITY.private_key_pem.write_to_path(str(own))
    AUTHORITY.cert_pem.write_to_path(str(own), append=True)
    context.load_cert_chain(own)
    STRANGER.cert_pem.write_to_path(str(trusted))
    with pytest.raises(TlsFailed, match=r"self.signed"):
        await _handshake(context, tls_context(str(trusted)))


async def _handshake(theirs: ssl.SSLContext | None, ours: ssl.SSLContext, timeout: float = 5.0) -> None:
    async def server(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()

    async with listening(server, theirs) as port:
        stream = await connect("127.0.0.1", port, timeout=5)
        try:
            await stream.start_tls(ours, "localhost", timeout)
        finally:
            await stream.close()


async def test_c3_an_old_version_of_tls() -> None:
    context = serving(AUTHORITY.issue_cert("localhost"))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(TlsFailed, match="no TLS"):
        await _handshake(context, tls_context())


async def test_a_server_that_speaks_first_has_no_tls_on_this_port(tmp_path: Path) -> None:
    with pytest.raises(TlsFailed, match="starttls"):
        await attempt("localhost", None, tmp_path / "ca.pem")


async def test_plain_text_behind_starttls_is_no_reason_to_ask_for_starttls(tmp_path: Path) -> None:
    async def server(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.write(b"250-mail\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go ahead\r\n")
        await reader.read(100)
        writer.write(b"500 what is this?\r\n")
        await reader.read()

    async with listening(server) as port:
        smarthost = Smarthost(
            servers=(ServerAddress("127.0.0.1", port),),
            tls="starttls",
            username="a@example.org",
            ehlo_name="c.example",
        )
        transport = SmtpTransport(smarthost, Tokens(), account="alerts")
        with pytest.raises(TlsFailed) as caught:
            await transport.deliver(envelope(), CONTENT)
        await transport.close()
    assert "agreed to STARTTLS" in caught.value.hint
    assert 'tls = "starttls"' not in caught.value.hint


async def test_a_handshake_that_never_ends() -> None:
    with pytest.raises(TimedOut) as caught:
        await _handshake(None, tls_context(), timeout=0.05)
    assert caught.value.stage == "tls"


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    theirs = serving(AUTHORITY.issue_cert("localhost"))
    theirs.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(theirs)
    ca_file, own = tmp_path / "ca.pem", tmp_path / "own.pem"
    AUTHORITY.cert_pem.write_to_path(str(ca_file))
    AUTHORITY.issue_cert("client.example.org").private_key_and_cert_chain_pem.write_to_path(str(own))
    await _handshake(theirs, tls_context(str(ca_file), ClientCertificate(str(own))))


async def test_a_client_certificate_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    """With TLS 1.3 the server says so after the handshake."""
    theirs = serving(AUTHORITY.issue_cert("localhost"))
    theirs.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(theirs)
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def refuse(listener: socket.socket) -> None:  # asyncio's server would not send the reason
        connection, _ = listener.accept()
        with connection, suppress(ssl.SSLError):
            theirs.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = asyncio.get_running_loop().run_in_executor(None, refuse, listener)
        stream = await connect("127.0.0.1", listener.getsockname()[1], timeout=5)
        await stream.start_tls(tls_context(str(tmp_path / "ca.pem")), "localhost", 5)
        with pytest.raises(TlsFailed) as caught:
            await stream.read("conn", 5)
        await stream.close()
        await server
    assert "tls-certificate" in caught.value.hint


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "broken.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"ca-file.*broken.pem"):
        tls_context(str(file))
    with pytest.raises(ConfigError, match=r"tls-certificate.*broken.pem"):
        tls_context("", ClientCertificate(str(file)))


def test_a_file_that_is_not_there_is_not_called_wrong(tmp_path: Path) -> None:
    file = str(tmp_path / "gone.pem")
    for given in ((file,), ("", ClientCertificate(file))):
        with pytest.raises(ConfigError, match=r"gone.pem cannot be read: No such file") as caught:
            tls_context(*given)
        assert caught.value.hint == "It must exist and be readable by the user that sends mail."


def test_verification_cannot_be_turned_off() -> None:
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
