"""Messages built from a person's words, and messages other code has built."""

import email
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.policy import Policy, compat32, default

import pytest

from postbearer.errors import UsageError
from postbearer.message import Draft, author_of, envelope_of, to_bytes


def draft(**changes: object) -> Draft:
    return Draft(
        **{"sender": "alerts@example.org", "to": ["ops@example.org"], "subject": "Disk", "text": "full\n"}
        | changes
    )  # type: ignore[arg-type]


def test_a_plain_message_is_complete() -> None:
    message = email.message_from_bytes(to_bytes(draft().build()), policy=default)
    assert message["From"] == "alerts@example.org"
    assert message["To"] == "ops@example.org"
    assert message["Subject"] == "Disk"
    assert message["Date"]
    assert message["Message-ID"].endswith("@example.org>")
    assert message.get_content().splitlines() == ["full"]


def test_everything_built_is_seven_bit_crlf_and_reads_back() -> None:
    made = to_bytes(draft(subject="Plattenüberlauf", text="Größe: 5 €\n" * 40, html="<p>Größe</p>").build())
    assert made.isascii()
    assert b"\n" not in made.replace(b"\r\n", b"")
    message = email.message_from_bytes(made, policy=default)
    assert message["Subject"] == "Plattenüberlauf"
    assert message.get_body(("plain",)).get_content().splitlines() == ["Größe: 5 €"] * 40


def test_attachments_arrive_whole() -> None:
    report = bytes(range(256)) * 10
    message = email.message_from_bytes(
        to_bytes(draft(attachments=[("report.pdf", report)]).build()), policy=default
    )
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "report.pdf"
    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_content() == report


def test_bcc_is_in_the_envelope_and_not_in_the_message() -> None:
    hidden = draft(bcc=["boss@example.org"])
    assert hidden.envelope().addresses == ("ops@example.org", "boss@example.org")
    assert b"boss@" not in to_bytes(hidden.build())


def test_bcc_of_a_given_message_is_read_and_left_out_but_stays_with_the_caller() -> None:
    given = EmailMessage()
    given["From"], given["To"], given["Bcc"] = "a@example.org", "b@example.org", "c@example.org"
    assert envelope_of(given, author_of(given)).addresses == ("b@example.org", "c@example.org")
    assert b"c@example.org" not in to_bytes(given)
    assert given["Bcc"] == "c@example.org"


def test_messages_of_the_older_mime_classes_work_too() -> None:
    given = MIMEText("Größe", _charset="utf-8")
    given["From"], given["To"], given["Subject"] = "a@example.org", "Jürgen <b@example.org>", "Größe"
    made = to_bytes(given)
    assert made.isascii()
    assert email.message_from_bytes(made, policy=default)["Subject"] == "Größe"


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "x\r\nBcc: eve@example.net"},
        {"subject": "x\nBcc: eve@example.net"},
        {"sender": "a@example.org\r\nBcc: eve@example.net"},
        {"to": ["ops@example.org\nBcc: eve@example.net"]},
        {"headers": [("X-A\r\nBcc", "eve@example.net")]},
        {"headers": [("X-A", "1\r\nBcc: eve@example.net")]},
        {"headers": [("Bcc", "eve@example.net")]},
        {"to": ["ops"]},
        {"attachments": [("a\r\nX: y.txt", b"")]},
        {"to": ["o\x00ps@example.org"]},
    ],
)
def test_no_field_can_smuggle_in_another(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        to_bytes(draft(**change).build())


def test_l1_a_header_name_with_a_line_break_is_refused() -> None:
    message = EmailMessage()
    message._headers.append(("X\r\nBcc: a@example.org; X", "1"))
    with pytest.raises(UsageError):
        to_bytes(message)


def test_l2_a_raw_header_value_with_a_line_break_is_refused() -> None:
    message = EmailMessage()
    message._headers.append(("Subject", "x\nBcc: a@example.org"))
    with pytest.raises(UsageError):
        to_bytes(message)


def test_l2_also_inside_a_part() -> None:
    message = EmailMessage()
    message.set_content("x")
    message.add_attachment(b"y", maintype="a", subtype="b")
    next(message.iter_attachments())._headers.append(("X", "x\r\n\r\nFrom: eve@example.net"))
    with pytest.raises(UsageError):
        to_bytes(message)


def test_folded_values_are_no_injection() -> None:
    message = email.message_from_bytes(b"From: a@example.org\r\nX: one\r\n\ttwo\r\n\r\nbody\r\n")
    assert b"X: one" in to_bytes(message)


@pytest.mark.parametrize("policy", [default, compat32])
def test_addresses_beside_raw_utf8_are_read(policy: Policy) -> None:
    message = email.message_from_bytes("To: Jürgen <j@example.org>\n\nHello\n".encode(), policy=policy)
    assert envelope_of(message, "").addresses == ("j@example.org",)


def test_octets_of_another_charset_are_named_for_what_they_are() -> None:
    message = email.message_from_bytes("To: Jürgen <j@example.org>\n\nHello\n".encode("latin-1"))
    with pytest.raises(UsageError, match="an octet that is no UTF-8"):
        envelope_of(message, "")


def with_payload(payload: object) -> Message:
    message = Message()
    message.set_payload(payload)  # as it is, whatever it is
    return message


@pytest.mark.parametrize("payload", ["Grüße", "\udcff", [1, 2], {"text": "Hello"}])
def test_a_body_that_is_none_is_refused_with_the_way_to_make_one(payload: object) -> None:
    with pytest.raises(UsageError, match=r"cannot be written as octets.*set_content\(text\)"):
        to_bytes(with_payload(payload))
