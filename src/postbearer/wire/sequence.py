"""Which command a server takes in which state: one table, read from top to bottom.

What a session remembers lies in `ServerSession`; `TABLE` lists for each verb what must not be the case,
with the refusal that it earns. The first that applies is the answer.

::

    start ──EHLO/HELO──▶ greeted ──MAIL──▶ open ──RCPT──▶ addressed ──DATA──▶ content ──▶ greeted
      ▲                    │  ▲                              │
      │ STARTTLS, then TLS │  │ AUTH (once)                  └──BDAT──▶ chunked ──BDAT LAST──▶ greeted
      └────────────────────┘  └───── RSET, EHLO, HELO: from open, addressed, chunked, spoilt
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from postbearer.reply import Reply
from postbearer.wire import server_replies
from postbearer.wire.content import DotUnstuffer, LineCheck, LineEndFixer, LineFeedFixer
from postbearer.wire.events import Mail
from postbearer.wire.extensions import Extensions
from postbearer.wire.offer import LineLimits, Offer
from postbearer.wire.server_replies import Defect


class Mode(Enum):
    """What the next octets from the client are."""

    GREETING = "nothing yet: the server speaks first"
    COMMAND = "a command line"
    RESPONSE = "a line inside AUTH"
    DATA = "content up to the lone dot"
    DOT = "nothing more of it: the lone dot came"
    CHUNK = "content, counted"
    TLS = "nothing: TLS comes first"


@dataclass(slots=True)
class TransactionState:
    """One mail transaction, from the accepted MAIL to the end of its content."""

    mail: Mail
    recipients: int = 0  # accepted
    refused: int = 0  # recipients that were not
    counted: int = 0  # of these, as bringing no message nearer
    size: int = 0  # octets of content that came
    chunked: bool = False  # BDAT has begun
    spoilt: bool = False  # a chunk was refused or skipped: the content can never be whole

    unstuffer: DotUnstuffer | None = None  # DATA has begun
    feeds: LineFeedFixer | None = None  # in front of it, for a client that knows no CRLF
    fixer: LineEndFixer | None = None
    check: LineCheck | None = None  # what has looked at the content

    def begin_data(self, *, lenient: bool, bare: bool) -> None:
        """The 354 was sent. `bare`: the client ends its commands in LF alone, and so its data."""
        self.unstuffer = DotUnstuffer()
        self.check = self.unstuffer.check
        if lenient:
            self.fixer, self.check = LineEndFixer(), LineCheck()
        if bare:
            self.feeds = LineFeedFixer()

    def read_data(self, octets: bytes) -> tuple[bytes, bytes]:
        """Octets behind the 354 → content, and what came behind the end of data."""
        assert self.unstuffer is not None, "content follows a 354"
        if self.feeds is not None:
            octets = self.feeds.feed(octets)
        content = self.unstuffer.feed(octets)
        if self.fixer is not None and self.check is not None:
            content = self.fixer.feed(content)
            self.check.feed(content)
        return content, self.unstuffer.rest

    def begin_chunks(self) -> None:
        """The first BDAT came. Binary content is not made of lines (RFC 3030 3)."""
        self.chunked = True
        self.check = None if self.binary else LineCheck()

    def defect(self, limits: LineLimits) -> Defect:
        """Why the content that came so far must be refused; ``""`` if nothing is wrong with it."""
        check = self.check
        if check is not None and (found := check.defect):
            return found
        if 0 < limits.max_size < self.size:
            return "size"
        if check is not None and 0 < limits.max_text_line < check.longest_line:
            return "line-length"
        return ""

    @property
    def binary(self) -> bool:
        return self.mail.parameters.body == "BINARYMIME"


@dataclass(slots=True)
class ServerSession:
    """What a server remembers of one connection between two commands."""

    offer: Offer
    tls: bool = False
    authenticated: bool = False
    greeted: bool = False
    extensions: Extensions = field(
        default_factory=lambda: Extensions({})
    )  # as listed by EHLO; none after HELO
    transaction: TransactionState | None = None
    messages: int = 0  # transactions opened

    @property
    def utf8(self) -> bool:
        """Whether the transaction was opened with SMTPUTF8 (RFC 6531 3.4)."""
        return self.transaction is not None and self.transaction.mail.parameters.smtputf8

    def greet(self, *, extended: bool) -> None:
        """EHLO or HELO was accepted: like RSET, and a new list of extensions (RFC 5321 4.1.4)."""
        self.greeted = True
        self.transaction = None
        offered = self.offer.offered(tls=self.tls)
        self.extensions = offered if extended else Extensions({})

    def tls_started(self) -> None:
        """Forget everything that was said in clear text (RFC 3207 4.2)."""
        self.tls = True
        self.authenticated = self.greeted = False
        self.extensions = Extensions({})
        self.transaction = None

    def refusal(self, verb: str) -> Reply | None:
        """Why `verb` cannot be taken now; None when it can."""
        for applies, reply in TABLE.get(verb, ()):
            if applies(self):
                return reply
        return None


def _not_greeted(session: ServerSession) -> bool:
    return not session.greeted


def _no_extensions(session: ServerSession) -> bool:
    return not (session.extensions.keywords or (session.offer.lenient and session.greeted))


def _idle(session: ServerSession) -> bool:
    return session.transaction is None


def _busy(session: ServerSession) -> bool:
    return session.transaction is not None


def _spoilt(session: ServerSession) -> bool:
    return session.transaction is not None and session.transaction.spoilt


def _chunked(session: ServerSession) -> bool:
    return session.transaction is not None and session.transaction.chunked


def _binary(session: ServerSession) -> bool:
    return session.transaction is not None and session.transaction.binary


def _no_recipient(session: ServerSession) -> bool:
    return session.transaction is not None and not session.transaction.recipients


def _recipients_spent(session: ServerSession) -> bool:
    most = session.offer.limits.max_recipients
    return session.transaction is not None and session.transaction.recipients >= most


def _messages_spent(session: ServerSession) -> bool:
    return 0 < session.offer.limits.max_messages <= session.messages


def _tls(session: ServerSession) -> bool:
    return session.tls


def _authenticated(session: ServerSession) -> bool:
    return session.authenticated


def _tls_owed(session: ServerSession) -> bool:
    return session.offer.require_tls and not session.tls


def _auth_owed(session: ServerSession) -> bool:
    return session.offer.require_auth and not session.authenticated


def _no_helo(session: ServerSession) -> bool:
    return not session.offer.allow_helo


def _no_starttls(session: ServerSession) -> bool:
    return not session.offer.starttls


def _no_auth(session: ServerSession) -> bool:
    return not session.offer.mechanisms


def _auth_in_clear(session: ServerSession) -> bool:
    return not session.offer.auth_allowed(tls=session.tls)


Row = tuple[Callable[[ServerSession], bool], Reply]

TABLE: Final[Mapping[str, tuple[Row, ...]]] = {
    "HELO": ((_no_helo, server_replies.NOT_IMPLEMENTED),),
    "STARTTLS": (
        (_no_starttls, server_replies.NOT_IMPLEMENTED),
        (_tls, server_replies.TLS_ALREADY),
        (_not_greeted, server_replies.HELLO_FIRST),
        (_authenticated, server_replies.AUTH_ALREADY),
        (_busy, server_replies.NESTED),
    ),
    "AUTH": (
        (_no_auth, server_replies.NOT_IMPLEMENTED),
        (_authenticated, server_replies.AUTH_ALREADY),
        (_auth_in_clear, server_replies.AUTH_NEEDS_TLS),
        (_no_extensions, server_replies.HELLO_FIRST),
        (_busy, server_replies.NESTED),
    ),
    "MAIL": (
        (_not_greeted, server_replies.HELLO_FIRST),
        (_tls_owed, server_replies.TLS_FIRST),
        (_auth_owed, server_replies.AUTH_FIRST),
        (_spoilt, server_replies.RSET_FIRST),
        (_busy, server_replies.NESTED),
        (_messages_spent, server_replies.TOO_MANY_MESSAGES),
    ),
    "RCPT": (
        (_tls_owed, server_replies.TLS_FIRST),
        (_auth_owed, server_replies.AUTH_FIRST),
        (_idle, server_replies.MAIL_FIRST),
        (_spoilt, server_replies.RSET_FIRST),
        (_chunked, server_replies.MIXED),
        (_recipients_spent, server_replies.TOO_MANY_RECIPIENTS),
    ),
    "DATA": (
        (_idle, server_replies.MAIL_FIRST),
        (_spoilt, server_replies.RSET_FIRST),
        (_chunked, server_replies.MIXED),
        (_binary, server_replies.NEEDS_BDAT),
        (_no_recipient, server_replies.RCPT_FIRST),
    ),
    "BDAT": (
        (_idle, server_replies.MAIL_FIRST),
        (_spoilt, server_replies.RSET_FIRST),
        (_no_recipient, server_replies.RCPT_FIRST),
    ),
}
