"""The server's side of an SMTP conversation: bytes in, events out; replies in, bytes out.

Whatever carries the bytes drives it like this::

    server = SmtpServer(offer)
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
from postbearer.wire import server_replies
from postbearer.wire.buffer import BareLineFeed
from postbearer.wire.events import (
    Auth,
    AuthResponse,
    Data,
    Ehlo,
    EndOfContent,
    Event,
    Helo,
    Mail,
    Rcpt,
    StartTls,
)
from postbearer.wire.extensions import Extensions
from postbearer.wire.sequence import Mode
from postbearer.wire.server_auth import answered_auth, read_response
from postbearer.wire.server_commands import (
    answered_hello,
    answered_mail,
    answered_rcpt,
    answered_starttls,
    read_command,
)
from postbearer.wire.server_connection import ServerConnection, Starved
from postbearer.wire.server_content import (
    answered_content,
    answered_data,
    read_chunk,
    read_data,
    read_dot,
)
from postbearer.wire.status import Code, compose


class SmtpServer(ServerConnection):
    """One connection, as whatever carries the bytes sees it."""

    def __repr__(self) -> str:
        owed = f", {type(self.owed).__name__} owed a reply" if self.owed is not None else ""
        return f"<SmtpServer {self.mode.name}{owed}{', closing' if self.closing else ''}>"

    @property
    def tls(self) -> bool:
        return self.session.tls

    @property
    def buffered(self) -> int:
        """Octets that came and were not looked at yet: while a reply is owed, they only grow."""
        return len(self.input.data)

    @property
    def authenticated(self) -> bool:
        return self.session.authenticated

    @property
    def extensions(self) -> Extensions:
        """What the client was offered by its last EHLO; empty before, after HELO and after STARTTLS."""
        return self.session.extensions

    def greet(self, text: str = "") -> None:
        """Queue the 220. Does nothing if a client that spoke first was turned away already."""
        if self.closing:
            return
        if self.mode is not Mode.GREETING:
            raise LocalProtocolError("The greeting was sent already.")
        self.mode = Mode.COMMAND
        self.queue(compose(Code.SERVICE_READY, f"{self.offer.hostname} ESMTP {text}"))

    def receive(self, data: bytes) -> None:
        """Take octets from the client; ``b""`` says that no more will come."""
        if not data:
            self.end_of_input = True
        elif self.closing:
            return  # behind QUIT or a refusal nothing is read
        elif self.mode is Mode.TLS:
            self.hang_up("data between STARTTLS and TLS")
        elif self.mode is Mode.GREETING and self.offer.refuse_early:
            self.close(server_replies.EARLY, "spoke before the greeting")
        else:
            self.input.feed(data)

    def next_event(self) -> Event | None:
        """What came next; None while more octets or an owed reply are missing, and after the end."""
        while self.owed is None and not self.ended:
            if self.closing:
                self.ended = True
                return self.closed
            if self.mode in _HUNGRY and not self.input.data and not self.end_of_input:
                return None  # as reading would find out, too
            try:
                event = _READ[self.mode](self)
            except Starved:
                if not self.end_of_input:
                    return None
                self.hang_up("the client closed the connection", fault=False)
            except BareLineFeed:
                self.close(server_replies.BARE_LF, "a command ended in a bare LF")
            else:
                if event is not None:
                    return event
        return None

    def data_to_send(self) -> bytes:
        """All that is queued, to be written at once: the replies to a whole pipelined group."""
        data = bytes(self.output)
        self.output.clear()
        return data

    def tls_started(self) -> None:
        """TLS is up, after a 220 to STARTTLS: all that was said before is forgotten (RFC 3207 4.2)."""
        if self.mode is not Mode.TLS or self.closing:
            raise LocalProtocolError("TLS starts only after a 220 to STARTTLS.")
        self.session.tls_started()
        self.mode = Mode.COMMAND

    def hello_reply(self, now: float = 0.0) -> Reply:
        """The 250 for the EHLO or HELO that is owed: host name, and for EHLO what is offered at `now`."""
        offered = self.offer.offered(tls=self.tls, now=now).render() if isinstance(self.owed, Ehlo) else []
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
        if reply.code >= 400:
            self.note_refusal(reply, _NAMES.get(type(event), type(event).__name__.upper()))
        handle, transaction = _ANSWERED.get(type(event)), self.session.transaction
        well = (reply.positive or reply.intermediate) and type(event) in _NEARER
        bearable = well or self.error_limit.answered(event, reply, transaction, self.chunk)
        if handle is None or handle(self, event, reply):
            if bearable:
                self.queue(reply, transaction)
            else:
                self.close(server_replies.TOO_MANY_ERRORS)
        if reply.closing:
            self.hang_up("turned away with 421", fault=False)


_HUNGRY: Final = (Mode.COMMAND, Mode.DATA)  # without octets there is nothing to be read
_NEARER: Final = frozenset((Mail, Rcpt, Data))  # a message
_NAMES: Final[Mapping[type[Event], str]] = {EndOfContent: "CONTENT", AuthResponse: "AUTH"}


def _wait(connection: ServerConnection) -> Event | None:
    """Neither before the greeting nor during the handshake is there anything to read."""
    raise Starved


# One step by what is read now: an event, or None when the core has answered. Raises `Starved`.
_READ: Final[Mapping[Mode, Callable[[ServerConnection], Event | None]]] = {
    Mode.GREETING: _wait,
    Mode.TLS: _wait,
    Mode.COMMAND: read_command,
    Mode.RESPONSE: read_response,
    Mode.DATA: read_data,
    Mode.DOT: read_dot,
    Mode.CHUNK: read_chunk,
}

# What a reply does, by the event it answers. True: the reply goes out as it is.
_ANSWERED: Final[Mapping[type[Event], Callable[[ServerConnection, Event, Reply], bool]]] = {
    Ehlo: answered_hello,
    Helo: answered_hello,
    StartTls: answered_starttls,
    Auth: answered_auth,
    AuthResponse: answered_auth,
    Mail: answered_mail,
    Rcpt: answered_rcpt,
    Data: answered_data,
    EndOfContent: answered_content,
}
