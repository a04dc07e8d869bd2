"""``sendmail`` where no relay is set up: straight to the provider, as the account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.conftest import Home, home
from postbearer.testing import BackgroundSandbox, Faults, Sandbox, SmtpFault

__all__ = ["home"]  # a fixture of the command's tests

SECOND = """
[accounts.second]
provider = "smtp"
servers = ["localhost:1"]
address = "x@example.org"
authentication = "none"
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with BackgroundSandbox() as running:
        yield running


@pytest.fixture
def ready(home: Home, sandbox: Sandbox) -> Home:
    home.write(sandbox.configuration())
    return home


def test_it_leaves_as_the_account_and_the_author_gets_the_answers(ready: Home, sandbox: Sandbox) -> None:
    stdin = "From: Cron <root@host.example.org>\nTo: you@example.org\nBcc: boss@example.org\n\n.dot\n"
    ran = ready.run("sendmail", "-t", "-oi", stdin=stdin)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    received = sandbox.inbox.messages[-1]
    assert set(received.recipients) == {"you@example.org", "boss@example.org"}
    content = received.content.decode()
    assert "From: Cron <alerts@example.org>\r\n" in content
    assert "Reply-To: Cron <root@host.example.org>\r\n" in content
    assert "Bcc" not in content
    assert content.endswith("\r\n\r\n.dot\r\n")


def test_a_refusal_is_told_with_its_code(ready: Home, sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", reply="550 5.1.1 no such user")]))
    try:
        ran = ready.run("sendmail", "you@example.org", stdin="hi\n")
    finally:
        sandbox.set_faults(Faults())
    assert ran.code == 69
    assert "550 5.1.1 no such user" in ran.err + ran.out


def test_among_several_accounts_one_has_to_be_named(ready: Home, sandbox: Sandbox) -> None:
    ready.write(sandbox.configuration() + SECOND)
    ran = ready.run("sendmail", "you@example.org", stdin="hi\n")
    assert ran.code == 78
    assert "relay.account" in ran.err
    assert ready.run("sendmail", "-f", "alerts@example.org", "you@example.org", stdin="hi\n").code == 0
    ready.write(sandbox.configuration() + SECOND + '[relay]\naccount = "sandbox"\n')
    assert ready.run("sendmail", "you@example.org", stdin="hi\n").code == 0
