"""The replies the server core gives by itself, each with its place in the RFCs.

None of them repeats what the client said: raw input never reaches a reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from postbearer.reply import Reply, printable
from postbearer.wire.events import Command, Help, Noop, Vrfy
from postbearer.wire.grammar import base64_encode
from postbearer.wire.replies import render_reply
from postbearer.wire.status import Code, compose

Defect = Literal["", "line-ending", "nul", "size", "line-length"]  # as in `EndOfContent`

_PLAIN = re.compile(rb"[ -~]*")
_MAX_TEXT = 506  # RFC 5321 4.5.3.1.5: 512 octets with code, separator and CRLF


class CommandRefused(Exception):
    """A command cannot be taken; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def challenge(data: bytes) -> Reply:
    """The 334 that carries a SASL challenge (RFC 4954 4)."""
    return Reply(Code.CHALLENGE, (base64_encode(data),))


def plain(reply: Reply) -> bytes | None:
    """A reply of one line that can go out as it is, as nearly all can; None: it has to be rendered."""
    if len(reply.lines) == 1 and len(line := reply.lines[0]) <= _MAX_TEXT and _PLAIN.fullmatch(line):
        return b"%d %b\r\n" % (reply.code, line)
    return None


def render(reply: Reply, *, utf8: bool) -> bytes:
    """A reply as it goes out: no control characters, no long lines, and UTF-8 only where it was asked for."""
    return render_reply(Reply(reply.code, tuple(_text(reply, line, utf8) for line in reply.lines)))


def _text(reply: Reply, line: bytes, utf8: bool) -> bytes:
    if not _PLAIN.fullmatch(line):
        line = printable(line).encode("utf-8" if utf8 else "ascii", "backslashreplace")
    if len(line) > _MAX_TEXT and reply.code != Code.CHALLENGE:  # challenges are as long as they are
        line = line[:_MAX_TEXT].decode("utf-8", "ignore").encode()
    return line


# RFC 5321 4.2.2, 4.3.2
OK: Final = compose(250, "OK", enhanced="2.0.0")
BYE: Final = compose(221, "Bye", enhanced="2.0.0")
CANNOT_VERIFY: Final = compose(252, "Send the message, then we shall see", enhanced="2.5.0")
HELP: Final = compose(214, "See RFC 5321", enhanced="2.0.0")
UNRECOGNIZED: Final = compose(500, "Command not recognized", enhanced="5.5.2")
LINE_TOO_LONG: Final = compose(500, "Line too long", enhanced="5.5.2")
BARE_LF: Final = compose(500, "Lines end with CR LF, not with LF alone", enhanced="5.5.2")
BAD_CHUNK_SIZE: Final = compose(501, "BDAT needs the size of the chunk", enhanced="5.5.4")
NOT_IMPLEMENTED: Final = compose(502, "Command not implemented", enhanced="5.5.1")
UNKNOWN_PARAMETER: Final = compose(
    555, "Parameter not recognized or not offered", enhanced="5.5.4"
)  # 4.1.1.11
HELLO_FIRST: Final = compose(503, "Send EHLO first", enhanced="5.5.1")
MAIL_FIRST: Final = compose(503, "Send MAIL first", enhanced="5.5.1")
RCPT_FIRST: Final = compose(503, "No recipient was accepted", enhanced="5.5.1")
NESTED: Final = compose(503, "Not inside a mail transaction", enhanced="5.5.1")
RSET_FIRST: Final = compose(503, "A chunk was refused: send RSET first", enhanced="5.5.1")  # RFC 3030 2
MIXED: Final = compose(503, "Not after BDAT: only BDAT or RSET", enhanced="5.5.1")  # RFC 3030 2
NEEDS_BDAT: Final = compose(503, "BINARYMIME content is sent with BDAT", enhanced="5.5.1")  # RFC 3030 3
NON_ASCII: Final = compose(
    553, "A non-ASCII address needs the SMTPUTF8 parameter", enhanced="5.6.7"
)  # RFC 6531 3.5
TOO_MANY_RECIPIENTS: Final = compose(452, "Too many recipients", enhanced="4.5.3")  # RFC 5321 4.5.3.1.10
TOO_MANY_MESSAGES: Final = compose(
    452, "Too many messages on this connection", enhanced="4.5.3"
)  # RFC 9422 4
TOO_LARGE: Final = compose(552, "Message too large", enhanced="5.3.4")  # RFC 1870 6
BAD_LINE_END: Final = compose(521, "Bare CR, bare LF or NUL in the content", enhanced="5.5.2")
TEXT_LINE_TOO_LONG: Final = compose(554, "A line of the content is too long", enhanced="5.6.0")
EARLY: Final = compose(554, "Wait for the reply before you go on", enhanced="5.5.0")  # RFC 2920 3.1
FOREIGN: Final = compose(554, "This is SMTP", enhanced="5.5.0")

# RFC 3207, RFC 4954
TLS_FIRST: Final = compose(530, "Send STARTTLS first", enhanced="5.7.0")
TLS_ALREADY: Final = compose(503, "TLS is on already", enhanced="5.5.1")
AUTH_FIRST: Final = compose(530, "Authentication required", enhanced="5.7.0")
AUTH_NEEDS_TLS: Final = compose(538, "This mechanism needs TLS first", enhanced="5.7.11")
AUTH_ALREADY: Final = compose(503, "Already authenticated", enhanced="5.5.1")
AUTH_CANCELLED: Final = compose(501, "Authentication cancelled", enhanced="5.7.0")
UNKNOWN_MECHANISM: Final = compose(504, "Mechanism not offered", enhanced="5.5.4")
BLOB_TOO_LONG: Final = compose(500, "Authentication exchange line is too long", enhanced="5.5.6")

# RFC 5321 3.8
TOO_MANY_ERRORS: Final = compose(421, "Too many errors, closing", enhanced="4.7.0")
TOO_MANY_LOGINS: Final = compose(421, "Too many failed logins, closing", enhanced="4.7.0")

# What is answered at once, without an event.
IMMEDIATE: Final[Mapping[type[Command], Reply]] = {Noop: OK, Vrfy: CANNOT_VERIFY, Help: HELP}

# Content that is refused, by what was found in it.
DEFECTS: Final[Mapping[Defect, Reply]] = {
    "line-ending": BAD_LINE_END,
    "nul": BAD_LINE_END,
    "size": TOO_LARGE,
    "line-length": TEXT_LINE_TOO_LONG,
}
