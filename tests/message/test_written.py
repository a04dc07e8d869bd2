"""What is composed here is read by Python's own parser as what was said; two messages, octet by octet."""

from __future__ import annotations

import email
import re
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.address import find_control
from postbearer.errors import UsageError
from postbearer.message import AttachedFile, BytesContent, Draft

LINE = st.text(st.characters(codec="utf-8"), max_size=300).filter(lambda text: not find_control(text))
TEXT = st.text(st.characters(codec="utf-8"), max_size=1500) | st.text(" .-=\n\r\tFromaä\0", max_size=400)
TYPES = st.sampled_from(["", "application/pdf; version=1.7", "image/png", "text/csv; charset=iso-8859-1"])
NAME = LINE.filter(lambda text: text == text.strip() and text != "")
FILE = st.builds(AttachedFile, NAME, st.binary(max_size=300), TYPES, st.none())
WORD = st.sampled_from(["A", "von", "Größe", "Österreichisch-Ungarische", "日本", "Bcc"])
PHRASE = st.lists(WORD, min_size=1, max_size=12).map(" ".join)
ADDRESS = st.sampled_from(["a@example.org", "a.rather.long.name+tag@department.of.long.names.example.org"])
MAILBOX = st.tuples(PHRASE, ADDRESS)


def read(octets: bytes) -> EmailMessage:
    """As a receiver has it, once it is proven that every server takes it."""
    content = BytesContent(octets)
    assert not content.binary, "lines end with CRLF and have 998 octets at most"
    assert not content.eight_bit
    message = email.message_from_bytes(octets, policy=default)
    assert isinstance(message, EmailMessage)
    assert not [part.defects for part in message.walk() if part.defects]
    return message


def lines(text: str | None) -> list[str]:
    """The text as lines, without the end that the last one is given."""
    return re.split("\r\n|\r|\n", (text or "").removesuffix("\n").removesuffix("\r"))


def said(part: EmailMessage) -> list[str]:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode().removesuffix("\r\n").split("\r\n")


def named(octets: bytes, field: str) -> list[tuple[str, str]]:
    """Names and addresses, by the parser that reads names in several encoded words on all Pythons."""
    found = email.message_from_bytes(octets)[field]
    return [(str(make_header(decode_header(name))), address) for name, address in getaddresses([found])]


@given(st.none() | TEXT, st.none() | TEXT, st.lists(FILE, max_size=3), st.lists(FILE, max_size=2))
def test_each_part_is_read_as_it_was_given(
    text: str | None, html: str | None, files: list[AttachedFile], shown: list[AttachedFile]
) -> None:
    inline = [(f"id.{number}", *file) for number, file in enumerate(shown)] if html is not None else []
    draft = Draft("a@example.org", ["b@example.org"], text=text, html=html, attachments=files, inline=inline)
    message = read(draft.octets())
    plain, other = message.get_body(("plain",)), message.get_body(("html",))
    assert (plain is not None) is (text is not None or html is None)
    if plain is not None:
        assert said(plain) == lines(text)
    if html is not None:
        assert other is not None
        assert said(other) == lines(html)
    ids = {str(part["content-id"]): part for part in message.walk() if "content-id" in part}
    assert list(ids) == [f"<{cid}>" for cid, *_ in inline]
    related = [part for part in message.walk() if part.get_content_type() == "multipart/related"]
    assert [part.get_param("type") for part in related] == ["text/html"] * bool(inline)
    attached = list(message.iter_attachments()) if files else []
    for part, file in [*zip(ids.values(), shown, strict=False), *zip(attached, files, strict=True)]:
        assert part.get_payload(decode=True) == file.content
        assert part.get_filename() == file.name
    assert [part.get_content_disposition() for part in attached] == ["attachment"] * len(files)


@given(LINE, LINE, st.lists(MAILBOX, min_size=1, max_size=20), MAILBOX)
def test_the_header_is_read_as_it_was_given(
    subject: str, value: str, to: list[tuple[str, str]], author: tuple[str, str]
) -> None:
    plain = [each for each in (subject, value) if "=?" in each or each != each.strip()]
    boxes = [f"{name} <{address}>" for name, address in to]
    draft = Draft(
        f'"{author[0]}, Inc." <{author[1]}>', boxes, subject=subject, text="x", headers=[("X-Of", value)]
    )
    octets = draft.octets()
    message = read(octets)
    if not plain:  # what looks like an encoded word is one, and blanks around count for nobody
        assert message["subject"] == subject
        assert message["x-of"] == value
    assert named(octets, "to") == to
    assert named(octets, "from") == [(f"{author[0]}, Inc.", author[1])]


@pytest.mark.parametrize("word", ["x" * 5000, "ä" * 5000, "日" * 3000, f"a {'y' * 1500} ö"])
def test_a_word_that_no_line_holds_is_read_whole(word: str) -> None:
    for sender in ("a@example.org", "ä@example.org"):
        octets = Draft(sender, ["b@example.org"], subject=word, text="x", headers=[("X-Of", word)]).octets()
        assert not BytesContent(octets).binary
        message = email.message_from_bytes(octets, policy=default)
        assert (message["subject"], message["x-of"]) == (word, word)


@pytest.mark.parametrize(
    "name", ['q"uo\\te.txt', "=?utf-8?q?x?=.txt", "x" * 2000, "ä" * 500, "a  b;c='d'.txt"]
)
def test_a_file_keeps_its_name(name: str) -> None:
    octets = Draft("a@example.org", ["b@example.org"], text="x", attachments=[(name, b"x")]).octets()
    (part,) = read(octets).iter_attachments()
    assert part.get_filename() == name


def test_a_parameter_may_have_any_name() -> None:
    file = AttachedFile("x.bin", b"x", "application/x; value=1; self=2; subtype=3")
    (part,) = read(
        Draft("a@example.org", ["b@example.org"], text="x", attachments=[file]).octets()
    ).iter_attachments()
    assert [part.get_param(name) for name in ("value", "self", "subtype")] == ["1", "2", "3"]


def test_what_is_no_date_is_refused() -> None:
    draft = Draft("a@example.org", ["b@example.org"], text="x", headers=[("Date", "tomorrow")])
    with pytest.raises(UsageError, match="no date"):
        draft.octets()


def test_a_signed_message_within_keeps_its_signature() -> None:
    letter = "DKIM-Signature: v=1; b=abc\r\nFrom: c@example.org\r\n\r\nGrüße\r\n".encode()
    octets = Draft("a@example.org", ["b@example.org"], text="x", attachments=[("m.eml", letter)]).octets()
    (part,) = read(octets).iter_attachments()
    assert part.get_payload(decode=True) == letter


CHANCE = re.compile(rb"(?m)=_[0-9a-f]{32}|(?<=^Date: ).*?(?=\r$)|(?<=^Message-ID: <)[^@]+")

PLAIN = """\
From: alerts@example.org
To: ops@example.org
Subject: Disk
Date: !
Message-ID: <!@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 7bit

full
"""

EVERYTHING = """\
From: =?utf-8?b?SsO8cmdlbg==?= <alerts@example.org>
To: ops@example.org
Cc: boss@example.org
Reply-To: help@example.org
Subject: =?utf-8?b?R3LDtsOfZQ==?= of it
X-Of: us
Date: !
Message-ID: <!@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="!"

--!
Content-Type: multipart/alternative;
 boundary="!"

--!
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

It is full: Gr=C3=B6=C3=9Fe and much more of it, so that no line can hold i=
t all=20

--!
Content-Type: multipart/related;
 boundary="!"; type="text/html"

--!
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: 7bit

<img src="cid:logo">

--!
Content-Type: image/png
Content-Transfer-Encoding: base64
Content-Disposition: inline; filename="l.png"
Content-ID: <logo>

iVBORw==

--!--

--!--

--!
Content-Type: text/csv; charset="utf-8"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*=utf-8''gr%C3%B6%C3%9Fe.csv

MTsyCg==

--!--
"""


@pytest.mark.parametrize(
    ("draft", "octets"),
    [
        (Draft("alerts@example.org", ["ops@example.org"], subject="Disk", text="full"), PLAIN),
        (
            Draft(
                "Jürgen <alerts@example.org>",
                ["ops@example.org"],
                ["boss@example.org"],
                reply_to=["help@example.org"],
                subject="Größe of it",
                text="It is full: Größe and much more of it, so that no line can hold it all ",
                html='<img src="cid:logo">\n',
                attachments=[AttachedFile("größe.csv", b"1;2\n", "text/csv")],
                inline=[("logo", "l.png", b"\x89PNG")],
                headers=[("X-Of", "us")],
            ),
            EVERYTHING,
        ),
    ],
)
def test_a_message_as_it_leaves(draft: Draft, octets: str) -> None:
    assert CHANCE.sub(b"!", draft.octets()).decode() == octets.replace("\n", "\r\n")
