"""What the parts of the server core share: the state of one connection, and how a client is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from postbearer.reply import Reply
from postbearer.wire import server_replies
from postbearer.wire.buffer import LineBuffer
from postbearer.wire.error_limit import ErrorLimit
from postbearer.wire.events import Bdat, Closed, Event
from postbearer.wire.offer import Offer
from postbearer.wire.sequence import Mode, ServerSession, TransactionState

# As they are counted. CONTENT is the end of what DATA or BDAT sent.
COMMANDS: Final = frozenset(
    ("EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "CONTENT", "RSET", "NOOP", "VRFY")
)


class Starved(Exception):
    """More octets are needed."""


class ServerConnection:
    """One connection. `tls`: the connection began with TLS (RFC 8314 3.3)."""

    def __init__(self, offer: Offer, *, tls: bool = False) -> None:
        self.offer = offer
        self.owed: Event | None = None  # the event that `reply` has to answer before anything goes on
        self.closing = False  # once `data_to_send` is written out, the connection is to be closed
        self.error_limit = ErrorLimit(offer.limits)
        self.session = ServerSession(offer, tls=tls)
        self.mode = Mode.GREETING
        self.input = LineBuffer(bare=offer.lenient)
        self.output = bytearray()
        self.end_of_input = False  # no more octets will come
        self.closed = Closed()  # the last event, unless it is `Quit`
        self.ended = False  # the last event was handed out
        self.chunk = Bdat(0, False)
        self.chunk_left = 0  # octets of the chunk still to come
        self.chunk_refusal: Reply | None = None
        self.on_refusal: Callable[[str, int], None] | None = None  # hears of each: a command, and the code

    @property
    def transaction(self) -> TransactionState:
        """The transaction that content and recipients belong to."""
        assert self.session.transaction is not None, "content belongs to a transaction"
        return self.session.transaction

    def queue(self, reply: Reply, during: TransactionState | None = None) -> None:
        """Write `reply` behind what is queued. `during`: the transaction that it may have ended."""
        line = server_replies.plain(reply)
        if line is None:
            # UTF-8 only inside a transaction that asked for it (RFC 6531 3.7.4.2), its ends included.
            utf8 = self.session.utf8 or (during is not None and during.mail.parameters.smtputf8)
            line = server_replies.render(reply, utf8=utf8)
        self.output += line

    def idle(self, reply: Reply) -> None:
        """Answer what brings no message nearer."""
        if self.still(self.error_limit.idle()):
            self.queue(reply)

    def refuse(self, reply: Reply, command: str) -> None:
        """Answer what cannot be taken."""
        limit = self.error_limit
        self.note_refusal(reply, command)
        if self.still(
            limit.recipient_refused(self.session.transaction) if command == "RCPT" else limit.refused(reply)
        ):
            self.queue(reply)

    def note_refusal(self, reply: Reply, command: str) -> None:
        """Tell who counts that `command` was refused; one that nobody knows is called ``OTHER``."""
        if self.on_refusal is not None:
            self.on_refusal(command if command in COMMANDS else "OTHER", reply.code)

    def still(self, bearable: bool) -> bool:
        """`bearable`; where it is not, the client is turned away."""
        if not bearable:
            self.close(server_replies.TOO_MANY_ERRORS)
        return bearable

    def close(self, reply: Reply | None = None, reason: str = "", *, fault: bool = True) -> None:
        """Turn the client away, at any time, with or without a word. `fault`: it gave cause."""
        if reply is not None and not self.closing:
            self.queue(reply)
        self.hang_up(reason or str(reply or ""), fault=fault)

    def hang_up(self, reason: str, *, fault: bool = True) -> None:
        """Close without a further word; `reason` is what the log says."""
        if not self.closing:
            self.closed = Closed(reason, fault)
        self.closing = True
        self.owed = None
        self.input.clear()
