"""What leaves as it is, what is completed, and what never leaves at all."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pytest

from postbearer.blocking import Mailer
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import SenderNotAllowed, UsageError
from postbearer.events import Event, Warned
from postbearer.mailer import AsyncMailer
from postbearer.message import FileContent, SenderRule
from postbearer.settings import Limits
from postbearer.testing import Sandbox
from postbearer.tokens import token_source
from support.sandboxed import RAW, TO_YOU, message

Rule = Literal["force", "check", "allow"]


class Listening:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def notice(self, event: Event) -> None:
        self.events.append(event)

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]


def mailer(
    sandbox: Sandbox, rule: Rule = "force", *aliases: str, listening: Listening | None = None, **changes: Any
) -> AsyncMailer:
    account = sandbox.account()
    account = replace(account, sender=SenderRule(account.address, rule, aliases), **changes)
    return AsyncMailer(account, state="memory", observer=listening)


def header(sandbox: Sandbox) -> Message:
    return message_from_bytes(sandbox.inbox.messages[-1].content, policy=default)


async def test_bytes_arrive_octet_for_octet(sandbox: Sandbox) -> None:
    listening = Listening()
    async with mailer(sandbox, listening=listening) as sending:
        receipt = await sending.send(RAW, TO_YOU)
    (received,) = sandbox.inbox.messages
    assert received.content == RAW
    assert receipt.message_id == "<one@example.org>"
    assert listening.warnings == []


async def test_bytes_without_date_or_message_id_are_warned_about_and_not_changed(sandbox: Sandbox) -> None:
    content = b"From: alerts@example.org\r\nSubject: hi\r\n\r\nbye\r\n"
    listening = Listening()
    async with mailer(sandbox, listening=listening) as sending:
        await sending.send(content, TO_YOU)
    assert sandbox.inbox.messages[0].content == content
    (warning,) = listening.warnings
    assert "no Date" in warning
    assert "no Message-ID" in warning


async def test_a_built_message_is_completed_and_the_callers_object_is_not(sandbox: Sandbox) -> None:
    built = message()
    async with mailer(sandbox) as sending:
        receipt = await sending.send(built)
    arrived = header(sandbox)
    assert arrived["Date"]
    assert arrived["Message-ID"] == receipt.message_id
    assert receipt.message_id.endswith("@example.org>")
    assert built["Date"] is built["Message-ID"] is None


async def test_what_a_built_message_has_is_kept(sandbox: Sandbox) -> None:
    date = "Thu, 01 Jan 2026 00:00:00 +0000"
    async with mailer(sandbox) as sending:
        await sending.send(message(Date=date, Message_ID="<own@example.org>", Subject="Größe"))
    arrived = header(sandbox)
    assert (arrived["Date"], arrived["Message-ID"]) == (date, "<own@example.org>")
    assert arrived["Subject"] == "Größe"
    assert len(arrived.get_all("Date", [])) == len(arrived.get_all("Message-ID", [])) == 1


async def test_a_date_that_is_none_is_replaced(sandbox: Sandbox) -> None:
    async with mailer(sandbox) as sending:
        await sending.send(message(Date="next week"))
    arrived = message_from_bytes(sandbox.inbox.messages[-1].content, policy=default)
    (date,) = arrived.get_all("Date", [])
    assert date.datetime is not None


async def test_bcc_gets_the_message_and_is_not_in_it(sandbox: Sandbox) -> None:
    built = message(Cc="Copy <copy@example.org>", Bcc="boss@example.org")
    async with mailer(sandbox) as sending:
        receipt = await sending.send(built)
    (received,) = sandbox.inbox.messages
    assert received.recipients == ("you@example.org", "copy@example.org", "boss@example.org")
    assert b"boss" not in received.content
    assert b"Bcc" not in received.content
    assert len(receipt.outcomes) == 3
    assert built["Bcc"] == "boss@example.org"


# The sender rule ---------------------------------------------------------------------------------


async def test_force_sends_as_the_account_and_answers_go_to_the_author(sandbox: Sandbox) -> None:
    async with mailer(sandbox) as sending:
        await sending.send(message(From="Ada <ada@example.net>", Sender="x@example.net"))
    (received,) = sandbox.inbox.messages
    arrived = header(sandbox)
    assert received.reverse_path == "alerts@example.org"
    assert arrived["From"] == "Ada <alerts@example.org>"
    assert arrived["Reply-To"] == "Ada <ada@example.net>"
    assert arrived["Sender"] is None


async def test_force_without_from_sends_as_the_account(sandbox: Sandbox) -> None:
    async with mailer(sandbox) as sending:
        await sending.send(message(From=""))
    assert header(sandbox)["From"] == "alerts@example.org"


@pytest.mark.parametrize(
    ("rule", "aliases"), [("check", ()), ("allow", ("alias@example.org",)), ("check", ("ada@example.net",))]
)
@pytest.mark.parametrize("field", ["From", "Sender"])
async def test_a_sender_that_is_not_allowed_is_refused_here(
    sandbox: Sandbox, rule: Rule, aliases: tuple[str, ...], field: str
) -> None:
    async with mailer(sandbox, rule, *aliases) as sending:
        with pytest.raises(SenderNotAllowed, match=r"ada@example\.net"):
            await sending.send(message(**{field: "ada@example.net"}))
    assert (sandbox.inbox.messages, sandbox.mail.submitting) == ([], 0)


@pytest.mark.parametrize("aliases", [(), ("ada@example.net",), ("ADA@Example.NET",)])
async def test_an_allowed_sender_leaves_unchanged(sandbox: Sandbox, aliases: tuple[str, ...]) -> None:
    async with mailer(sandbox, "allow", *aliases) as sending:
        await sending.send(message(From="Ada <ada@example.net>"))
    assert sandbox.inbox.messages[0].reverse_path == "ada@example.net"
    assert header(sandbox)["From"] == "Ada <ada@example.net>"


@pytest.mark.parametrize("rule", ["force", "check"])
@pytest.mark.parametrize(
    "content",
    [
        RAW.replace(b"From: alerts@", b"From: boss@"),
        RAW.replace(b"From:", b"Sender: boss@example.org\r\nFrom:"),
        RAW.replace(b"From:", b"From: boss@example.org\r\nFrom:"),
        RAW.replace(b"From: alerts@example.org", b'From: "alerts@example.org" <boss@example.org>'),
        RAW.replace(b"From: alerts@example.org", b"From: alerts@example.org)boss@example.org"),
        RAW.replace(b"From: alerts@", b"fRoM : boss@"),
        RAW.replace(b"From:", b'From: "CEO" <boss@example.org>:'),
        RAW.replace(b"From: alerts@example.org", b"From: boss@example.org: alerts@example.org;"),
        RAW.replace(b"From:", b"Resent-From: boss@example.org\r\nFrom:"),
        RAW.replace(b"From:", b"From: boss@example.org:;\r\nFrom:"),
    ],
)
async def test_a_foreign_sender_in_bytes_is_refused_and_never_changed(
    sandbox: Sandbox, rule: Rule, content: bytes
) -> None:
    before = sandbox.token_requests
    async with mailer(sandbox, rule) as sending:
        with pytest.raises(UsageError):
            await sending.send(content, TO_YOU)
    assert (sandbox.inbox.messages, sandbox.token_requests) == ([], before)


@pytest.mark.parametrize(
    "author",
    [
        '"CEO" <boss@example.org>: alerts@example.org',
        "boss@example.org: alerts@example.org;",
        "boss@example.org:;",
    ],
)
async def test_no_program_finds_a_foreign_author_in_a_message(sandbox: Sandbox, author: str) -> None:
    given = message_from_bytes(RAW.replace(b"From: alerts@example.org", f"From: {author}".encode()))
    async with mailer(sandbox, "check") as sending:
        with pytest.raises(UsageError):
            await sending.send(given, TO_YOU)
    assert sandbox.inbox.messages == []


@pytest.mark.parametrize("rule", ["force", "allow"])
@pytest.mark.parametrize("author", ["root (Cron Daemon)", "[ALERT] host <app@example.net>", "Postmaster <>"])
async def test_an_odd_author_stops_no_message_that_does_not_depend_on_it(
    sandbox: Sandbox, rule: Rule, author: str
) -> None:
    async with mailer(sandbox, rule) as sending:
        await sending.send(message_from_bytes(RAW.replace(b"alerts@example.org", author.encode(), 1)), TO_YOU)
        await sending.send(message_from_bytes(RAW.replace(b"alerts@example.org", author.encode(), 1)))
    assert [each.reverse_path for each in sandbox.inbox.messages] == ["alerts@example.org"] * 2


async def test_bytes_lose_bcc_and_get_an_author_and_an_end_of_their_header(sandbox: Sandbox) -> None:
    given = b"Subject: x\r\nBcc: c@example.org\r\nDate: x\r\nMessage-ID: <1@x>\r\ntext\r\n"
    async with mailer(sandbox, "allow") as sending:
        await sending.send(given, TO_YOU)
    (arrived,) = sandbox.inbox.messages
    assert arrived.content == (
        b"From: alerts@example.org\r\nSubject: x\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\ntext\r\n"
    )


@pytest.mark.parametrize("given", [RAW, message()], ids=["bytes", "message"])
async def test_a_foreign_reverse_path_is_refused(sandbox: Sandbox, given: bytes | EmailMessage) -> None:
    async with mailer(sandbox) as sending:
        with pytest.raises(SenderNotAllowed, match=r"boss@example\.org"):
            await sending.send(given, Envelope.of("boss@example.org", ["you@example.org"]))
    assert sandbox.inbox.messages == []


# What never leaves -------------------------------------------------------------------------------


async def test_bytes_need_an_envelope(sandbox: Sandbox) -> None:
    async with mailer(sandbox) as sending:
        with pytest.raises(UsageError, match=r"Bytes need an envelope.*Envelope\.of"):
            await sending.send(RAW)


@pytest.mark.parametrize(
    "message",
    ["Subject: Hello", None, bytearray(RAW), BytesIO(RAW), [RAW], iter([RAW]), {"Subject": "Hello"}],
)
async def test_a_text_is_no_message(sandbox: Sandbox, message: Any) -> None:
    async with mailer(sandbox) as sending:
        for envelope in (None, Envelope.of("alerts@example.org", ["you@example.org"])):
            with pytest.raises(UsageError, match="Make an EmailMessage"):
                await sending.send(message, envelope)


@pytest.mark.parametrize("envelope", [["you@example.org"], "you@example.org", Recipient("you@example.org")])
async def test_a_list_of_addresses_is_no_envelope(sandbox: Sandbox, envelope: Any) -> None:
    async with mailer(sandbox) as sending:
        for given in (RAW, message()):
            with pytest.raises(UsageError, match=r"An envelope is.*Give Envelope\.of"):
                await sending.send(given, envelope)


@pytest.mark.parametrize("state", ["Memory", "/tmp/state", Path("/tmp/state")])
def test_state_is_a_folder_or_memory(sandbox: Sandbox, state: Any) -> None:
    for make in (Mailer, AsyncMailer, token_source):
        with pytest.raises(UsageError, match=r'Give StateFolder\(path\), or "memory"'):
            make(sandbox.account(), state=state)


def test_the_name_of_an_account_is_no_account() -> None:
    named: Any = "alerts"
    with pytest.raises(UsageError, match=r"for an Account, not for 'alerts'.*from_config\(name\)"):
        Mailer(named)


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"a\r", b"\0\r\n"])
async def test_what_smtp_could_not_carry_goes_as_binary_or_not_at_all(sandbox: Sandbox, body: bytes) -> None:
    content = RAW + b"\r\n" + body
    async with mailer(sandbox) as sending:
        with pytest.raises(UsageError, match="binary=True"):
            await sending.send(content, TO_YOU)
        assert sandbox.inbox.messages == []
        await sending.send(content, TO_YOU, binary=True)
    (received,) = sandbox.inbox.messages
    assert received.content == content
    assert received.body == "BINARYMIME"


@pytest.mark.parametrize(("body", "binary"), [(b"a\n\0b", True), (b"x" * 3000 + b"\r\n", False)])
async def test_what_the_server_does_not_take_is_encoded(body: bytes, binary: bool) -> None:
    with_google = Sandbox("google")
    async with with_google as google, AsyncMailer(google.account(), state="memory") as sending:
        await sending.send(RAW.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, TO_YOU, binary=binary)
    (received,) = google.inbox.messages
    assert max(map(len, received.content.split(b"\r\n"))) <= 998
    assert received.body != "BINARYMIME"
    assert message_from_bytes(received.content).get_payload(decode=True) == body


@pytest.mark.parametrize("given", [RAW, message(Subject="x" * 300)], ids=["bytes", "message"])
async def test_a_message_too_large_for_the_account_is_refused_here(
    sandbox: Sandbox, given: bytes | EmailMessage
) -> None:
    before = sandbox.token_requests
    async with mailer(sandbox, limits=Limits(size=100)) as sending:
        with pytest.raises(UsageError, match=r"octets.*may send 100.*limits\.size"):
            await sending.send(given, TO_YOU)
    assert sandbox.token_requests == before


async def test_l5_a_file_that_changes_is_never_completed(sandbox: Sandbox, tmp_path: Any) -> None:
    path = tmp_path / "message.eml"
    path.write_bytes(RAW)
    content = FileContent(path)
    path.write_bytes(RAW.replace(b"bye", b"boo"))
    async with mailer(sandbox) as sending:
        with pytest.raises(UsageError, match="changed while"):
            await sending.send(content, TO_YOU)
        assert sandbox.inbox.messages == []
        await sending.send(FileContent(path), TO_YOU)
    assert sandbox.inbox.messages[0].content.startswith(RAW[:-3] + b"boo")


# L1 to L4, L6: the envelope and the header --------------------------------------------------------


def injected_name() -> Any:
    built: Any = message()
    built._headers.append(("X\r\nBcc: evil@example.org; X", "1"))
    return built


def injected_value() -> Any:
    built: Any = message()
    built._headers.append(("Subject", "x\nBcc: evil@example.org"))
    return built


def injected_part() -> EmailMessage:
    built = message()
    built.add_attachment(b"x", maintype="text", subtype="plain", filename="a.txt")
    part: Any = next(built.iter_attachments())
    part._headers.append(("X-Note", "x\r\n\r\nbody"))
    return built


def misread_address() -> Message:
    built = Message()
    built["From"] = "alerts@example.org"
    built["To"] = "alice@example.org)bob@example.com"
    return built


@pytest.mark.parametrize("make", [injected_name, injected_value, injected_part, misread_address])
async def test_l1_l2_l3_nothing_is_smuggled_into_a_header(sandbox: Sandbox, make: Any) -> None:
    async with mailer(sandbox) as sending:
        with pytest.raises(UsageError):
            await sending.send(make())
    assert sandbox.inbox.messages == []


@pytest.mark.parametrize("control", [*map(chr, range(0x20)), "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
def test_l4_no_control_character_gets_into_an_envelope(control: str) -> None:
    for bad in (f"a{control}b@example.org", f"a@exam{control}ple.org"):
        with pytest.raises(ValueError, match="control character"):
            Envelope.of("alerts@example.org", [bad])
        with pytest.raises(ValueError, match="control character"):
            Envelope.of(bad, ["you@example.org"])


@pytest.mark.parametrize(
    "nobody", ["", "you", "you@", "@example.org", "a b@example.org", "<you@example.org>"]
)
def test_l6_what_is_no_address_is_no_recipient(nobody: str) -> None:
    with pytest.raises(UsageError):
        Envelope.of("alerts@example.org", [nobody])


def test_l6_a_string_is_no_list_and_nobody_is_no_recipient() -> None:
    with pytest.raises(UsageError, match="not one string"):
        Envelope.of("alerts@example.org", "you@example.org")
    with pytest.raises(UsageError, match="at least one recipient"):
        Envelope.of("alerts@example.org", [])


async def test_l6_a_message_for_nobody_is_refused(sandbox: Sandbox) -> None:
    async with mailer(sandbox) as sending:
        with pytest.raises(UsageError, match="at least one recipient"):
            await sending.send(message(To=""))


async def test_l6_a_recipient_given_twice_gets_one_message(sandbox: Sandbox) -> None:
    async with mailer(sandbox) as sending:
        receipt = await sending.send(message(Cc="you@example.org", Bcc="You <you@example.org>"))
    assert len(receipt.outcomes) == 1
    assert sandbox.inbox.messages[0].recipients == ("you@example.org",)


async def test_l6_a_thousand_and_one_recipients_are_one_message_or_several(sandbox: Sandbox) -> None:
    people = [f"person{number}@example.org" for number in range(1001)]
    async with mailer(sandbox) as sending:
        receipt = await sending.send(RAW, Envelope.of("alerts@example.org", people))
    assert [outcome.recipient for outcome in receipt.delivered] == people
    reached = [each for received in sandbox.inbox.messages for each in received.recipients]
    assert reached == people
