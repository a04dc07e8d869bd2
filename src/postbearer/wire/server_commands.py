"""The server core reads commands, and knows what the reply to each of them changes."""

from __future__ import annotations

from postbearer.reply import Reply
from postbearer.wire import commands, server_replies
from postbearer.wire.buffer import LineTooLong
from postbearer.wire.events import Ehlo, Event, Help, Mail, Noop, Quit, Rset, Vrfy
from postbearer.wire.sequence import Mode, TransactionState
from postbearer.wire.server_connection import ServerConnection, Starved
from postbearer.wire.server_content import content_came, open_chunk
from postbearer.wire.server_replies import CommandRefused


def read_command(connection: ServerConnection) -> Event | None:
    start = bytes(connection.input.data[:5])
    if not connection.session.greeted and start.startswith(commands.TLS_RECORD):
        connection.close(server_replies.FOREIGN, "spoke TLS")
        return None
    limits = connection.offer.limits
    limit = limits.max_auth_line if start.upper() == b"AUTH " else limits.max_line
    try:
        line = connection.input.next_line(limit)
    except LineTooLong:
        _refuse_line(connection, start, server_replies.LINE_TOO_LONG)
        return None
    if line is None:
        raise Starved
    if not connection.session.greeted and commands.foreign(line):
        connection.close(server_replies.FOREIGN, "spoke another protocol")
        return None
    try:
        return _take(connection, *commands.split(line))
    except CommandRefused as refused:
        _refuse_line(connection, start, refused.reply)
        return None


def _refuse_line(connection: ServerConnection, start: bytes, reply: Reply) -> None:
    verb = start[:4].upper().decode("ascii", "replace")
    if verb == "DATA" and content_came(connection, reply):
        connection.note_refusal(reply, verb)
        return
    connection.refuse(reply, "STARTTLS" if verb == "STAR" else verb)
    if verb == "BDAT":
        # Nobody knows how many octets of content follow, and they must never be taken for commands.
        connection.hang_up("a chunk whose size cannot be read, or that was not offered")


def _take(connection: ServerConnection, verb: str, argument: str) -> Event | None:
    """Act on a command that could be read. Raises `CommandRefused`."""
    refusal = connection.session.refusal(verb)
    if verb == "BDAT":
        return open_chunk(connection, argument, refusal)
    if refusal is not None:
        raise CommandRefused(refusal)
    command = commands.parse(verb, argument, connection.session)
    match command:
        case Noop() | Vrfy() | Help():
            connection.idle(server_replies.IMMEDIATE[type(command)])
            return None
        case Rset():
            connection.session.transaction = None
            connection.idle(server_replies.OK)
        case Quit():
            connection.queue(server_replies.BYE)
            connection.hang_up("the client said QUIT", fault=False)
            connection.ended = True
        case _:
            connection.owed = command
    return command


# What the reply to a command changes. True: the reply goes out as it is.


def answered_hello(connection: ServerConnection, event: Event, reply: Reply) -> bool:
    if reply.positive:
        connection.session.greet(extended=isinstance(event, Ehlo))
    return True


def answered_starttls(connection: ServerConnection, event: Event, reply: Reply) -> bool:
    if not reply.positive:
        return True
    if connection.input.data:
        # Whoever wrote these octets in clear text, they must not come out behind the handshake;
        # to drop them and go on would hide an attack (CVE-2011-0411).
        connection.hang_up("data behind STARTTLS")
        return False
    connection.mode = Mode.TLS
    return True


def answered_mail(connection: ServerConnection, event: Event, reply: Reply) -> bool:
    if reply.positive and isinstance(event, Mail):
        connection.session.transaction = TransactionState(event)
        connection.session.messages += 1
    return True


def answered_rcpt(connection: ServerConnection, event: Event, reply: Reply) -> bool:
    connection.transaction.recipients += reply.positive
    return True
