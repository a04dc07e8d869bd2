"""Where the header ends: the same for every way in, and however the message is cut into pieces."""

from __future__ import annotations

import sys
from email import message_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postbearer.errors import UsageError
from postbearer.message import BytesContent, Header, HeaderReader, cut_header, edit
from postbearer.message.header_section import MAXIMUM_FIELDS, MAXIMUM_HEADER, MAXIMUM_LINES

CASES = [  # message, names of its fields, octet at which the body begins
    pytest.param(b"A: 1\r\n\r\nbody", ["a"], 8, id="as it should be"),
    pytest.param(b"\r\nA: 1\r\n", [], 2, id="an empty line first"),
    pytest.param(b"A: 1\r\n", ["a"], 6, id="fields only"),
    pytest.param(b"A: 1", ["a"], 4, id="a field that does not end"),
    pytest.param(b"", [], 0, id="nothing"),
    pytest.param(b"hello there\r\nno header\r\n", [], 0, id="no header"),
    pytest.param(b"A: 1\r\ntext without colon\r\nB: 2\r\n\r\n", ["a"], 6, id="a line that is no field"),
    pytest.param(b"A: 1\r\n,\r\nB: 2\r\n\r\n", ["a"], 6, id="a comma"),
    pytest.param(b" From: x\r\nA: 1\r\n\r\n", [], 0, id="a folded line first"),
    pytest.param(b"From\r\n : x\r\nA: 1\r\n\r\n", [], 0, id="a fold in front of the colon"),
    pytest.param("Fr\u043em: x\r\nA: 1\r\n".encode(), [], 0, id="a name that is not ASCII"),
    pytest.param(b"A : 1\r\nB\t:2\r\n\r\nx", ["a", "b"], 15, id="blanks in front of the colon"),
    pytest.param(b"A: 1\r\n b\r\n \t\r\n c\r\n\r\nx", ["a"], 20, id="a line of blanks"),
    pytest.param(b"From joe Mon\r\nA: 1\r\n\r\nx", ["a"], 22, id="from a mailbox file"),
    pytest.param(b"From here on\r\nall is well\r\n", [], 0, id="a text that begins so"),
    pytest.param(b"From here on", [], 0, id="a text of one such line"),
    pytest.param(b"http://example.org/\r\n", ["http"], 21, id="what looks like a field is one"),
    pytest.param(b"x" * 300 + b": y\r\n\r\n", [], 0, id="a name nobody gives a field"),
]


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
@pytest.mark.parametrize(("message", "names", "body"), CASES)
def test_where_the_header_ends(message: bytes, names: list[str], body: int, piece: int) -> None:
    reader = HeaderReader()
    for start in range(0, len(message), piece):
        reader.feed(message[start : start + piece])
    reader.finish()
    assert ([field.name for field in Header.of(reader).fields], reader.body) == (names, body)


@pytest.mark.parametrize(("message", "names", "body"), CASES)
def test_lines_that_end_in_lf_are_read_alike_where_they_may(
    message: bytes, names: list[str], body: int
) -> None:
    unix = message.replace(b"\r\n", b"\n")
    reader = cut_header(unix, lf=True)
    assert [name.decode() for name, _ in reader.fields] == names
    assert reader.body == len(message[:body].replace(b"\r\n", b"\n"))
    assert all(lines.endswith(b"\n") and b"\r" not in lines for _, lines in reader.fields)


def test_thousands_of_names_are_read_one_by_one() -> None:
    for number in range(3000):
        for written, name in ((f"X-{number}", f"x-{number}"), (f"X-{number} \t", f"x-{number}")):
            [(read, lines)] = cut_header(f"{written}: 1\r\n\r\n".encode()).fields
            assert (read, lines) == (name.encode(), f"X-{number}: 1\r\n".encode())
    assert cut_header(b"X-1 2: 1\r\n\r\n").fields == []
    assert cut_header(b"X-1 2: 1\r\n\r\n").fields == []


PIECES = [
    *(b"From", b"From:", b"From :", b"X", b":", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\xff", b","),
    *(b"From ", b" a@example.org", b"\r\n\r\n", b"X: y\r\n", b"\r\n ", b"\x0b", b"\x0c", b"\x1c"),
]
messages = st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)


@given(messages, st.integers(1, 5), st.booleans())
def test_it_ends_at_one_place_however_it_comes(message: bytes, piece: int, lf: bool) -> None:
    whole, pieces = cut_header(message, lf=lf), HeaderReader(lf=lf)
    for start in range(0, len(message), piece):
        pieces.feed(message[start : start + piece])
    pieces.finish()
    assert (pieces.fields, pieces.body, pieces.fault) == (whole.fields, whole.body, whole.fault)
    assert whole.fault or whole.body <= len(message)


@given(messages)
@example(b"X : y\r\nFrom: a@example.org\r\n\r\n")
@example(b"X: y\r\n \r\nFrom: a@example.org\r\n\r\n")
def test_what_leaves_has_the_same_fields_for_python(message: bytes) -> None:
    try:
        header = Header.parse(message)
    except UsageError:
        return
    content = edit(BytesContent(message), lambda header: header)
    found = message_from_bytes(b"".join(content.blocks()))
    assert [name.lower() for name in found] == [field.name for field in header.fields]


def test_a_header_that_is_well_formed_leaves_octet_by_octet() -> None:
    content = BytesContent(b"A:  1\r\n\tb\r\nX-8bit: \xff\r\n\r\nbody")
    assert edit(content, lambda header: header) is content
    fields = BytesContent(b"A: 1\r\n")
    assert edit(fields, lambda header: header) is fields


def test_text_without_a_header_leaves_as_text() -> None:
    content = edit(
        BytesContent(b"Subject: x\r\ntext\r\n"), lambda header: header.add("From", "a@example.org")
    )
    assert b"".join(content.blocks()) == b"From: a@example.org\r\nSubject: x\r\n\r\ntext\r\n"
    assert content.size == len(b"".join(content.blocks()))


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: x\rBcc: y@example.org\r\n\r\n",
        b"Subject: x\nBcc: y@example.org\r\n\r\n",
        b"Subject: x\r\r\n\r\n",
        b"Subject: x\r",
        b"Subject: \0\r\n\r\n",
        b"Subject: x\r\n a\rb\r\n\r\n",
    ],
)
def test_a_cr_or_lf_alone_ends_no_line(message: bytes) -> None:
    with pytest.raises(UsageError, match="bare CR or LF, or a NUL"):
        Header.parse(message)


def test_a_cr_alone_is_a_blank_where_programs_write_files() -> None:
    reader = cut_header(b"To: a@example.org\nSubject: hello\rBcc: b@example.org\r\n\r\nx\ry\n", lf=True)
    assert reader.fields == [
        (b"to", b"To: a@example.org\n"),
        (b"subject", b"Subject: hello Bcc: b@example.org\n"),
    ]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (b"a:\r\n" * (MAXIMUM_FIELDS + 1), "more than 1000 fields"),
        (b"X: a\r\n" + b" a\r\n" * MAXIMUM_LINES, "more than 10000 lines"),
        (b"X: " + b"a" * MAXIMUM_HEADER + b"\r\n", "larger than 1024 KiB"),
        (b"X: a\r\n " + b"a" * MAXIMUM_HEADER, "larger than 1024 KiB"),
    ],
)
@pytest.mark.parametrize("piece", [65536, 10**7])
def test_a_header_has_bounds(message: bytes, fault: str, piece: int) -> None:
    reader = HeaderReader()
    for start in range(0, len(message), piece):
        reader.feed(message[start : start + piece])
    reader.finish()
    assert fault in reader.fault


@pytest.mark.parametrize("piece", [65536, 10**7])
def test_a_long_line_of_text_is_no_header(piece: int) -> None:
    reader, message = HeaderReader(), b"x" * (MAXIMUM_HEADER + 10) + b": y\r\n"
    for start in range(0, len(message), piece):
        reader.feed(message[start : start + piece])
    reader.finish()
    assert (reader.fault, reader.body) == ("", 0)


def steps(section: bytes) -> int:
    """Calls and returns, of Python and of C, to read `section` and change it as an attempt does."""
    count = 0

    def count_one(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(count_one)
    try:
        header = Header.parse(section).set("From", "a@example.org").without("Sender").add("X", "y")
        bytes(header)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "lines",
    [
        lambda n: b"a:\r\n" * (n // 2) + b"From:\r\n" * (n // 2),
        lambda n: b"X: a\r\n" + b" a\r\n" * n,
        lambda n: b"From: " + b"<a@example.org>, " * n + b"\r\n",
    ],
    ids=["fields", "folds", "a long line"],
)
def test_twice_the_header_is_twice_the_work(lines: object) -> None:
    assert callable(lines)
    assert steps(lines(800)) <= 2.2 * steps(lines(400))
