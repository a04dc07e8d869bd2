"""Content on the wire: one end of data, the same bytes on both sides, however they are cut."""

from __future__ import annotations

from collections.abc import Iterable

from harness import pieces, run

from postbearer.wire import DotStuffer, DotUnstuffer, LineCheck

WORDS = [b"\r", b"\n", b".", b"\0", b"\r\n", b"\r\n.\r\n", b"\r\n..", b"text", b"\xff"]


def unstuff(parts: Iterable[bytes]) -> tuple[bytes, bytes, str]:
    """(content, what follows, defect)."""
    unstuffer = DotUnstuffer()
    content = rest = b""
    for part in parts:
        if unstuffer.done:
            rest += part
        else:
            content += unstuffer.feed(part)
            rest += unstuffer.rest
    return content, rest, unstuffer.check.defect


def target(data: bytes) -> None:
    assert unstuff([data]) == unstuff(pieces(data))
    stuffer, check = DotStuffer(), LineCheck()
    wire = b""
    for part in pieces(data):
        check.feed(part)
        wire += stuffer.feed(part)
    check.end()
    content, rest, defect = unstuff([wire + stuffer.end() + b"QUIT\r\n"])
    if not check.defect:
        whole = data if data.endswith(b"\r\n") or not data else data + b"\r\n"
        assert (content, rest, defect) == (whole, b"QUIT\r\n", "")
    else:
        assert defect == check.defect


if __name__ == "__main__":
    run(target, WORDS)
