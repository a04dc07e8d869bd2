"""Commands as a client writes them (RFC 5321 4.1.1): from an event to one safe line."""

from __future__ import annotations

from postbearer.errors import LocalProtocolError
from postbearer.wire import grammar
from postbearer.wire.events import Auth, AuthResponse, Bdat, Command, Ehlo, Mail, Rcpt, StartTls
from postbearer.wire.extensions import Extensions
from postbearer.wire.grammar import CRLF, BadSyntax
from postbearer.wire.parameters import render_mail, render_rcpt
from postbearer.wire.state import name_of

# RFC 4954 4 sets no limit for a response; tokens stay far below, and what is above is no token.
MAX_AUTH_RESPONSE = 65_536


def render(command: Command, offered: Extensions, *, utf8: bool) -> bytes:
    """The line for `command`, with CRLF. `utf8`: the transaction was opened with SMTPUTF8.

    Raises `LocalProtocolError` for anything that could break the line, that the server does not
    offer, or that is too long.
    """
    try:
        line = _line(command, offered, utf8) + CRLF
    except BadSyntax as error:
        raise LocalProtocolError(f"{name_of(command)} cannot be sent: {error}.") from None
    if len(line) > _limit(command):
        raise LocalProtocolError(f"{name_of(command)} is too long: {len(line)} octets.")
    return line


def auth_fits(mechanism: str, initial: bytes) -> bool:
    """Whether AUTH may carry `initial` in its own line: RFC 4954 4 holds it to 512 octets with CRLF.

    If not, AUTH is sent without it, and it follows alone when the server has asked for it (334).
    """
    encoded = 4 * ((len(initial) + 2) // 3) or 1
    return len("AUTH ") + len(mechanism) + 1 + encoded + len(CRLF) <= grammar.MAX_COMMAND_LINE


def _line(command: Command, offered: Extensions, utf8: bool) -> bytes:
    match command:
        case Ehlo(name):
            return b"EHLO " + grammar.ehlo_name(name).encode()
        case Mail(address, parameters):
            path = grammar.path(address, utf8=utf8)
            return f"MAIL FROM:{path}{render_mail(parameters, offered)}".encode()
        case Rcpt(address, parameters):
            if not address:
                raise BadSyntax("A forward-path cannot be empty")
            path = grammar.path(address, utf8=utf8)
            return f"RCPT TO:{path}{render_rcpt(parameters, offered)}".encode()
        case Auth() | AuthResponse():
            return _secret_line(command)
        case Bdat(size, last):
            _owed(offered, "CHUNKING", "BDAT")
            if size < 0 or (size == 0 and not last):
                raise BadSyntax("An empty chunk can only be the last one")
            return b"BDAT %d LAST" % size if last else b"BDAT %d" % size
        case StartTls():
            _owed(offered, "STARTTLS", "STARTTLS")
            return b"STARTTLS"
        case _:  # DATA, RSET, NOOP, QUIT: the state table lets nothing else through
            return type(command).__name__.upper().encode()


def _secret_line(command: Auth | AuthResponse) -> bytes:
    """A line that no log and no error may show."""
    if isinstance(command, AuthResponse):
        return b"*" if command.data is None else grammar.base64_encode(command.data)
    if not grammar.SASL_MECHANISM.fullmatch(command.mechanism):
        raise BadSyntax("Not the name of a SASL mechanism")
    line = b"AUTH " + command.mechanism.encode()
    return line if command.initial is None else line + b" " + grammar.initial_response_encode(command.initial)


def _owed(offered: Extensions, keyword: str, verb: str) -> None:
    if keyword not in offered:
        raise BadSyntax(f"the server does not offer {keyword}" if keyword != verb else "it is not offered")


def _limit(command: Command) -> int:
    if isinstance(command, Mail | Rcpt):
        return grammar.MAX_PATH_COMMAND_LINE
    return MAX_AUTH_RESPONSE if isinstance(command, AuthResponse) else grammar.MAX_COMMAND_LINE
