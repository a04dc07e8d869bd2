"""Files of a message: their types by name and as said, and how they arrive."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import UsageError
from postbearer.message import AttachedFile, Draft
from postbearer.message.files import parse_media_type


def arrived(file: AttachedFile) -> EmailMessage:
    """The part that a receiver finds."""
    made = Draft("a@example.org", ["b@example.org"], text="hi", attachments=[file])
    parsed = message_from_bytes(made.octets(), policy=policy.default)
    (_, part) = parsed.iter_parts()
    assert isinstance(part, EmailMessage)
    return part


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("text/csv", ("text", "csv", {})),
        ("Application/VND.ms-excel", ("application", "vnd.ms-excel", {})),
        ("text/plain;charset=utf-8", ("text", "plain", {"charset": "utf-8"})),
        (
            'text/calendar ; method="REQUEST";  charset=UTF-8',
            ("text", "calendar", {"method": "REQUEST", "charset": "UTF-8"}),
        ),
        (r'a/b; x="c\"d; e"', ("a", "b", {"x": 'c"d; e'})),
        ("application/ld+json", ("application", "ld+json", {})),
    ],
)
def test_what_a_media_type_says(text: str, meant: object) -> None:
    assert parse_media_type(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "text",
            "text/",
            "/csv",
            "text/csv/x",
            "text /csv",
            "text/csv charset=x",
            "text/csv;",
            "text/csv; x",
        ),
        *("text/csv; x=", "text/csv; x=a b", 'text/csv; x="a', "text/csv; x=1; X=2", "text/csv\r\nBcc: x@y"),
        *("text/csv\n", "text/csv; x=\u2028", "t\u00e4xt/csv", "-a/b", "text/" + "x" * 128, "text/csv; x=ä"),
        *("text/csv; name=x", "text/csv; boundary=x", "text/csv\0"),
    ],
)
def test_what_is_no_media_type(text: str) -> None:
    with pytest.raises(UsageError):
        parse_media_type(text)


@given(st.text(max_size=40))
def test_any_text_is_a_media_type_or_refused(text: str) -> None:
    try:
        main, sub, _ = parse_media_type(text)
    except UsageError:
        return
    assert AttachedFile("x", b"hi", text)
    assert (main, sub) == (main.lower(), sub.lower())


def test_the_type_that_is_said_goes_before_the_name() -> None:
    part = arrived(AttachedFile("r.txt", b"%PDF-1.7", "application/pdf; version=1.7"))
    assert (part.get_content_type(), part.get_param("version"), part.get_filename()) == (
        *("application/pdf", "1.7"),
        "r.txt",
    )
    assert part.get_content() == b"%PDF-1.7"


@pytest.mark.parametrize(
    ("octets", "kind", "charset"),
    [
        (b"plain", "text/plain", "utf-8"),
        ("Grüße".encode(), "text/csv", "utf-8"),
        ("Grüße".encode("iso-8859-1"), "text/csv; charset=iso-8859-1", "iso-8859-1"),
        (b"\xff\xfe", "text/plain; charset=x-ours", "x-ours"),
    ],
)
def test_a_text_has_a_charset_that_it_is_of(octets: bytes, kind: str, charset: str) -> None:
    part = arrived(AttachedFile("r.dat", octets, kind))
    assert part.get_param("charset") == charset
    assert part.get_payload(decode=True) == octets


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "text/csv; charset=US-ASCII"])
def test_a_text_that_is_not_of_its_charset_is_refused(kind: str) -> None:
    with pytest.raises(UsageError, match="octet at 2"):
        arrived(AttachedFile("r.csv", b"Gr\xfc\xdfe", kind))


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", "multipart/alternative; x=y", "message/partial", "message/delivery-status"]
)
def test_what_is_never_encoded_is_no_type_of_a_file(kind: str) -> None:
    with pytest.raises(UsageError, match="never encoded"):
        arrived(AttachedFile("x", b"hi", kind))


def test_a_message_is_attached_as_one_and_what_is_none_as_octets() -> None:
    letter = b"From: c@example.org\r\nSubject: within\r\n\r\nhello\r\n"
    part = arrived(AttachedFile("m", letter, "message/rfc822"))
    assert part.get_content_type() == "message/rfc822"
    assert part.get_content()["subject"] == "within"
    assert (
        arrived(AttachedFile("m", b"\xff no header", "message/rfc822")).get_content_type()
        == "application/octet-stream"
    )


def test_a_file_may_stand_inline_without_being_named_by_the_html() -> None:
    assert arrived(AttachedFile("p.png", b"\x89PNG", "", "inline")).get_content_disposition() == "inline"
    assert arrived(AttachedFile("p.png", b"\x89PNG")).get_content_disposition() == "attachment"
