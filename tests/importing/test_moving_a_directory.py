"""A directory server moves in: from its batch file to messages in the mailbox of the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.assembly import Assembly
from postbearer.mailer import AsyncMailer
from postbearer.state import StateFolder
from postbearer.testing import Faults, ManualClock, Sandbox
from relay.conversing import submit
from relay.running import Relay
from support.canary import assert_absent
from support.sandboxed import message

SAMPLE = Path(__file__).parent / "samples" / "directory.dsconfig"
NOBODY = 1  # a port where nobody listens


def moved(home: Home, sandbox: Sandbox, *, lifetime: str = "1 h", first: int = NOBODY, lab: int = 0) -> str:
    """Import the batch file, and set what its secrets need; the configuration as text."""
    words = {
        "TOKEN_URL": sandbox.token_url,
        "CLIENT_ID": "sandbox-app",
        "SCOPE": sandbox.personality.scopes[0],
        "LIFETIME": lifetime,
        "FIRST_PORT": first,
        "SECOND_PORT": sandbox.starttls_port,
        "LAB_PORT": lab or sandbox.implicit_port,
    }
    text = SAMPLE.read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    (home.folder / "directory.dsconfig").write_text(text)
    pin = home.folder / "config" / "lab.pin"
    pin.parent.mkdir()
    pin.write_text(sandbox.register.issue("sandbox-app", None, sandbox.personality.scopes[0]))
    pin.chmod(0o600)
    ran = home.run(
        *("import", "dsconfig", "directory.dsconfig", "--root", "."),
        *("--output", str(home.config), "--force"),
    )
    assert ran.code == 0, ran.err
    assert home.run("config", "validate").code == 0  # the relay would start with it, too
    assert "Set SMTP_CLIENT_SECRET" in ran.err
    home.environ |= {
        "SMTP_CLIENT_SECRET": sandbox.client_secret,
        "SSL_CERT_FILE": str(sandbox.folder / "ca.pem"),
    }
    return home.config.read_text()


def mailer(home: Home, monkeypatch: pytest.MonkeyPatch, clock: ManualClock, name: str) -> AsyncMailer:
    for variable in ("SMTP_CLIENT_SECRET", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, home.environ[variable])
    state = StateFolder(home.folder / "state")
    return AsyncMailer(Assembly.load(home.config, {}, state).account(name), state=state, clock=clock)


def test_the_first_server_is_down_and_the_message_leaves_by_the_second(
    home: Home, postbearer_sandbox: Sandbox
) -> None:
    text = moved(home, postbearer_sandbox)
    assert_absent(postbearer_sandbox.client_secret, text)
    ran = home.run("send", "-v", "-a", "exchange-online", "--to", "you@example.org", "--text", "Hello")
    assert ran.code == 0, ran.err
    assert "localhost:1 cannot be used" in ran.err
    (received,) = postbearer_sandbox.inbox.messages
    assert received.reverse_path == "alerts@example.org"  # the user name is the sender
    assert b"From: alerts@example.org\r\n" in received.content
    assert postbearer_sandbox.token_requests >= 1


def test_check_knows_the_way_of_every_account(home: Home, postbearer_sandbox: Sandbox) -> None:
    moved(home, postbearer_sandbox, first=postbearer_sandbox.starttls_port)
    ran = home.run("check")
    assert ran.code == 0, ran.out + ran.err


async def test_a_lifetime_of_one_second_means_a_new_token_at_every_attempt(
    home: Home, postbearer_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(home, postbearer_sandbox, lifetime="1 s")
    clock = ManualClock()
    before = postbearer_sandbox.token_requests
    async with mailer(home, monkeypatch, clock, "exchange-online") as sending:
        for _ in range(3):
            await sending.send(message())
            clock.advance(2)
    assert postbearer_sandbox.token_requests - before == 3


async def test_a_token_is_renewed_when_it_expires_and_when_it_is_refused(
    home: Home, postbearer_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(home, postbearer_sandbox)
    clock = ManualClock()
    before = postbearer_sandbox.token_requests

    def asked() -> int:
        return postbearer_sandbox.token_requests - before

    async with mailer(home, monkeypatch, clock, "exchange-online") as sending:
        await sending.send(message())
        await sending.send(message())
        assert asked() == 1
        clock.advance(3601)  # the cap of an hour
        await sending.send(message())
        assert asked() == 2
        clock.advance(1200)  # so that the connection is too old
        postbearer_sandbox.set_faults(Faults(refuse_tokens=1))
        await sending.send(message())
        assert asked() == 3
    assert len(postbearer_sandbox.inbox.messages) == 4


def test_the_account_below_sends_while_the_one_above_cannot_be_reached(
    home: Home, short: Path, postbearer_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = moved(home, postbearer_sandbox).replace(
        f"localhost:{postbearer_sandbox.starttls_port}", "localhost:1"
    )
    monkeypatch.setenv("SSL_CERT_FILE", home.environ["SSL_CERT_FILE"])
    monkeypatch.setenv("SMTP_CLIENT_SECRET", postbearer_sandbox.client_secret)
    here = 'listen = ["127.0.0.1:0"]\nallow-ephemeral = true\n'
    with Relay(short, text + here) as relay:  # [relay] is its last table
        assert relay.start(), relay.log
        assert submit(relay, "one") == 250
        assert relay.drain()
        assert relay.said("AccountPaused") == []
        assert relay.stop() == 0
    (received,) = postbearer_sandbox.inbox.messages
    assert received.username == "other@example.org"


def test_the_account_below_sends_while_the_one_above_is_paused(
    home: Home, short: Path, postbearer_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = moved(home, postbearer_sandbox, first=postbearer_sandbox.starttls_port)
    monkeypatch.setenv("SSL_CERT_FILE", home.environ["SSL_CERT_FILE"])
    monkeypatch.setenv("SMTP_CLIENT_SECRET", "canary-another-secret")  # it ran out
    here = 'listen = ["127.0.0.1:0"]\nallow-ephemeral = true\n'
    with Relay(short, text + here) as relay:  # [relay] is its last table
        assert relay.start(), relay.log
        assert submit(relay, "one") == 250
        assert relay.drain()
        assert relay.said("AccountPaused")[0]["account"] == "exchange-online"
        assert relay.stop() == 0
    (received,) = postbearer_sandbox.inbox.messages
    assert (received.username, received.reverse_path) == ("other@example.org", "other@example.org")
    assert b"X-Load: one\r\n" in received.content
