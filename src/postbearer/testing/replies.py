"""Replies as a test writes them."""

from __future__ import annotations

import re

from postbearer.errors import UsageError
from postbearer.reply import Reply
from postbearer.wire import ReplyLimits, ReplyReader


def parse_reply(text: str) -> Reply:
    """A reply as a server would send it, lines separated by ``\\n``.

    Raises `UsageError` for less or more than one, and `RemoteProtocolError` for what is none.
    """
    reader = ReplyReader(ReplyLimits())
    reader.feed(re.sub(r"\r?\n", "\r\n", text).encode() + b"\r\n")
    reply = reader.next_reply()
    if reply is None or reader.pending:
        raise UsageError(f"{text!r} is not a whole SMTP reply.")
    return reply
