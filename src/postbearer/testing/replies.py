"""Replies as a test writes them."""

from __future__ import annotations

from postbearer.errors import UsageError
from postbearer.reply import Reply
from postbearer.wire import ReplyLimits, ReplyReader


def parse_reply(text: str) -> Reply:
    """A reply as a server would send it, lines separated by ``\\n``."""
    reader = ReplyReader(ReplyLimits())
    reader.feed(text.replace("\n", "\r\n").encode() + b"\r\n")
    reply = reader.next_reply()
    if reply is None:
        raise UsageError(f"{text!r} is not a whole SMTP reply.")
    return reply
