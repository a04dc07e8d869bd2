"""Test a program that sends mail: the fixtures are there wherever postbearer is installed.

Run it by: pytest test_with_pytest.py
"""

from postbearer.account import Account
from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.errors import Rejected
from postbearer.testing import Faults, Sandbox, SmtpFault

MESSAGE = b"From: alerts@example.org\r\nSubject: hello\r\n\r\nIt works.\r\n"


def greet(mailer: Mailer, address: str) -> str:
    """The program under test."""
    try:
        return mailer.send(MESSAGE, Envelope.of("alerts@example.org", [address])).queue_id
    except Rejected as error:
        return error.receipt.refused[0].cause


def test_a_greeting_arrives(postbearer_account: Account, postbearer_sandbox: Sandbox) -> None:
    with Mailer(postbearer_account, state="memory") as mailer:
        queue_id = greet(mailer, "ada@example.org")
    (received,) = postbearer_sandbox.inbox.messages
    assert (received.id, received.recipients) == (queue_id, ("ada@example.org",))
    assert received.content == MESSAGE


def test_a_full_mailbox_is_told(postbearer_account: Account, postbearer_sandbox: Sandbox) -> None:
    full = SmtpFault(at="rcpt", reply="452 4.2.2 The mailbox is full", match="ada@")
    postbearer_sandbox.set_faults(Faults(smtp=[full]))
    with Mailer(postbearer_account, state="memory") as mailer:
        assert greet(mailer, "ada@example.org")
    assert postbearer_sandbox.inbox.messages == []
