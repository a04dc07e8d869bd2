"""Whatever goes in, what comes out has lines that every server takes, and says the same after decoding."""

from __future__ import annotations

import tracemalloc
from base64 import b64encode, encodebytes
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage, Message
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postbearer.errors import UsageError
from postbearer.message import BytesContent, convert
from postbearer.message.encoded_words import ascii_field
from postbearer.message.fields import Field
from postbearer.message.folding import fold

WORDS = "Grüße an alle: 日本語 "
MIXED = (
    b'Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="out(er)"\r\n\r\n'
    b"This is a multi-part message.\r\n--out(er)\r\n%s\r\n--out(er)--\r\nThe end\r\n"
)


def converted(data: bytes, *, eight_bit: bool = True, utf8: bool = True) -> bytes:
    content = convert(BytesContent(data), eight_bit=eight_bit, utf8=utf8)
    octets = b"".join(content.blocks())
    assert b"".join(content.blocks(7)) == octets  # as often as one likes, in any pieces
    assert (content.size, content.eight_bit, content.binary) == (len(octets), not octets.isascii(), False)
    assert not BytesContent(octets).binary
    assert eight_bit or octets.isascii()
    return octets


def leaves(message: Message) -> Iterator[tuple[str, bytes]]:
    """The type and the decoded octets of each part that holds no other, a last line end aside."""
    for part in message.walk():
        if not part.is_multipart():
            payload: Any = part.get_payload(decode=True)
            yield part.get_content_type(), payload.removesuffix(b"\r\n").removesuffix(b"\n")


def says(data: bytes) -> list[tuple[str, bytes]]:
    return list(leaves(message_from_bytes(data, policy=policy.default)))


def part(kind: str, encoding: str, body: bytes) -> bytes:
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Subject: x\r\n\r\nHello.\r\n",
        b"no header and no end",
        b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n",
        MIXED % part("text/plain", "8bit", "Grüße".encode()),
    ],
)
def test_what_is_fit_stays_as_it_is(data: bytes) -> None:
    content = BytesContent(data)
    assert convert(content, utf8=False) is content


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 999,
        b"x" * 100_000 + b"\r\n.\r\nFrom here\r\n",
        b"word " * 300 + b" \r\n \r\n",
        "ü".encode() * 2000 + b"\r\n",
        b"=3D=" * 400 + b"\r\n\r\n\r\n",
        b"\xff" * 1200,
    ],
)
@pytest.mark.parametrize("head", [b"Subject: x\r\n", b"", b"Content-Type: text/html; charset=utf-8\r\n"])
def test_text_with_long_lines_becomes_quoted_printable(head: bytes, body: bytes) -> None:
    octets = converted(head + b"\r\n" + body)
    message = message_from_bytes(octets)
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message["MIME-Version"] == "1.0"
    assert message.get_payload(decode=True) == body
    assert max(map(len, octets.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("body", "charset"),
    [(b"x" * 999, "us-ascii"), ("ü".encode() * 999, "utf-8"), (b"\xfc" * 999, "windows-1252")],
)
def test_text_that_names_no_charset_gets_the_one_it_is_in(body: bytes, charset: str) -> None:
    assert message_from_bytes(converted(b"\r\n" + body)).get_content_charset() == charset


@pytest.mark.parametrize(
    ("inner", "long"),
    [
        (part("text/plain", "7bit", b"x" * 3000), True),
        (part("text/html", "8bit", "ü".encode() * 3000), True),
        (part("application/octet-stream", "binary", b"a\nb\0c\r" + b"\xff" * 2000), True),
        (part("application/pdf", "base64", b64encode(b"pdf" * 5000)), True),
        (
            part("application/pdf", "base64", encodebytes(b"pdf" * 5000).replace(b"\n", b"\r\n") + b"\xff"),
            False,
        ),
        (part("text/plain", "quoted-printable", b"=C3=BC=3D" * 500 + b" \r\nend=20\r\n"), True),
        (part("text/plain", "quoted-printable", b"\xc3\xbc=\r\n=20"), False),
        (b"\r\n" + b"x" * 2000, True),
        (part("text/plain", "8bit", "Grüße".encode()), False),
        (part("message/rfc822", "8bit", b"Subject: inner\r\n\r\n" + "ü".encode() * 900), True),
        (
            part(
                "multipart/alternative; boundary=in",
                "8bit",
                b"--in\r\n"
                + part("text/plain", "8bit", "ü".encode())
                + b"\r\n--in  \r\n"
                + part("text/html", "8bit", "ü".encode() * 700)
                + b"\r\n--in--\r\n",
            ),
            True,
        ),
        (part("message/delivery-status", "7bit", b"Diagnostic-Code: smtp; " + b"no " * 500), True),
    ],
)
def test_each_part_is_mended_and_the_others_stay(inner: bytes, long: bool) -> None:
    other = part("text/plain", "7bit", b"Other.\r\n") + b"\r\n--out(er)\r\n"
    data = MIXED % (other + inner)
    for eight_bit in (True, False):
        octets = converted(data, eight_bit=eight_bit)
        if b"delivery-status" in inner:
            assert b" ".join(octets.split()) == b" ".join(data.split())
        else:
            assert says(octets) == says(data)
        assert other in octets
        assert (octets != data) is (long or not (eight_bit or data.isascii()))
    seven = message_from_bytes(converted(data, eight_bit=False))
    assert {each.get("Content-Transfer-Encoding", "7bit") for each in seven.walk()} <= {
        *("7bit", "quoted-printable", "base64")
    }


@pytest.mark.parametrize(
    "data",
    [
        b"DKIM-Signature: v=1\r\n\r\n" + b"x" * 999,
        b"DKIM-Signature: v=1\r\nSubject: " + b"x " * 999 + b"\r\n\r\n",
        MIXED.replace(b"mixed", b"signed") % part("text/plain", "7bit", b"x" * 999),
        MIXED.replace(b"mixed", b"signed")
        % part("message/rfc822", "7bit", b"Subject: x\r\n\r\n" + b"x" * 999),
        MIXED % part("text/plain", "x-uuencode", b"x" * 999),
        b"Content-Type: multipart/mixed\r\n\r\n" + b"x" * 999,
        b"Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: x\r\n\r\n" + b"x" * 999,
        b"Subject: a\rb\r\n\r\n" + b"x" * 999,
    ],
)
def test_what_cannot_be_mended_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        convert(BytesContent(data))
    assert caught.value.status == "5.6.3"


@pytest.mark.parametrize("body", [b"short\r\n", b"x" * 998])
def test_what_is_signed_and_fit_is_not_touched(body: bytes) -> None:
    signed = MIXED.replace(b"mixed", b"signed") % part("text/plain", "7bit", body)
    data = MIXED.replace(b"out(er)", b"top") % (
        part('multipart/signed; boundary="out(er)"', "7bit", signed.partition(b"\r\n\r\n")[2])
        + b"\r\n--top\r\n"
        + part("text/plain", "7bit", b"y" * 2000)
    )
    inner = signed.partition(b"\r\n\r\n")[2].rstrip()
    assert inner in converted(data)


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Zs"]), min_size=1, max_size=12
)
PHRASES = st.lists(TEXT, min_size=1, max_size=60).map(" ".join)


@given(PHRASES)
@example("\U0010ff80 \U0010ffff")  # characters of private use are characters, too
@example("\xa1 =?")  # no encoded word, though it begins like one
@example("?= \xa1")
def test_free_text_says_the_same_in_encoded_words(text: str) -> None:
    octets = converted(f"Subject: {text}\r\n\r\n".encode(), utf8=False)
    assert octets.isascii()
    assert message_from_bytes(octets, policy=policy.default)["subject"] == " ".join(text.split(" "))


NAMES = st.sampled_from(
    ["", "Jörg", '"Müller, Jörg"', "Ann", '"q\\"ü"', "J\xf6rg " * 40, "=?utf-8?q?J=C3=B6?= ü", "日本"]
)
ADDRESSES = st.sampled_from(["a@example.org", "j@bücher.example", '"a b"@example.org'])


@given(st.lists(st.tuples(NAMES, ADDRESSES), min_size=1, max_size=20))
def test_address_fields_name_the_same_people_in_ascii(boxes: list[tuple[str, str]]) -> None:
    written = ", ".join(f"{name.strip()} <{address}>" if name else address for name, address in boxes)
    octets = converted(f"To: {written}\r\n\r\n".encode(), utf8=False)
    assert octets.isascii()
    found = message_from_bytes(octets, policy=policy.default)["to"].addresses
    assert [each.addr_spec for each in found] == [
        address.replace("bücher", "xn--bcher-kva") for _, address in boxes
    ]
    before = message_from_string(f"To: {written}\r\n\r\n", policy=policy.default)["to"].addresses
    # Without blanks: until 3.13, Python keeps those between encoded words in a name (RFC 2047 6.2).
    assert ["".join(each.display_name.split()) for each in found] == [
        "".join(each.display_name.split()) for each in before
    ]


@pytest.mark.parametrize("name", ["Größe.pdf", "日本" * 60 + ".pdf", 'a "ü".txt'])
def test_a_file_name_is_the_same(name: str) -> None:
    quoted = name.replace('"', '\\"')
    data = f'Subject: ü\r\nContent-Disposition: attachment; filename="{quoted}"; size=3\r\n\r\nabc\r\n'
    octets = converted(data.encode(), utf8=False)
    assert octets.isascii()
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert (message.get_filename(), message["content-disposition"].params["size"]) == (name, "3")


def test_octets_that_are_no_utf8_are_taken_for_windows_1252() -> None:
    octets = converted(b"Subject: Gr\xfc\xdfe\r\nTo: J\x84rgen <j@example.org>\r\n\r\n", utf8=False)
    read = message_from_bytes(octets, policy=policy.default)
    (box,) = read["to"].addresses
    assert (read["subject"], box.display_name, box.addr_spec) == ("Grüße", "J„rgen", "j@example.org")


@given(
    st.lists(
        st.sampled_from(["a", "b" * 30, "ü" * 500, "c" * 1200, "", "d@example.org,", "\t"]), max_size=300
    ),
    st.booleans(),
)
def test_folding_changes_nothing_but_folds(words: list[str], addresses: bool) -> None:
    line = ("To: x" + " ".join(words)).encode()
    folded = fold(line, addresses=addresses)
    assert all(len(each) <= 998 for each in folded.split(b"\r\n"))
    assert all(each.strip(b" \t") for each in folded.split(b"\r\n")[1:])
    folded.decode()  # no character is cut
    if not addresses and all(len(word.encode()) < 990 for word in words):
        assert folded.replace(b"\r\n", b"") == line
    else:
        assert folded.replace(b"\r\n", b"").replace(b" ", b"") == line.replace(b" ", b"")


def test_a_list_of_addresses_is_folded_behind_commas() -> None:
    names = [f"recipient-{number:03}@example.org" for number in range(60)]
    for between in (", ", ","):
        line = b"To: " + between.join(names).encode()
        assert [
            each.strip(b" ,") for each in fold(line, addresses=True)[4:].replace(b"\r\n", b"").split(b",")
        ] == [name.encode() for name in names]


PIECES = st.lists(
    st.sampled_from(
        [
            *(
                b"--b\r\n",
                b"--b--\r\n",
                b"--c\r\n",
                b"--c--\r\n",
                b"\r\n",
                b"x" * 500,
                b"\xfc",
                b"=",
                b"=4",
                b"\r",
                b"\n",
            ),
            b"Content-Type: multipart/mixed; boundary=b\r\n",
            b"Content-Type: multipart/signed; boundary=c\r\n",
            b"Content-Type: message/rfc822\r\n",
            b"Content-Transfer-Encoding: base64\r\n",
            b"Content-Transfer-Encoding: quoted-printable\r\n",
            "Subject: ü\r\n".encode(),
            b"a b\r\n",
        ]
    ),
    max_size=40,
)


@given(PIECES, st.booleans(), st.booleans())
def test_no_content_makes_it_fail_otherwise(pieces: list[bytes], eight_bit: bool, utf8: bool) -> None:
    with suppress(UsageError):
        converted(b"".join(pieces), eight_bit=eight_bit, utf8=utf8)


@pytest.mark.parametrize(
    "data",
    [
        MIXED % (b"\r\nx\r\n--out(er)\r\n" * 1001 + b"\r\n" + b"x" * 999),
        b"Subject: " + "ü ".encode() * 40_000 + b"\r\n\r\nHello.\r\n",
    ],
)
def test_what_would_take_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        convert(BytesContent(data), utf8=False)
    assert caught.value.status == "5.6.3"


def test_a_long_field_is_folded_in_one_pass() -> None:
    line = b"To: " + b"a@example.org, " * 60_000
    assert fold(line, addresses=True).replace(b"\r\n", b"") == line


class Endless:
    """50 MB of text without a line end, one block at a time."""

    size, eight_bit, binary = 50_000_000, False, True

    def blocks(self, size: int = 65536) -> Iterator[bytes]:
        yield b"Subject: x\r\n\r\n"
        for _ in range(self.size // 50_000):
            yield b"x" * 50_000


def test_content_is_never_held_whole() -> None:
    tracemalloc.start()
    try:
        total = sum(map(len, convert(Endless()).blocks()))
        assert total > Endless.size
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


_NAMES = ["From", "To", "Resent-Cc", "Subject", "Content-Type", "Content-Disposition", "X-Any", "Received"]
_BLANKS = st.sampled_from("\x85\xa0\u2028\u2003\u3000\u200b\ufeff\u00fc\uff20\U0001f600")
_TEXTS = st.text(
    st.sampled_from('ab "<>@,;:()[]=?\\/*\t')
    | _BLANKS
    | st.characters(codec="utf-8", exclude_characters="\r\n"),
    max_size=30,
)


@given(st.sampled_from(_NAMES), _TEXTS | st.builds("{}; {}={}; {}".format, _TEXTS, _TEXTS, _TEXTS, _TEXTS))
@example("To", "a\x85b <a@example.net>")
@example("Content-Type", "text/plain; name=a\xa0b; \u00fc=c")
def test_any_field_is_in_ascii_or_refused(name: str, text: str) -> None:
    """Also one with blanks that only Unicode knows, of which no sender is warned in time."""
    field = Field(name.lower(), f"{name}: {text}\r\n".encode())
    try:
        written = ascii_field(field)
    except UsageError:
        return
    assert written.raw.isascii()
    assert written.raw.endswith(b"\r\n")
