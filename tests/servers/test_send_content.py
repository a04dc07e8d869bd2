"""What postbearer hands over arrives as it was: content byte for byte, envelope, and who got what."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from postbearer.account import Account
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import Rejected, UsageError
from postbearer.mailer import AsyncMailer
from postbearer.message import FileContent
from postbearer.outcome import State
from postbearer.state import StateFolder

from .authorization import AuthorizationServer
from .dovecot import Dovecot
from .postfix import Postfix
from .sending import ENVELOPE, MESSAGE, RECIPIENT, SENDER, Visit, Watched, account, visits
from .sink import Sink, from_first_header

pytestmark = pytest.mark.servers

HEADER = b"X-First: this line leads\r\nSubject: content\r\n\r\n"
CONTENTS = {
    "lines of dots": HEADER + b".\r\n..\r\n...\r\n.x\r\n\r\n.\r\n..end\r\n.\r\n",
    "a dot last": HEADER + b"text\r\n.",
    "lines of 998 octets": HEADER + (b"x" * 998 + b"\r\n") * 3 + b"." * 998 + b"\r\n",
    "an empty body": HEADER,
    "a header only": b"X-First: this line leads\r\nSubject: no body\r\n",
    "no last line end": HEADER + b"the end",
    "empty lines last": HEADER + b"text\r\n\r\n\r\n",
    "8-bit octets": HEADER + bytes(range(0x80, 0x100)) + b"\r\n",
    "a long header line": b"X-First: this line leads\r\nX-Long: " + b"y" * 990 + b"\r\n\r\nz\r\n",
    "fields a server might take away": b"X-First: 1\r\nReturn-Path: <r@example.org>\r\n"
    b"Content-Length: 3\r\n\r\nabc\r\n",
    "more than one block": HEADER + b"".join(b"%07d %s\r\n" % (n, b".-" * 30) for n in range(3000)),
}
# Neither CR nor LF but in pairs: Dovecot makes CRLF of a bare LF also in BINARYMIME content.
OCTETS = bytes(octet for octet in range(256) if octet != 0x0A)
BINARY = HEADER + OCTETS * 300 + b"\r\n.\r\n" + b"l" * 5000 + b"\r\n.\r\nend"


@pytest.mark.parametrize("kind", CONTENTS)
async def test_content_arrives_byte_for_byte(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder, kind: str
) -> None:
    content = CONTENTS[kind]
    async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
        await mailer.send(content, ENVELOPE)
    [message] = sink.wait_for(1)
    # Postfix completes the last line (RFC 5321 2.3.8 knows no other), Dovecot leaves chunks alone.
    completed = isinstance(server, Postfix) and not content.endswith(b"\r\n")
    assert from_first_header(message.content, content) == content + (b"\r\n" if completed else b"")


@pytest.mark.parametrize("port", ["data_port", "lockstep_port"])
@pytest.mark.parametrize("kind", CONTENTS)
async def test_content_arrives_byte_for_byte_by_data(
    mail_servers: Postfix,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    kind: str,
    port: str,
) -> None:
    content = CONTENTS[kind]
    async with AsyncMailer(modest(mail_servers, authorization_server, port), state=state) as mailer:
        await mailer.send(content, ENVELOPE)
    [message] = sink.wait_for(1)
    ended = content if content.endswith(b"\r\n") else content + b"\r\n"
    assert from_first_header(message.content, content) == ended
    assert visits(mail_servers, 1) == [Visit(logged_in=1, messages=1)]
    assert " data=1 " in mail_servers.log.text()


def modest(mail_servers: Postfix, authorization: AuthorizationServer, port: str) -> Account:
    """An account at a port of Postfix that offers less."""
    return account(mail_servers, authorization, servers=[f"localhost:{getattr(mail_servers, port)}"])


async def test_many_messages_over_one_connection_do_not_mix(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
        for content in CONTENTS.values():
            await mailer.send(b"X-Lead: 1\r\n" + content, ENVELOPE)
    arrived = {
        from_first_header(message.content, b"X-Lead: 1\r\n").rstrip(b"\r\n")
        for message in sink.wait_for(len(CONTENTS))
    }
    assert arrived == {(b"X-Lead: 1\r\n" + content).rstrip(b"\r\n") for content in CONTENTS.values()}
    assert visits(server, 1) == [Visit(logged_in=1, messages=len(CONTENTS))]


async def test_binary_content_through_a_server_that_takes_it(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    alerts = account(dovecot_submission, authorization_server)
    async with AsyncMailer(alerts, state=state) as mailer:
        await mailer.send(BINARY, ENVELOPE, binary=True)
    [message] = sink.wait_for(1)
    assert (message.verb, message.parameters["BODY"]) == ("BDAT", "BINARYMIME")
    assert from_first_header(message.content, BINARY) == BINARY


async def test_binary_content_for_a_server_that_does_not_take_it(
    mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    async with AsyncMailer(account(mail_servers, authorization_server), state=state) as mailer:
        await mailer.send(BINARY, ENVELOPE, binary=True)
    [message] = sink.wait_for(1)
    assert message.parameters.get("BODY") != "BINARYMIME"
    read = message_from_bytes(message.content)
    assert read["Content-Transfer-Encoding"] == "quoted-printable"
    assert read.get_payload(decode=True) == BINARY.partition(b"\r\n\r\n")[2]


LONG = HEADER + "grün, ".encode() * 900 + b"\r\n.\r\n" + b"x" * 5000 + b"\r\n"


async def test_lines_that_are_too_long_arrive_as_the_same_text(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
        await mailer.send(LONG, ENVELOPE)
    [message] = sink.wait_for(1)
    assert message.parameters.get("BODY") != "BINARYMIME"
    assert max(map(len, message.content.split(b"\r\n"))) <= 998
    assert message_from_bytes(message.content).get_payload(decode=True) == LONG.partition(b"\r\n\r\n")[2]


async def test_binary_content_goes_out_only_when_that_was_said(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer, state: StateFolder
) -> None:
    before = authorization_server.token_requests()
    alerts = account(dovecot_submission, authorization_server)
    async with AsyncMailer(alerts, state=state) as mailer:
        with pytest.raises(UsageError, match="bare CR or LF, or a NUL"):
            await mailer.send(BINARY, ENVELOPE)
    assert authorization_server.token_requests() == before


async def test_a_message_of_the_standard_library(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    message = EmailMessage()
    message["Subject"] = "grün"
    message["From"], message["To"], message["Bcc"] = SENDER, RECIPIENT, "hidden@example.org"
    message.set_content("Grüße\n.\n")
    async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
        receipt = await mailer.send(message)
    arrived = sink.wait_for(1)[0]
    assert set(arrived.addresses) == {RECIPIENT, "hidden@example.org"}
    assert b"hidden" not in arrived.content
    assert b"\r\nDate: " in arrived.content
    assert f"Message-ID: {receipt.message_id}\r\n".encode() in arrived.content
    read = message_from_bytes(arrived.content, policy=policy.default)
    assert (read["Subject"], read.get_content()) == ("grün", "Grüße\n.\n")


# --- large ----------------------------------------------------------------------------------------

LINE = b".%06d " + b"x" * 70 + b"\r\n"
SEND_A_FILE = """
import resource, sys
from postbearer import Account, Envelope, Mailer, Secret, StaticToken
from postbearer.message import FileContent
server, ca_file, token, path, small, sender, recipient = sys.argv[1:]
account = Account.smtp(sender, grant=StaticToken(Secret(token)), servers=[server], ca_file=ca_file)
with Mailer(account, state="memory") as mailer:
    mailer.send(FileContent(small), Envelope.of(sender, [recipient]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mailer.send(FileContent(path), Envelope.of(sender, [recipient]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_file_of_20_megabytes_is_never_held_whole(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, tmp_path: Path
) -> None:
    large = HEADER + b"".join(LINE % number for number in range(260_000))
    assert len(large) > 20_000_000
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "small").write_bytes(HEADER)
    place, token = f"{server.host}:{server.submission_port}", authorization_server.access_token(SENDER)
    argv = [sys.executable, "-c", SEND_A_FILE, place, str(server.ca_file), token]
    argv += [str(tmp_path / "large"), str(tmp_path / "small"), SENDER, RECIPIENT]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < 8_000, "kB more than for a small message"
    [message] = [each for each in sink.wait_for(2) if len(each.content) > 1_000_000]
    assert from_first_header(message.content, large) == large
    assert visits(server, 1) == [Visit(logged_in=1, messages=2)]


# --- the envelope ---------------------------------------------------------------------------------


async def test_wishes_for_delivery_reports_arrive(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    recipients = (
        Recipient(RECIPIENT, notify=("SUCCESS", "FAILURE"), orcpt="rfc822;First+tag@example.org"),
        Recipient("b@example.org", notify=("NEVER",)),
        Recipient("c@example.org"),
    )
    envelope = Envelope(SENDER, recipients, ret="HDRS", envid="id+7=42")
    async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
        await mailer.send(MESSAGE, envelope)
    [message] = sink.wait_for(1)
    assert {"RET": "HDRS", "ENVID": "id+2B7+3D42"}.items() <= message.parameters.items()
    asked = {recipient.address: recipient.parameters for recipient in message.recipients}
    assert asked[RECIPIENT] == {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;First+2Btag@example.org"}
    assert asked["b@example.org"]["NOTIFY"] == "NEVER"
    assert "NOTIFY" not in asked["c@example.org"]


async def test_200_recipients_in_one_message(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    everyone = [f"r{number}@example.org" for number in range(200)]
    async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
        receipt = await mailer.send(MESSAGE, Envelope.of(SENDER, everyone))
    assert [outcome.recipient for outcome in receipt.delivered] == everyone
    [message] = sink.wait_for(1)
    assert sorted(message.addresses) == sorted(everyone)
    assert visits(server, 1) == [Visit(logged_in=1, messages=1)]


@pytest.mark.parametrize("port", ["submission_port", "data_port", "lockstep_port"])
async def test_one_outcome_for_each_recipient(
    mail_servers: Postfix,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    port: str,
) -> None:
    everyone = ["b@example.org", "unknown@example.org", RECIPIENT, "later@example.org"]
    async with AsyncMailer(modest(mail_servers, authorization_server, port), state=state) as mailer:
        receipt = await mailer.send(MESSAGE, Envelope.of(SENDER, everyone))
    told = [(each.recipient, each.state, each.reply.code if each.reply else 0) for each in receipt.outcomes]
    assert told == [
        ("b@example.org", State.DELIVERED, 250),
        ("unknown@example.org", State.FAILED, 550),
        (RECIPIENT, State.DELIVERED, 250),
        ("later@example.org", State.DEFERRED, 450),
    ]
    assert visits(mail_servers, 1) == [Visit(logged_in=1, messages=1)]
    [message] = sink.wait_for(1)
    assert sorted(message.addresses) == [RECIPIENT, "b@example.org"]


@pytest.mark.parametrize("port", ["submission_port", "data_port", "lockstep_port"])
async def test_when_nobody_is_accepted_nothing_is_sent(
    mail_servers: Postfix,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    port: str,
) -> None:
    async with AsyncMailer(modest(mail_servers, authorization_server, port), state=state) as mailer:
        with pytest.raises(Rejected, match=r"unknown@example\.org") as rejected:
            await mailer.send(MESSAGE, Envelope.of(SENDER, list(mail_servers.refused)))
        await mailer.send(MESSAGE, ENVELOPE)  # and the connection is as good as before
    assert [str(outcome.state) for outcome in rejected.value.receipt.outcomes] == ["failed", "deferred"]
    [message] = sink.wait_for(1)
    assert message.addresses == (RECIPIENT,)
    assert visits(mail_servers, 1) == [Visit(logged_in=1, messages=2)]


# --- addresses that are not ASCII -----------------------------------------------------------------

UTF8 = "X-First: grün\r\nSubject: 主题\r\n\r\nüber\r\n".encode()
FOREIGN = Envelope.of("jürgen@example.org", ["用户@例え.example.org", RECIPIENT])


async def test_utf8_addresses_through_a_server_that_takes_them(
    mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    alerts = account(mail_servers, authorization_server, sender="allow")
    async with AsyncMailer(alerts, state=state) as mailer:
        await mailer.send(UTF8, FOREIGN)
    messages = sink.wait_for(1)
    while sum(len(message.recipients) for message in messages) < 2:  # Postfix may split by domain
        messages = sink.wait_for(len(messages) + 1)
    assert {address for message in messages for address in message.addresses} == set(FOREIGN.addresses)
    for message in messages:
        assert message.sender == "jürgen@example.org"
        assert "SMTPUTF8" in message.parameters
        assert from_first_header(message.content, UTF8) == UTF8


async def test_a_utf8_sender_for_a_server_that_does_not_take_it(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    alerts = account(dovecot_submission, authorization_server, sender="allow")
    async with AsyncMailer(alerts, state=state) as mailer:
        with pytest.raises(Rejected, match="sender's address is not ASCII") as rejected:
            await mailer.send(UTF8, FOREIGN)
    for outcome in rejected.value.receipt.outcomes:
        assert outcome.state is State.FAILED
        assert outcome.reply is None
        assert isinstance(outcome.error, UsageError)
        assert outcome.error.status == "5.6.7"
    assert sink.messages() == []


async def test_a_utf8_recipient_does_not_keep_the_others_from_their_mail(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    """A domain has an ASCII form, a local part has none (RFC 6531 3.2)."""
    envelope = Envelope.of(SENDER, ["用户@example.org", "b@例え.example.org", RECIPIENT])
    async with AsyncMailer(account(dovecot_submission, authorization_server), state=state) as mailer:
        receipt = await mailer.send(MESSAGE, envelope)
    [refused] = receipt.refused
    assert (refused.recipient, refused.state) == ("用户@example.org", State.FAILED)
    assert "does not offer SMTPUTF8" in str(refused.error)
    [message] = sink.wait_for(1)
    assert message.addresses == ("b@xn--r8jz45g.example.org", RECIPIENT)


async def test_a_utf8_header_for_a_server_that_does_not_take_it(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    async with AsyncMailer(account(dovecot_submission, authorization_server), state=state) as mailer:
        await mailer.send(UTF8, replace(ENVELOPE, smtputf8=True))
    [message] = sink.wait_for(1)
    assert "SMTPUTF8" not in message.parameters
    assert message.content.partition(b"\r\n\r\n")[0].isascii()
    read = message_from_bytes(message.content, policy=policy.default)
    assert (read["X-First"], read["Subject"]) == ("grün", "主题")


async def test_a_file_that_stands_in_the_middle_is_sent_from_there(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder, tmp_path: Path
) -> None:
    (tmp_path / "mail").write_bytes(b"not part of it\r\n" + MESSAGE)
    with (tmp_path / "mail").open("rb") as file:
        file.seek(16)
        async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
            await mailer.send(FileContent(file), ENVELOPE)
    [message] = sink.wait_for(1)
    assert from_first_header(message.content, MESSAGE) == MESSAGE
    assert b"not part" not in message.content
