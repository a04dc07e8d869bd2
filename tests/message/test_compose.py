"""Messages built from a person's words, and messages other code has built."""

import email
import re
from collections.abc import Sequence
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.policy import SMTPUTF8, Policy, compat32, default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import UsageError
from postbearer.message import (
    BytesContent,
    Draft,
    Header,
    Mailbox,
    author_of,
    envelope_of,
    parse_mailboxes,
    to_bytes,
)


def draft(**changes: object) -> Draft:
    return Draft(
        **{"sender": "alerts@example.org", "to": ["ops@example.org"], "subject": "Disk", "text": "full\n"}
        | changes
    )  # type: ignore[arg-type]


def test_a_plain_message_is_complete() -> None:
    message = email.message_from_bytes(draft().octets(), policy=default)
    assert message["From"] == "alerts@example.org"
    assert message["To"] == "ops@example.org"
    assert message["Subject"] == "Disk"
    assert message["Date"]
    assert message["Message-ID"].endswith("@example.org>")
    assert message.get_content().splitlines() == ["full"]


def test_everything_built_is_seven_bit_crlf_and_reads_back() -> None:
    made = draft(subject="Plattenüberlauf", text="Größe: 5 €\n" * 40, html="<p>Größe</p>").octets()
    assert made.isascii()
    assert b"\n" not in made.replace(b"\r\n", b"")
    message = email.message_from_bytes(made, policy=default)
    assert message["Subject"] == "Plattenüberlauf"
    assert message.get_body(("plain",)).get_content().splitlines() == ["Größe: 5 €"] * 40


def test_attachments_arrive_whole() -> None:
    report = bytes(range(256)) * 10
    message = email.message_from_bytes(draft(attachments=[("report.pdf", report)]).octets(), policy=default)
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "report.pdf"
    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_content() == report


def test_bcc_is_in_the_envelope_and_not_in_the_message() -> None:
    hidden = draft(bcc=["boss@example.org"])
    assert hidden.envelope().addresses == ("ops@example.org", "boss@example.org")
    assert b"boss@" not in hidden.octets()


def test_return_path_of_a_given_message_does_not_leave_but_stays_with_the_caller() -> None:
    given = email.message_from_bytes(b"Return-Path: <x@example.org>\r\nFrom: a@example.org\r\n\r\nhi\r\n")
    assert b"Return-Path" not in to_bytes(given)
    assert given["Return-Path"] == "<x@example.org>"


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
        draft(**change).octets()


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


def test_octets_that_a_parser_kept_leave_as_the_same_octets() -> None:
    made = to_bytes(with_payload("\udcffx"))
    assert made.isascii()
    assert email.message_from_bytes(made).get_payload(decode=True) == b"\xffx"


@pytest.mark.parametrize("payload", ["Grüße", [1, 2], {"text": "Hello"}])
def test_a_body_that_is_none_is_refused_with_the_way_to_make_one(payload: object) -> None:
    with pytest.raises(UsageError, match=r"cannot be written as octets.*set_content\(text\)"):
        to_bytes(with_payload(payload))


LONG_NAME = "Doe, John Jacob Jingleheimer Schmidt of the Department of Long Names and Even Longer Titles Inc"
BOXES = [
    f'"{LONG_NAME}" <ops@example.org>',
    '"a b"@example.org',
    f'"{LONG_NAME}" <"a b"@example.org>',
    "Jörg Müller <j@bücher.example>",
    f'"Müller, {LONG_NAME}" <m@example.org>',
    '"q\\"uote" <q@example.org>',
    "=?utf-8?q?J=C3=B6rg?= <k@example.org>",
    "plain@example.org",
]


def same(boxes: Sequence[Mailbox]) -> list[tuple[str, str]]:
    """Names decoded, and addresses with A-labels."""
    found = []
    for box in boxes:
        text = re.sub(r"\\(.)", r"\1", box.display.removeprefix('"').removesuffix('"'))
        name = str(make_header(decode_header(text)))
        found.append((name, box.address.replace("bücher", "xn--bcher-kva")))
    return found


@given(
    st.lists(st.sampled_from(BOXES), min_size=1, max_size=8), st.sampled_from(["draft", "default", "smtp"])
)
def test_an_address_field_names_the_same_people_when_it_leaves(boxes: list[str], way: str) -> None:
    if way == "draft":
        made = draft(to=boxes, cc=boxes[:1], reply_to=boxes).octets()
    else:
        given = EmailMessage(policy=default if way == "default" else SMTPUTF8)
        given["From"] = "alerts@example.org"
        given["To"], given["Reply-To"] = ", ".join(boxes), ", ".join(boxes)
        given["Subject"] = "Größe"
        given.set_content("x")
        made = to_bytes(given)
    assert made.isascii()
    assert all(len(line) <= 998 for line in made.split(b"\r\n"))
    expected = same(parse_mailboxes(", ".join(boxes)))
    for name in ("to", "reply-to"):
        (field,) = Header.parse(made).all(name)
        assert same(parse_mailboxes(field.value)) == expected
    if not any("Jingle" in each and "Müller" in each for each in boxes):
        parsed = email.message_from_bytes(made, policy=default)["To"].addresses
        assert [each.addr_spec for each in parsed] == [address for _, address in expected]


def test_a_message_of_the_older_classes_keeps_its_addresses() -> None:
    given = MIMEText("x")
    given["From"], given["To"] = "a@example.org", ", ".join(BOXES * 3)
    expected = same(parse_mailboxes(", ".join(BOXES * 3)))
    assert same(parse_mailboxes(Header.parse(to_bytes(given)).all("to")[0].value)) == expected


@pytest.mark.parametrize("kind", [EmailMessage, Message])
def test_a_message_that_was_resent_goes_to_those_it_was_resent_to(kind: type[Message]) -> None:
    given = kind()
    for name, value in [
        ("Resent-From", "me@example.org"),
        ("Resent-To", "new@example.org"),
        ("Resent-Bcc", "secret@example.org"),
        ("Resent-From", "before@example.org"),
        ("Resent-To", "older@example.org"),
        ("From", "a@example.org"),
        ("To", "old@example.org"),
        ("Bcc", "hidden@example.org"),
    ]:
        given[name] = value
    assert envelope_of(given, "").addresses == ("new@example.org", "secret@example.org")
    assert author_of(given) == "me@example.org"
    made = to_bytes(given)
    assert not any(word in made for word in (b"secret@", b"hidden@", b"Bcc"))
    assert [field.value for field in Header.parse(made).all("resent-from")] == [
        "me@example.org",
        "before@example.org",
    ]
    assert [field.value for field in Header.parse(made).all("resent-to")] == [
        "new@example.org",
        "older@example.org",
    ]
    assert b"To: old@example.org" in made


@given(st.lists(st.sampled_from(BOXES), min_size=2, max_size=4))
def test_fields_of_one_name_each_keep_their_own_addresses(boxes: list[str]) -> None:
    """Programs that add a To for each recipient are no rarity, whatever RFC 5322 3.6 says."""
    given = Message()
    for box in boxes:
        given["To"] = box
    given.set_payload("x")
    fields = Header.parse(to_bytes(given)).all("to")
    assert [same(parse_mailboxes(field.value)) for field in fields] == [
        same(parse_mailboxes(box)) for box in boxes
    ]


INNER = b"From: a@example.org\nSubject: inner\nX-Long: " + b"x" * 300 + b"\n\nGr\xc3\xbc\xc3\x9fe\n"


@pytest.mark.parametrize("name", ["inner.eml", "page.mht", "post.nws"])
@pytest.mark.parametrize("content", [INNER, INNER.replace(b"\n", b"\r\n"), b"\xff\0no message", b"x" * 2000])
def test_an_attached_message_is_one(name: str, content: bytes) -> None:
    made = draft(attachments=[(name, content)]).octets()
    assert made.isascii()
    assert not BytesContent(made).binary
    (attached,) = email.message_from_bytes(made, policy=default).iter_attachments()
    assert attached.get_filename() == name
    if b"Subject" not in content:
        assert (attached.get_content_type(), attached.get_content()) == ("application/octet-stream", content)
        return
    assert attached.get_content_type() == "message/rfc822"
    assert attached["Content-Transfer-Encoding"] in (None, "7bit", "8bit")
    assert attached.get_content()["Subject"] == "inner"
    assert attached.get_content().get_payload(decode=True).split() == ["Grüße".encode()]


def test_octets_attached_as_a_message_become_one_and_the_callers_stay() -> None:
    given = EmailMessage()
    given["From"], given["To"] = "a@example.org", "b@example.org"
    given.set_content("see")
    given.add_attachment(INNER, maintype="message", subtype="rfc822", filename="inner.eml")
    before = given.as_string()
    made = to_bytes(given)
    assert not BytesContent(made).binary
    (attached,) = email.message_from_bytes(made, policy=default).iter_attachments()
    assert attached.get_content()["Subject"] == "inner"
    assert given.as_string() == before


@pytest.mark.parametrize("line", [b"", b"DKIM-Signature: v=1; b=abc\n"])
@pytest.mark.parametrize(
    "body",
    [
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n",
        'Content-Type: multipart/signed; boundary="b"\n\n--b\nContent-Type: text/plain; charset=utf-8\n'
        "Content-Transfer-Encoding: 8bit\n\nGrüße\n--b\n\nsignature\n--b--\n",
    ],
)
def test_what_is_signed_leaves_as_it_was_signed(line: bytes, body: str) -> None:
    data = line + b"From: a@example.org\nTo: b@example.org\nMIME-Version: 1.0\n" + body.encode()
    made = to_bytes(email.message_from_bytes(data, policy=default))
    signed = bool(line) or "signed" in body
    assert (made == data.replace(b"\n", b"\r\n")) is signed
    assert made.isascii() is not signed


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([("Reply-To", "a@example.org"), ("reply-to", "b@example.org")], "once"),
        ([("Content-Type", "text/html")], "follows from what is sent"),
        ([("mime-version", "1.0")], "follows from what is sent"),
        ([("Return-Path", "<a@example.org>")], "RFC 5321 4.4"),
        ([("Resent-Bcc", "a@example.org")], "its own option"),
    ],
)
def test_a_field_that_cannot_be_given_is_told(headers: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        draft(headers=headers).octets()


def test_a_message_id_is_ascii_whatever_the_domain() -> None:
    made = Header.parse(draft(sender="a@bücher.example").octets())
    assert (made.get("message-id") or "").endswith("@xn--bcher-kva.example>")


@given(st.text(st.characters(codec="utf-8"), max_size=2000), st.booleans())
def test_whatever_is_built_can_be_sent_and_says_the_same(text: str, html: bool) -> None:
    made = draft(text=text, html=text if html else None).octets()
    assert made.isascii()
    assert not BytesContent(made).binary
    got = email.message_from_bytes(made, policy=default).get_body(("plain",)).get_content()
    assert got.replace("\r\n", "\n").rstrip("\n") == "\n".join(re.split("\r\n|\r|\n", text)).rstrip("\n")


def test_a_subject_has_a_bound() -> None:
    made = email.message_from_bytes(draft(subject="ä" * 10_000).octets(), policy=default)
    assert made["subject"] == "ä" * 10_000
    with pytest.raises(UsageError, match="10001 characters; 10000 are the most"):
        draft(subject="ä" * 10_001).octets()
