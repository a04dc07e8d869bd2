"""The server core reads the client's part of AUTH (RFC 4954 4): its responses, and what a failure costs."""

from __future__ import annotations

from postbearer.reply import Reply
from postbearer.wire import commands, server_replies
from postbearer.wire.buffer import LineTooLong
from postbearer.wire.events import AuthResponse, Event
from postbearer.wire.sequence import Mode
from postbearer.wire.server_connection import ServerConnection, Starved
from postbearer.wire.server_replies import CommandRefused


def read_response(connection: ServerConnection) -> Event | None:
    limits = connection.offer.limits
    try:
        line = connection.input.next_line(limits.max_auth_line)
    except LineTooLong:
        return _end_auth(connection, server_replies.BLOB_TOO_LONG)
    if line is None:
        raise Starved
    if line == b"*":
        return _end_auth(connection, server_replies.AUTH_CANCELLED)
    try:
        connection.owed = AuthResponse(commands.decode_response(line, limits.max_auth_blob))
    except CommandRefused as refused:
        return _end_auth(connection, refused.reply)
    return connection.owed


def _end_auth(connection: ServerConnection, reply: Reply) -> Event:
    """The exchange is over without a word of the driver."""
    connection.mode = Mode.COMMAND
    connection.note_refusal(reply, "AUTH")
    if _login_failed(connection):
        connection.queue(reply)
    return AuthResponse(None)


def _login_failed(connection: ServerConnection) -> bool:
    """Count a failed login; False when it was one too many, and the client is turned away instead."""
    bearable = connection.error_limit.login_failed()
    if not bearable:
        connection.close(server_replies.TOO_MANY_LOGINS)
    return bearable


def answered_auth(connection: ServerConnection, event: Event, reply: Reply) -> bool:
    connection.mode = Mode.RESPONSE if reply.intermediate else Mode.COMMAND
    if reply.positive:
        connection.session.authenticated = True
    return reply.positive or reply.intermediate or _login_failed(connection)
