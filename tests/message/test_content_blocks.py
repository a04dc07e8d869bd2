"""Content in blocks: what is found out about it, and that a file that changes is never completed."""

from __future__ import annotations

import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import UsageError
from postbearer.message import BytesContent, Content, FileContent
from postbearer.message.content import scan

PLAIN = b"Subject: hi\r\n\r\nHello.\r\n"


@pytest.mark.parametrize(
    ("data", "eight_bit", "binary"),
    [
        (PLAIN, False, False),
        (b"", False, False),
        ("Subject: Grüße\r\n".encode(), True, False),
        (b"bare\nline feed\r\n", False, True),
        (b"bare\rreturn\r\n", False, True),
        (b"return at the end\r", False, True),
        (b"nul\0\r\n", False, True),
        (b"x" * 998 + b"\r\n", False, False),
        (b"x" * 999 + b"\r\n", False, True),
        (b"x" * 998, False, False),
        (b"x" * 999, False, True),
        (b"no end", False, False),
    ],
)
def test_what_content_is_made_of(data: bytes, eight_bit: bool, binary: bool) -> None:
    content = BytesContent(data)
    assert (content.size, content.eight_bit, content.binary) == (len(data), eight_bit, binary)


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"a", b"x" * 500, b"\xff"])), st.integers(1, 700)
)
def test_the_borders_of_blocks_do_not_matter(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    assert scan(BytesContent(data).blocks(size)) == scan([data])


def test_content_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "message.eml"
    file.write_bytes(PLAIN)
    contents: list[Content] = [BytesContent(PLAIN), FileContent(file), FileContent(BytesIO(PLAIN))]
    for content in contents:
        assert b"".join(content.blocks(5)) == PLAIN == b"".join(content.blocks())
        assert content.size == len(PLAIN)


def test_an_open_file_is_read_from_where_it_stands() -> None:
    file = BytesIO(b"From envelope\r\n" + PLAIN)
    file.seek(15)
    assert b"".join(FileContent(file).blocks()) == PLAIN


@pytest.mark.parametrize("after", [PLAIN + b"more\r\n", PLAIN[:-3], PLAIN.replace(b"H", b"J")])
def test_a_file_that_changes_is_never_completed(tmp_path: Path, after: bytes) -> None:
    file = tmp_path / "message.eml"
    file.write_bytes(PLAIN)
    content = FileContent(file)
    file.write_bytes(after)
    seen: list[bytes] = []
    with pytest.raises(UsageError, match="changed while"):
        seen.extend(content.blocks(8))
    assert sum(map(len, seen)) < len(after)


def test_a_large_file_is_never_held_whole(tmp_path: Path) -> None:
    file = tmp_path / "large.eml"
    with file.open("wb") as out:
        for _ in range(150):
            out.write((b"x" * 62 + b"\r\n") * 16384)  # 1 MiB
    tracemalloc.start()
    content = FileContent(file)
    assert sum(map(len, content.blocks())) == content.size == 150 * 1024 * 1024
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
