"""msmtp, mutt and curl log in with what `postbearer token` prints, set up as the how-to page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from house.tree import ROOT

from .authorization import AuthorizationServer
from .sending import RECIPIENT, SENDER, Watched
from .sink import Sink

pytestmark = pytest.mark.servers

PAGE = ROOT / "docs" / "how-to" / "give-tokens-to-other-programs.md"
LETTER = f"From: {SENDER}\nTo: {RECIPIENT}\nSubject: by {{}}\n\nHello.\n"


def shown(heading: str) -> str:
    """The configuration below a heading of the page."""
    found = re.search(rf"^## {heading}\n.*?^```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@dataclass
class User:
    """Somebody whose home folder has an account ``alerts`` at one of the mail servers."""

    home: Path
    server: Watched
    environ: dict[str, str] = field(default_factory=dict)

    def mine(self, configuration: str, mechanism: str) -> str:
        """The page's configuration with this server, this address and another mechanism in it."""
        for theirs, ours in {
            "smtp.office365.com": self.server.host,
            "587": str(self.server.submission_port),
            "alerts@example.org": SENDER,
            "xoauth2": mechanism,
        }.items():
            assert theirs in configuration
            configuration = configuration.replace(theirs, ours)
        return configuration

    def run(self, command: Sequence[str], stdin: str) -> None:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.home,
            env=self.environ,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def user(server: Watched, authorization_server: AuthorizationServer, tmp_path: Path) -> User:
    client = authorization_server.clients["opaque"]  # short: these programs never wait for the 334
    secret = tmp_path / "client-secret"
    secret.write_text(client.secret)
    config = tmp_path / ".config" / "postbearer" / "postbearer.toml"
    config.parent.mkdir(parents=True)
    config.touch(0o600)
    config.write_text(
        f'[accounts.alerts]\nprovider = "smtp"\naddress = "{SENDER}"\n'
        f'servers = ["{server.host}:{server.submission_port}"]\ntls = "starttls"\n'
        f'grant = "client-credentials"\ntoken-url = "{authorization_server.token_url}"\n'
        f'client-id = "{client.id}"\nclient-secret = "file:{secret}"\n'
        f'scopes = ["{authorization_server.scope}"]\n'
    )
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    own = {"HOME": str(tmp_path), "POSTBEARER_STATE": str(tmp_path / "state"), "PATH": path, "TERM": "dumb"}
    return User(tmp_path, server, {**kept, **own})


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_msmtp(user: User, sink: Sink, mechanism: str) -> None:
    config = user.home / ".msmtprc"
    config.touch(0o600)
    trust = f"defaults\ntls_trust_file {user.server.ca_file}\n"
    config.write_text(trust + user.mine(shown("msmtp"), mechanism))
    user.run(["msmtp", "-t"], LETTER.format("msmtp"))
    (message,) = sink.wait_for(1)
    assert (message.sender, message.addresses) == (SENDER, (RECIPIENT,))


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_mutt(user: User, sink: Sink, mechanism: str) -> None:
    trust = f'set ssl_ca_certificates_file = "{user.server.ca_file}"\nset certificate_file = ""\n'
    (user.home / ".muttrc").write_text(trust + user.mine(shown("mutt, neomutt"), mechanism))
    user.run(["mutt", "-n", "-s", "by mutt", "-e", "set copy = no", "--", RECIPIENT], "Hello.\n")
    (message,) = sink.wait_for(1)
    assert (message.sender, message.addresses) == (SENDER, (RECIPIENT,))
    assert b"Subject: by mutt" in message.content


def test_curl(user: User, sink: Sink) -> None:
    token = subprocess.run(
        ["postbearer", "token", "alerts"],
        env=user.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    url = f"smtp://{user.server.host}:{user.server.submission_port}"
    command = ["curl", "-sS", "--ssl-reqd", "--cacert", str(user.server.ca_file), url, "--user", f"{SENDER}:"]
    envelope = ["--mail-from", SENDER, "--mail-rcpt", RECIPIENT, "--upload-file", "letter"]
    (user.home / "letter").write_bytes(LETTER.format("curl").replace("\n", "\r\n").encode())
    user.run([*command, "--config", "-", *envelope], f"oauth2-bearer = {token.stdout}")
    assert len(sink.wait_for(1)) == 1


def test_ten_of_them_at_once_cost_one_request(
    user: User, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    config = user.home / ".msmtprc"
    config.touch(0o600)
    trust = f"defaults\ntls_trust_file {user.server.ca_file}\n"
    config.write_text(trust + user.mine(shown("msmtp"), "xoauth2"))
    before = authorization_server.token_requests()
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda n: user.run(["msmtp", "-t"], LETTER.format(f"msmtp {n}")), range(10)))
    assert len(sink.wait_for(10)) == 10
    assert authorization_server.token_requests() - before == 1
