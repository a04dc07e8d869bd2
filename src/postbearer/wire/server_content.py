"""The server core reads content: behind DATA up to its dot, and in the chunks of BDAT (RFC 3030)."""

from __future__ import annotations

from postbearer.reply import Reply
from postbearer.wire import commands, server_replies
from postbearer.wire.events import Bdat, Content, EndOfContent, Event
from postbearer.wire.sequence import Mode, TransactionState
from postbearer.wire.server_connection import ServerConnection, Starved
from postbearer.wire.server_replies import CommandRefused


def content_came(connection: ServerConnection, reply: Reply) -> bool:
    """Close behind a refused DATA where its content may come all the same: it is never commands."""
    if connection.offer.refuse_early:
        return False
    connection.close(reply, "a DATA was refused whose content may follow")
    return True


def read_data(connection: ServerConnection) -> Event | None:
    if not (octets := connection.input.take()):
        raise Starved
    transaction = connection.transaction
    content, rest = transaction.read_data(octets)
    if transaction.unstuffer is not None and transaction.unstuffer.done:
        connection.mode = Mode.DOT
    if rest:  # commands
        connection.input.put_back(rest)
    return _content(connection, transaction, content)


def read_dot(connection: ServerConnection) -> Event | None:
    return _end_content(connection, connection.transaction, last=True)


def open_chunk(connection: ServerConnection, argument: str, refusal: Reply | None) -> Event | None:
    """BDAT. Out of turn its octets are read all the same: as content, never as commands."""
    if not connection.session.extensions.chunking:
        raise CommandRefused(server_replies.NOT_IMPLEMENTED)
    command = commands.parse("BDAT", argument, connection.session)
    assert isinstance(command, Bdat)
    connection.chunk, connection.chunk_left, connection.chunk_refusal = command, command.size, refusal
    connection.mode = Mode.CHUNK
    if refusal is not None:
        return None
    transaction = connection.transaction
    if not transaction.chunked:
        transaction.begin_chunks()
    return command


def read_chunk(connection: ServerConnection) -> Event | None:
    if not connection.chunk_left:
        return _end_chunk(connection)
    piece = connection.input.take(connection.chunk_left)
    if not piece:
        raise Starved
    connection.chunk_left -= len(piece)
    if connection.chunk_refusal is not None:
        return None
    transaction = connection.transaction
    if transaction.check is not None:
        transaction.check.feed(piece)
    return _content(connection, transaction, piece)


def _end_chunk(connection: ServerConnection) -> Event | None:
    transaction, last = connection.session.transaction, connection.chunk.last
    if connection.chunk_refusal is not None:
        # A chunk was skipped: what comes behind it must not become a message without its middle.
        if transaction is not None:
            transaction.spoilt = True
        if last:
            connection.session.transaction = None
        connection.mode = Mode.COMMAND
        connection.note_refusal(connection.chunk_refusal, "BDAT")
        connection.idle(connection.chunk_refusal)
        return None
    if last and transaction is not None and transaction.check is not None:
        transaction.check.end()
    return _end_content(connection, connection.transaction, last=last)


def _content(connection: ServerConnection, transaction: TransactionState, piece: bytes) -> Event | None:
    """Hand on a piece of content, unless it will be refused anyway: then the end is still looked for."""
    transaction.size += len(piece)
    return Content(piece) if piece and not transaction.defect(connection.offer.limits) else None


def _end_content(connection: ServerConnection, transaction: TransactionState, *, last: bool) -> Event:
    defect = transaction.defect(connection.offer.limits)
    event = EndOfContent(last, defect)
    connection.mode = Mode.COMMAND
    if not defect:
        connection.owed = event
        return event
    _content_refused(connection, last)
    connection.refuse(server_replies.DEFECTS[defect], "CONTENT")
    if defect in ("line-ending", "nul"):
        # The client and we disagree about what a line is, so perhaps also about where its message ended.
        connection.hang_up("bare CR, bare LF or NUL in the content")
    return event


def _content_refused(connection: ServerConnection, last: bool) -> None:
    if last:
        connection.session.transaction = None
    else:
        connection.transaction.spoilt = True


def answered_data(connection: ServerConnection, event: Event, reply: Reply) -> bool:
    if not reply.intermediate:
        return not content_came(connection, reply)
    if connection.offer.refuse_early and connection.input.data:  # DATA ends its group (RFC 2920 3.1)
        connection.close(server_replies.EARLY, "sent content before the 354")
        return False
    connection.transaction.begin_data(lenient=connection.offer.lenient, bare=connection.input.bare_seen)
    connection.mode = Mode.DATA
    return True


def answered_content(connection: ServerConnection, event: Event, reply: Reply) -> bool:
    assert isinstance(event, EndOfContent)
    if not reply.positive:
        _content_refused(connection, event.last)
    elif event.last:
        connection.session.transaction = None
        connection.error_limit.renew()
    return True
