"""The server's side of an SMTP conversation: bytes in, events out; replies in, bytes out.

Whatever carries the bytes drives it like this::

    server = Server(offer)
    server.greet()
    while not server.closing:
        write(server.data_to_send())
        server.receive(read())
        while (event := server.next_event()) is not None:
            ...  # and server.reply(…) whenever server.owed is not None
    write(server.data_to_send())

Of each command one of these holds:

- its event is answered with `reply`: EHLO, HELO, STARTTLS, AUTH and the responses to it, MAIL, RCPT,
  DATA, and the end of clean content. `owed` is that event until then, and no other comes before.
- its event only tells, and the core has answered: RSET, QUIT, an AUTH that was cancelled, content that
  ended with a `defect`. BDAT tells, too: its one reply is that to the `EndOfContent` of the chunk.
- it has no event, and the core has answered: NOOP, VRFY, HELP, and all that is out of turn, unknown,
  unreadable or over a limit.

The last event of a connection is `Quit` or `Closed`. How much is buffered is up to the driver: what
one `receive` brought, and one line at most beside it, as long as it reads only after `next_event`
returned None with nothing owed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from postbearer.errors import LocalProtocolError
from postbearer.reply import Reply
from postbearer.wire import commands, server_replies
from postbearer.wire.buffer import BareLineFeed, LineBuffer, LineTooLong
from postbearer.wire.content import LineCheck
from postbearer.wire.error_limit import ErrorLimit
from postbearer.wire.events import (
    Auth,
    AuthResponse,
    Bdat,
    Closed,
    Content,
    Data,
    Ehlo,
    EndOfContent,
    Event,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from postbearer.wire.extensions import Extensions
from postbearer.wire.offer import Offer
from postbearer.wire.sequence import Mode, ServerSession, TransactionState
from postbearer.wire.server_replies import CommandRefused
from postbearer.wire.status import Code, compose


class _Starved(Exception):
    """More octets are needed."""


class SmtpServer:
    """One connection. `tls`: the connection began with TLS (RFC 8314 3.3)."""

    def __init__(self, offer: Offer, *, tls: bool = False) -> None:
        self.offer = offer
        self.owed: Event | None = None  # the event that `reply` has to answer before anything goes on
        self.closing = False  # once `data_to_send` is written out, the connection is to be closed
        self._patience = ErrorLimit(offer.limits)
        self._session = ServerSession(offer, tls=tls)
        self._mode = Mode.GREETING
        self._input = LineBuffer(bare=offer.lenient)
        self._output = bytearray()
        self._eof = False
        self._ended = False  # the last event was handed out
        self._closed = Closed()
        self._chunk = Bdat(0, False)
        self._left = 0  # octets of the chunk still to come
        self._chunk_refusal: Reply | None = None

    def __repr__(self) -> str:
        owed = f", {type(self.owed).__name__} owed a reply" if self.owed is not None else ""
        return f"<Server {self._mode.name}{owed}{', closing' if self.closing else ''}>"

    @property
    def tls(self) -> bool:
        return self._session.tls

    @property
    def starting_tls(self) -> bool:
        """True from the 220 to STARTTLS on: write it out, shake hands, then call `tls_started`."""
        return self._mode is Mode.TLS and not self.closing

    @property
    def buffered(self) -> int:
        """Octets that came and were not looked at yet: while a reply is owed, they only grow."""
        return len(self._input)

    @property
    def authenticated(self) -> bool:
        return self._session.authenticated

    @property
    def extensions(self) -> Extensions:
        """What the client was offered by its last EHLO; empty before, after HELO and after STARTTLS."""
        return self._session.extensions

    @property
    def slow(self) -> bool:
        """True once the client has made so many errors that each reply should wait a second."""
        return self._patience.short

    # What the driver does.

    def greet(self, text: str = "") -> None:
        """Queue the 220. Does nothing if a client that spoke first was turned away already."""
        if self.closing:
            return
        if self._mode is not Mode.GREETING:
            raise LocalProtocolError("The greeting was sent already.")
        self._mode = Mode.COMMAND
        self._queue(compose(Code.SERVICE_READY, f"{self.offer.hostname} ESMTP {text}"))

    def receive(self, data: bytes) -> None:
        """Take octets from the client; ``b""`` says that no more will come."""
        if not data:
            self._eof = True
        elif self.closing:
            return  # behind QUIT or a refusal nothing is read
        elif self._mode is Mode.TLS:
            self._close("data between STARTTLS and TLS")
        elif self._mode is Mode.GREETING and self.offer.refuse_early:
            self.close(server_replies.EARLY, "spoke before the greeting")
        else:
            self._input.feed(data)

    def next_event(self) -> Event | None:
        """What came next; None while more octets or an owed reply are missing, and after the end."""
        while self.owed is None and not self._ended:
            if self.closing:
                self._ended = True
                return self._closed
            if self._mode is Mode.COMMAND and not self._input and not self._eof:
                return None  # what `_read` would find out, too
            try:
                event = self._read()
            except _Starved:
                if not self._eof:
                    return None
                self._close("the client closed the connection", fault=False)
            except BareLineFeed:
                self.close(server_replies.BARE_LF, "a command ended in a bare LF")
            else:
                if event is not None:
                    return event
        return None

    def data_to_send(self) -> bytes:
        """All that is queued, to be written at once: the replies to a whole pipelined group."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def close(self, reply: Reply | None = None, reason: str = "", *, fault: bool = True) -> None:
        """Turn the client away, at any time, with or without a word. `fault`: it gave cause."""
        if reply is not None and not self.closing:
            self._queue(reply)
        self._close(reason or str(reply or ""), fault=fault)

    def tls_started(self) -> None:
        """TLS is up, after a 220 to STARTTLS: all that was said before is forgotten (RFC 3207 4.2)."""
        if self._mode is not Mode.TLS or self.closing:
            raise LocalProtocolError("TLS starts only after a 220 to STARTTLS.")
        self._session.tls_started()
        self._mode = Mode.COMMAND

    def hello_reply(self) -> Reply:
        """The 250 for the EHLO or HELO that is owed: host name, and for EHLO what is offered."""
        offered = self.offer.offered(tls=self.tls).render() if isinstance(self.owed, Ehlo) else []
        return compose(Code.OK, self.offer.hostname, *offered)

    def reply(self, reply: Reply) -> None:
        """Answer the event that is `owed`. What follows depends on the class of the reply alone.

        Does nothing once the connection is `closing`. Raises `LocalProtocolError` when no event is owed
        a reply, or for a code that is no reply code.
        """
        if self.closing:
            return
        event, self.owed = self.owed, None
        if event is None:
            raise LocalProtocolError("There is nothing to answer.")
        if not 200 <= reply.code <= 599:
            raise LocalProtocolError(f"{reply.code} is no reply code.")
        utf8 = self._session.utf8
        handle = _ANSWERED.get(type(event))
        taken = self._patience.answered(event, reply, self._session.transaction, self._chunk)
        if (handle is None or handle(self, event, reply)) and self._still(taken):
            self._queue(reply, utf8=utf8)
        if reply.closing:
            self._close("turned away with 421", fault=False)

    # Reading.

    def _read(self) -> Event | None:
        """One step: an event, or None when the core has answered. Raises `_Starved`."""
        match self._mode:
            case Mode.COMMAND:
                return self._read_command()
            case Mode.RESPONSE:
                return self._read_response()
            case Mode.DATA:
                return self._read_data()
            case Mode.CHUNK:
                return self._read_chunk()
            case _:
                raise _Starved

    def _read_command(self) -> Event | None:
        start = self._input.peek(5)
        if not self._session.greeted and start.startswith(commands.TLS_RECORD):
            self.close(server_replies.FOREIGN, "spoke TLS")
            return None
        limits = self.offer.limits
        limit = limits.max_auth_line if start.upper() == b"AUTH " else limits.max_line
        try:
            line = self._input.next_line(limit)
        except LineTooLong:
            self._refuse_line(start, server_replies.LINE_TOO_LONG)
            return None
        if line is None:
            raise _Starved
        if not self._session.greeted and commands.foreign(line):
            self.close(server_replies.FOREIGN, "spoke another protocol")
            return None
        try:
            return self._take(*commands.split(line))
        except CommandRefused as refused:
            self._refuse_line(start, refused.reply)
            return None

    def _content_came(self, reply: Reply) -> bool:
        """Close behind a refused DATA where its content may come all the same: it is never commands."""
        if self.offer.refuse_early:
            return False
        self.close(reply, "a DATA was refused whose content may follow")
        return True

    def _refuse_line(self, start: bytes, reply: Reply) -> None:
        if start[:4].upper() == b"DATA" and self._content_came(reply):
            return
        self._refuse(reply, recipient=start[:4].upper() == b"RCPT")
        if start[:4].upper() == b"BDAT":
            # Nobody knows how many octets of content follow, and they must never be taken for commands.
            self._close("a chunk whose size cannot be read, or that was not offered")

    def _take(self, verb: str, argument: str) -> Event | None:
        """Act on a command that could be read. Raises `CommandRefused`."""
        refusal = self._session.refusal(verb)
        if verb == "BDAT":
            return self._open_chunk(argument, refusal)
        if refusal is not None:
            raise CommandRefused(refusal)
        command = commands.parse(verb, argument, self._session)
        match command:
            case Noop() | Vrfy() | Help():
                self._idle(server_replies.IMMEDIATE[type(command)])
                return None
            case Rset():
                self._session.transaction = None
                self._idle(server_replies.OK)
            case Quit():
                self._queue(server_replies.BYE)
                self._close("the client said QUIT", fault=False)
                self._ended = True
            case _:
                self.owed = command
        return command

    def _read_response(self) -> Event | None:
        limits = self.offer.limits
        try:
            line = self._input.next_line(limits.max_auth_line)
        except LineTooLong:
            return self._end_auth(server_replies.BLOB_TOO_LONG)
        if line is None:
            raise _Starved
        if line == b"*":
            return self._end_auth(server_replies.AUTH_CANCELLED)
        try:
            self.owed = AuthResponse(commands.decode_response(line, limits.max_auth_blob))
        except CommandRefused as refused:
            return self._end_auth(refused.reply)
        return self.owed

    def _end_auth(self, reply: Reply) -> Event:
        """The exchange is over without a word of the face."""
        self._mode = Mode.COMMAND
        if self._login_failed():
            self._queue(reply)
        return AuthResponse(None)

    # Content.

    def _read_data(self) -> Event | None:
        transaction = self._transaction()
        if transaction.data_ended:
            return self._end_content(last=True)
        if not (octets := self._input.take()):
            raise _Starved
        content, rest = transaction.read_data(octets)
        if rest:  # commands
            self._input.put_back(rest)
        return self._content(transaction, content)

    def _open_chunk(self, argument: str, refusal: Reply | None) -> Event | None:
        """BDAT. Out of turn its octets are read all the same: as content, never as commands."""
        if not self.extensions.chunking:
            raise CommandRefused(server_replies.NOT_IMPLEMENTED)
        command = commands.parse("BDAT", argument, self._session)
        assert isinstance(command, Bdat)
        self._chunk, self._left, self._chunk_refusal = command, command.size, refusal
        self._mode = Mode.CHUNK
        if refusal is not None:
            return None
        transaction = self._transaction()
        if not transaction.chunked:
            transaction.begin_chunks()
        return command

    def _read_chunk(self) -> Event | None:
        if not self._left:
            return self._end_chunk()
        piece = self._input.take(self._left)
        if not piece:
            raise _Starved
        self._left -= len(piece)
        if self._chunk_refusal is not None:
            return None
        transaction = self._transaction()
        if isinstance(transaction.check, LineCheck):
            transaction.check.feed(piece)
        return self._content(transaction, piece)

    def _end_chunk(self) -> Event | None:
        transaction, last = self._session.transaction, self._chunk.last
        if self._chunk_refusal is not None:
            # A chunk was skipped: what comes behind it must not become a message without its middle.
            if transaction is not None:
                transaction.spoilt = True
            if last:
                self._session.transaction = None
            self._mode = Mode.COMMAND
            self._idle(self._chunk_refusal)
            return None
        if last and transaction is not None and isinstance(transaction.check, LineCheck):
            transaction.check.end()
        return self._end_content(last=last)

    def _content(self, transaction: TransactionState, piece: bytes) -> Event | None:
        """Hand on a piece of content, unless it will be refused anyway: then the end is still looked for."""
        transaction.size += len(piece)
        return Content(piece) if piece and not transaction.defect(self.offer.limits) else None

    def _end_content(self, *, last: bool) -> Event:
        defect = self._transaction().defect(self.offer.limits)
        event = EndOfContent(last, defect)
        self._mode = Mode.COMMAND
        if not defect:
            self.owed = event
            return event
        self._content_refused(last)
        self._refuse(server_replies.DEFECTS[defect])
        if defect in ("line-ending", "nul"):
            # The client and we disagree about what a line is, so perhaps also about where its message ended.
            self._close("bare CR, bare LF or NUL in the content")
        return event

    def _content_refused(self, last: bool) -> None:
        if last:
            self._session.transaction = None
        else:
            self._transaction().spoilt = True

    def _transaction(self) -> TransactionState:
        assert self._session.transaction is not None, "content belongs to a transaction"
        return self._session.transaction

    # Answering.

    def _queue(self, reply: Reply, *, utf8: bool = False) -> None:
        # UTF-8 only inside a transaction that asked for it (RFC 6531 3.7.4.2), its ends included.
        self._output += server_replies.render(reply, utf8=utf8 or self._session.utf8)

    def _idle(self, reply: Reply) -> None:
        """Answer what brings no message nearer."""
        if self._still(self._patience.idle()):
            self._queue(reply)

    def _refuse(self, reply: Reply, *, recipient: bool = False) -> None:
        """Answer what cannot be taken."""
        patience = self._patience
        if self._still(
            patience.recipient_refused(self._session.transaction) if recipient else patience.refused(reply)
        ):
            self._queue(reply)

    def _still(self, bearable: bool) -> bool:
        if not bearable:
            self.close(server_replies.TOO_MANY_ERRORS)
        return bearable

    def _login_failed(self) -> bool:
        """Count a failed login; False when it was one too many, and the client is turned away instead."""
        bearable = self._patience.login_failed()
        if not bearable:
            self.close(server_replies.TOO_MANY_LOGINS)
        return bearable

    def _close(self, reason: str, *, fault: bool = True) -> None:
        if not self.closing:
            self._closed = Closed(reason, fault)
        self.closing = True
        self.owed = None
        self._input.clear()

    # What a reply does, by the event it answers. True: the reply goes out as it is.

    def _answered_hello(self, event: Event, reply: Reply) -> bool:
        if reply.positive:
            self._session.greet(extended=isinstance(event, Ehlo))
        return True

    def _answered_starttls(self, event: Event, reply: Reply) -> bool:
        if not reply.positive:
            return True
        if len(self._input):
            # Whoever wrote these octets in clear text, they must not come out behind the handshake;
            # to drop them and go on would hide an attack (CVE-2011-0411).
            self._close("data behind STARTTLS")
            return False
        self._mode = Mode.TLS
        return True

    def _answered_auth(self, event: Event, reply: Reply) -> bool:
        self._mode = Mode.RESPONSE if reply.intermediate else Mode.COMMAND
        if reply.positive:
            self._session.authenticated = True
        return reply.positive or reply.intermediate or self._login_failed()

    def _answered_mail(self, event: Event, reply: Reply) -> bool:
        if reply.positive and isinstance(event, Mail):
            self._session.transaction = TransactionState(event)
            self._session.messages += 1
        return True

    def _answered_rcpt(self, event: Event, reply: Reply) -> bool:
        self._transaction().recipients += reply.positive
        return True

    def _answered_data(self, event: Event, reply: Reply) -> bool:
        if not reply.intermediate:
            return not self._content_came(reply)
        if self.offer.refuse_early and len(self._input):  # DATA is the last of its group (RFC 2920 3.1)
            self.close(server_replies.EARLY, "sent content before the 354")
            return False
        self._transaction().begin_data(lenient=self.offer.lenient, bare=self._input.bare_seen)
        self._mode = Mode.DATA
        return True

    def _answered_content(self, event: Event, reply: Reply) -> bool:
        assert isinstance(event, EndOfContent)
        if not reply.positive:
            self._content_refused(event.last)
        elif event.last:
            self._session.transaction = None
            self._patience.renew()
        return True


_ANSWERED: Final[Mapping[type[Event], Callable[[SmtpServer, Event, Reply], bool]]] = {
    Ehlo: SmtpServer._answered_hello,
    Helo: SmtpServer._answered_hello,
    StartTls: SmtpServer._answered_starttls,
    Auth: SmtpServer._answered_auth,
    AuthResponse: SmtpServer._answered_auth,
    Mail: SmtpServer._answered_mail,
    Rcpt: SmtpServer._answered_rcpt,
    Data: SmtpServer._answered_data,
    EndOfContent: SmtpServer._answered_content,
}
