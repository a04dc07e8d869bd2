"""The recording mailers: as the real ones, without a socket."""

from __future__ import annotations

import subprocess
import sys

import pytest

from postbearer import ClientCredentials
from postbearer.account import Account
from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.errors import Rejected, SenderNotAllowed, UsageError
from postbearer.outcome import State
from postbearer.testing import AsyncRecordingMailer, RecordingMailer

ACCOUNT = Account.microsoft(
    "alerts@example.org", tenant="example.org", grant=ClientCredentials("client", "env:NO_SUCH_SECRET")
)

WITHOUT_SOCKETS = """
import socket
def refuse(*args, **options): raise AssertionError("a socket was made")
socket.socket.__init__ = refuse
socket.socketpair = socket.create_connection = refuse

from postbearer.testing import RecordingMailer
with RecordingMailer() as mailer:
    mailer.send(to="you@example.org", subject="Hello", text="It works.", retry=2)
    mailer.send_many([{"to": "you@example.org", "text": "x"}] * 3)
assert len(mailer.messages) == 4
"""


def test_no_socket_no_extra_no_thread_no_secret() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT_SOCKETS], check=True, timeout=60)


def test_it_is_a_mailer_of_the_account_it_is_given() -> None:
    mailer = RecordingMailer(ACCOUNT)
    assert isinstance(mailer, Mailer)
    for _ in range(100):  # far more than a minute's limit
        mailer.send(to="you@example.org", text="x")
    assert mailer.messages[99].envelope.reverse_path == "alerts@example.org"


def test_it_refuses_what_the_real_one_refuses() -> None:
    mailer = RecordingMailer(ACCOUNT)
    with pytest.raises(SenderNotAllowed):
        mailer.send(b"From: a@example.org\r\n\r\nx\r\n", Envelope.of("a@example.org", ["b@example.org"]))
    with pytest.raises(UsageError, match="may send"):
        mailer.send(to="you@example.org", attach=[("big.bin", bytes(60_000_000))])
    assert mailer.messages == []


def test_refusals_are_those_of_a_server() -> None:
    mailer = RecordingMailer()
    mailer.refuse("Gone@example.org")
    mailer.refuse("busy@example.org", "450 4.2.1 busy")
    receipt = mailer.send(to="you@example.org, gone@example.org, busy@example.org", text="x")
    assert [each.state for each in receipt.outcomes] == [State.DELIVERED, State.FAILED, State.DEFERRED]
    assert receipt.outcomes[1].remedy
    assert mailer.messages[0].recipients == ("you@example.org",)
    with pytest.raises(Rejected):
        mailer.send(to="gone@example.org", text="x")
    mailer.clear()
    assert mailer.send(to="gone@example.org", text="x").delivered
    with pytest.raises(UsageError, match="is no refusal"):
        mailer.refuse("a@example.org", "250 OK")


def test_the_fixture_is_one(postbearer_mailer: RecordingMailer) -> None:
    postbearer_mailer.send(to="you@example.org", text="x")
    assert postbearer_mailer.messages[0].message.get_content() == "x\n"
    assert postbearer_mailer.check().ok


async def test_the_awaited_one_is_the_same() -> None:
    async with AsyncRecordingMailer() as mailer:
        await mailer.send(to="you@example.org", text="x")
        assert mailer.messages[0].recipients == ("you@example.org",)
