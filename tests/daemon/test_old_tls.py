"""Printers that know nothing newer than TLS 1.0: only where somebody asked for it."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from postbearer.assembly import Assembly
from postbearer.daemon import RelayPlan
from postbearer.errors import ConfigError
from postbearer.state import StateFolder

ACCOUNT = """
[accounts.alerts]
provider = "smtp"
address = "alerts@example.org"
servers = ["mail.example.org:587"]
authentication = "none"
"""
PRINTERS = """
[[relay.clients]]
name = "printers"
networks = ["192.0.2.0/24"]
legacy = true
"""


def plan(folder: Path, listener: str, clients: str = PRINTERS) -> RelayPlan:
    certificate = trustme.CA().issue_cert("relay.example.org")
    certificate.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    configuration = folder / "postbearer.toml"
    configuration.touch(mode=0o600)
    given = '[[relay.listeners]]\ncertificate = "chain.pem"\nkey = "key.pem"\n'
    configuration.write_text(ACCOUNT + given + listener + clients)
    return RelayPlan.of(Assembly.load(configuration, {}, StateFolder(folder / "state")))


def handshake(server: ssl.SSLContext, version: ssl.TLSVersion) -> str | None:
    """What a client that knows only `version` agrees on with `server`, in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours.version()


def test_an_old_device_is_served_where_the_listener_says_so(tmp_path: Path) -> None:
    made = plan(tmp_path, 'address = "0.0.0.0:25"\ntls = "starttls"\nlegacy = true\nold-tls = true\n')
    context = made.doors[0].context
    assert context is not None
    assert handshake(context, ssl.TLSVersion.TLSv1) == "TLSv1"
    assert handshake(context, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def test_elsewhere_it_is_refused(tmp_path: Path) -> None:
    made = plan(tmp_path, 'address = "0.0.0.0:25"\ntls = "starttls"\nlegacy = true\n')
    context = made.doors[0].context
    assert context is not None
    with pytest.raises(ssl.SSLError):
        handshake(context, ssl.TLSVersion.TLSv1)


def test_old_tls_for_everybody_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="old TLS from everybody") as refused:
        plan(tmp_path, 'address = "0.0.0.0:587"\ntls = "starttls"\nold-tls = true\n', clients="")
    assert "old-tls" in refused.value.key
