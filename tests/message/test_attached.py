"""Attachments of the type ``message/…`` arrive as what they are, or are refused with words."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from postbearer.errors import UsageError
from postbearer.message import Draft, to_bytes

ASCII = b"From: a@example.org\r\nSubject: inner\r\n\r\nhello\r\n"
UTF8 = "From: a@example.org\r\nSubject: Grüße\r\n\r\nhello\r\n".encode()
LATIN = "From: a@example.org\r\nSubject: Grüße\r\n\r\nhello\r\n".encode("latin-1")
STATUS = b"Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; you@example.org\r\n"
NO_HEADER = b"the second half of a message\r\n"


def arrived(octets: bytes, subtype: str) -> EmailMessage:
    """The part as whoever gets it reads it."""
    message = EmailMessage()
    message["From"], message["To"] = "a@example.org", "you@example.org"
    message.set_content("see below")
    message.add_attachment(octets, maintype="message", subtype=subtype)
    read = message_from_bytes(to_bytes(message), policy=policy.SMTP)
    assert isinstance(read, EmailMessage)
    part = list(read.walk())[2]
    assert isinstance(part, EmailMessage)
    return part


@pytest.mark.parametrize("subtype", ["partial", "external-body", "disposition-notification", "http"])
@pytest.mark.parametrize("octets", [ASCII, STATUS, NO_HEADER, b""])
def test_what_may_not_be_encoded_is_not(octets: bytes, subtype: str) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.org", "you@example.org"
    message.set_content("see below")
    message.add_attachment(octets, maintype="message", subtype=subtype)
    whole = to_bytes(message)
    assert b"base64" not in whole
    assert octets.rstrip() in whole


def test_a_report_is_one() -> None:
    part = arrived(STATUS, "delivery-status")
    assert "content-transfer-encoding" not in part
    blocks = part.get_payload()
    assert isinstance(blocks, list)
    assert [block.as_bytes().split(b":")[0] for block in blocks if block.keys()] == [
        b"Reporting-MTA",
        b"Final-Recipient",
    ]


@pytest.mark.parametrize("subtype", ["partial", "external-body", "delivery-status", "feedback-report"])
@pytest.mark.parametrize("octets", [UTF8, b"x" * 999, b"a\0b"])
def test_what_such_a_type_cannot_carry_is_refused_with_words(octets: bytes, subtype: str) -> None:
    with pytest.raises(UsageError, match=f"message/{subtype}") as caught:
        arrived(octets, subtype)
    assert "application/octet-stream" in caught.value.hint


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (ASCII, "message/rfc822"),
        (UTF8, "application/octet-stream"),
        (LATIN, "application/octet-stream"),
        (b"\0\xff", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_a_message_is_carried_as_it_is(octets: bytes, kind: str) -> None:
    draft = Draft(
        "a@example.org", ["you@example.org"], subject="s", text="t", attachments=[("x.eml", octets)]
    )
    read = message_from_bytes(draft.octets(), policy=policy.SMTP)
    for part in (list(read.walk())[2], arrived(octets, "rfc822")):
        assert part.get_content_type() == kind
        if kind == "message/rfc822":
            (inner,) = part.get_payload()  # type: ignore[misc]
            assert inner.as_bytes(policy=policy.SMTP) == octets  # type: ignore[union-attr]
        else:
            assert part.get_payload(decode=True) == octets
    assert list(read.walk())[2].get_filename() == "x.eml"
