"""A balancer in front of the relay tells it who connects: HAProxy, by both versions of its protocol."""

from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.testing.certificates import Authority
from relay.conversing import text
from relay.running import SENDER, Relay, plain_account, relay_table
from servers.processes import Log, Process, program
from servers.sink import Sink
from support.ports import free_ports

pytestmark = pytest.mark.servers

CONFIGURATION = """\
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend first
    bind 127.0.0.1:{first} accept-proxy
    default_backend one
frontend second
    bind 127.0.0.1:{second} accept-proxy
    default_backend two
backend one
    server relay 127.0.0.1:{relay} send-proxy
backend two
    server relay 127.0.0.1:{relay} send-proxy-v2 check
"""
CLIENT = '[[relay.clients]]\nname = "office"\nnetworks = ["192.0.2.0/24"]\n'


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="postbearer-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def relay(sink: Sink, folder: Path) -> Iterator[Relay]:
    (folder / "relay.pem").write_bytes(
        Authority("localhost")._certificate.private_key_and_cert_chain_pem.bytes()
    )
    listener = (
        '[[relay.listeners]]\naddress = "127.0.0.1:0"\ntls = "starttls"\ncertificate = "relay.pem"\n'
        'proxy-protocol = true\ntrusted-proxies = ["127.0.0.1"]\n'
    )
    table = relay_table().replace('listen = ["127.0.0.1:0"]\n', "")
    with Relay(folder, plain_account(sink.port, 'sender = "allow"') + table + listener + CLIENT) as running:
        assert running.start(), running.log
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def balancer(relay: Relay, folder: Path) -> Iterator[tuple[int, int]]:
    """The ports at which it passes on what comes by version 1, and by version 2."""
    first, second = free_ports(2)
    file = folder / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(first=first, second=second, relay=relay.port))
    process = Process(
        "HAProxy", [program("haproxy", "haproxy"), "-db", "-f", str(file)], Log(folder / "haproxy.log")
    )
    process.wait_for_port(first)
    yield first, second
    process.stop()


class FromElsewhere(smtplib.SMTP):
    """A client at another address, as a proxy in front of HAProxy tells it."""

    address = "192.0.2.9"

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((host, port), timeout)
        version = 6 if ":" in self.address else 4
        made.sendall(f"PROXY TCP{version} {self.address} {self.address} 51234 25\r\n".encode())
        return made


class Stranger(FromElsewhere):
    address = "2001:db8::9"


@pytest.mark.parametrize("version", [1, 2])
def test_the_relay_knows_the_client_behind_the_balancer(
    balancer: tuple[int, int], sink: Sink, version: int
) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with FromElsewhere("127.0.0.1", balancer[version - 1]) as client:
        client.starttls(context=context)
        client.sendmail(SENDER, ["anna@example.net"], text(f"version-{version}"))
    (arrived,) = sink.wait_for(1, containing=f"version-{version}".encode())
    assert b"[192.0.2.9]" in arrived.content


@pytest.mark.parametrize("version", [1, 2])
def test_a_stranger_behind_the_balancer_is_a_stranger(balancer: tuple[int, int], version: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Stranger("127.0.0.1", balancer[version - 1]) as client:
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            client.sendmail(SENDER, ["anna@example.net"], text("stranger"))
    assert caught.value.smtp_code in (530, 550)


def test_whoever_connects_without_the_balancer_is_sent_away(relay: Relay) -> None:
    with socket.create_connection(("127.0.0.1", relay.port), 10) as client:
        client.sendall(b"EHLO client.example.org\r\n")
        try:
            said = client.recv(100)
        except ConnectionError:
            said = b""
    assert said == b""
