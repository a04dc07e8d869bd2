"""Replies of a server: nothing but a reply or a refusal comes out, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from harness import pieces, run

from postbearer.errors import RemoteProtocolError
from postbearer.reply import Reply
from postbearer.wire import Extensions, ReplyLimits, ReplyReader, decode_challenge, render_reply

WORDS = [
    b"250",
    b"334",
    b"421",
    b"554",
    b"-",
    b" ",
    b"\r\n",
    b"\n",
    b"\r",
    b"5.7.1 ",
    b"AUTH=",
    b"SIZE ",
    b"QUJD",
]


def read(parts: Iterable[bytes]) -> list[Reply | None]:
    """The replies; None at the end for a refusal."""
    reader = ReplyReader(ReplyLimits(line=64, lines=4, total=128))
    replies: list[Reply | None] = []
    try:
        for part in parts:
            reader.feed(part)
            while (reply := reader.next_reply()) is not None:
                replies.append(reply)
    except RemoteProtocolError:
        replies.append(None)
    return replies


def target(data: bytes) -> None:
    replies = read([data])
    assert replies == read(pieces(data))
    for reply in replies:
        if reply is None:
            continue
        assert read([render_reply(reply)]) == [reply]
        assert str(reply).isprintable()
        Extensions.parse(reply.lines).render()
        with suppress(RemoteProtocolError):
            decode_challenge(reply)


if __name__ == "__main__":
    run(target, WORDS)
