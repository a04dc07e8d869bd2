"""Nothing that proves who we are leaves before the certificate holds: not to a real server either."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import trustme

from postbearer import StaticToken
from postbearer.errors import TlsFailed
from postbearer.events import Authenticated, Connected, TlsStarted
from postbearer.mailer import AsyncMailer
from postbearer.secret import Secret
from postbearer.state import StateFolder
from support.canary import assert_absent

from .authorization import AuthorizationServer
from .sending import ENVELOPE, MESSAGE, Recorder, Visit, Watched, account, visits
from .sink import Sink

pytestmark = pytest.mark.servers

Tls = Literal["starttls", "implicit"]
TOKEN = "canary-token-that-must-not-leave"
# Loopback too, and no name of the servers' certificate.
OTHER_ADDRESS = "127.0.0.2"


@dataclass(slots=True)
class Tap:
    """Passes connections on to a server, and keeps what clients said."""

    server: str
    said: bytearray = field(default_factory=bytearray)


@contextmanager
def tapped(port: int) -> Iterator[Tap]:
    """A tap on another address in front of a server's port; it carries one connection."""
    with socket.create_server((OTHER_ADDRESS, 0)) as listener:
        tap = Tap(f"{OTHER_ADDRESS}:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_pass_on, args=(listener, port, tap))
        thread.start()
        yield tap
        thread.join(10)
        assert not thread.is_alive()


def _pass_on(listener: socket.socket, port: int, tap: Tap) -> None:
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        while True:
            readable, _, _ = select.select([client, server], [], [], 10)
            for end in readable:
                try:
                    data = end.recv(65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    return
                if end is client:
                    tap.said += data
                (server if end is client else client).sendall(data)


def port_of(server: Watched, tls: Tls) -> int:
    return server.submissions_port if tls == "implicit" else server.submission_port


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_for_another_name(
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    seen: Recorder,
    tls: Tls,
) -> None:
    grant = StaticToken(Secret(TOKEN))
    with tapped(port_of(server, tls)) as tap:
        alerts = account(server, authorization_server, grant, servers=[tap.server], tls=tls)
        async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
            with pytest.raises(TlsFailed, match=f"refused for {OTHER_ADDRESS}") as failed:
                await mailer.send(MESSAGE, ENVELOPE)
    assert failed.value.host == tap.server
    assert "instead of an address" in failed.value.hint
    assert b"AUTH" not in tap.said
    assert_absent(TOKEN, bytes(tap.said))
    plain = bytes(tap.said).split(b"\x16\x03")[0]  # up to the first TLS handshake record
    assert plain == (b"EHLO client.example.org\r\nSTARTTLS\r\n" if tls == "starttls" else b"")
    assert (len(seen.all(Connected)), seen.all(TlsStarted), seen.all(Authenticated)) == (1, [], [])
    assert sink.messages() == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("trusted", ["another authority", "the system's"])
async def test_a_certificate_by_an_authority_nobody_trusts(
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    seen: Recorder,
    tmp_path: Path,
    trusted: str,
    tls: Tls,
) -> None:
    """No token is asked for either: that comes when TLS stands."""
    ca_file = ""
    if trusted == "another authority":
        ca_file = str(tmp_path / "other.pem")
        trustme.CA().cert_pem.write_to_path(ca_file)
    before = authorization_server.token_requests()
    alerts = account(server, authorization_server, ca_file=ca_file, tls=tls)
    async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
        with pytest.raises(TlsFailed, match="the certificate was refused for localhost") as failed:
            await mailer.send(MESSAGE, ENVELOPE)
    assert "ca-file" in failed.value.hint
    assert authorization_server.token_requests() == before
    assert (seen.all(TlsStarted), seen.all(Authenticated)) == ([], [])
    assert sink.messages() == []


async def test_the_wrong_tls_mode_is_named(
    server: Watched, authorization_server: AuthorizationServer, state: StateFolder
) -> None:
    place = f"{server.host}:{server.submission_port}"
    alerts = account(server, authorization_server, servers=[place], tls="implicit")
    async with AsyncMailer(alerts, state=state) as mailer:
        with pytest.raises(TlsFailed, match="no TLS") as failed:
            await mailer.send(MESSAGE, ENVELOPE)
    assert 'tls = "starttls"' in failed.value.hint


async def test_the_next_server_takes_over_when_the_first_is_not_who_it_should_be(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    good = f"{server.host}:{server.submission_port}"
    with tapped(server.submission_port) as tap:
        alerts = account(server, authorization_server, servers=[tap.server, good])
        async with AsyncMailer(alerts, state=state) as mailer:
            receipt = await mailer.send(MESSAGE, ENVELOPE)
    assert receipt.server == good
    assert b"AUTH" not in tap.said
    assert len(sink.wait_for(1)) == 1
    assert sum(visit.logged_in for visit in visits(server, 2)) == 1
    assert Visit() in visits(server, 2)
