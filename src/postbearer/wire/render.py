"""Commands as a client writes them (RFC 5321 4.1.1): from an event to one safe line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
    line_of, limit = _LINES.get(type(command), _BARE)
    try:
        line = line_of(command, offered, utf8) + CRLF
    except BadSyntax as error:
        raise LocalProtocolError(f"{name_of(command)} cannot be sent: {error}.") from None
    if len(line) > limit:
        raise LocalProtocolError(f"{name_of(command)} is too long: {len(line)} octets.")
    return line


def auth_fits(mechanism: str, initial: bytes) -> bool:
    """Whether AUTH may carry `initial` in its own line: RFC 4954 4 holds it to 512 octets with CRLF.

    If not, AUTH is sent without it, and it follows alone when the server has asked for it (334).
    """
    encoded = 4 * ((len(initial) + 2) // 3) or 1
    return len("AUTH ") + len(mechanism) + 1 + encoded + len(CRLF) <= grammar.MAX_COMMAND_LINE


def auth_line(command: Auth | AuthResponse) -> bytes:
    """The line of one step of AUTH, without CRLF: for clients that write their lines themselves."""
    return render(command, Extensions(), utf8=False).removesuffix(CRLF)


def _mail(command: Mail, offered: Extensions, utf8: bool) -> bytes:
    path = grammar.path(command.reverse_path, utf8=utf8)
    return f"MAIL FROM:{path}{render_mail(command.parameters, offered)}".encode()


def _rcpt(command: Rcpt, offered: Extensions, utf8: bool) -> bytes:
    if not command.forward_path:
        raise BadSyntax("A forward-path cannot be empty")
    path = grammar.path(command.forward_path, utf8=utf8)
    return f"RCPT TO:{path}{render_rcpt(command.parameters, offered)}".encode()


def _bdat(command: Bdat, offered: Extensions, utf8: bool) -> bytes:
    _owed(offered, "CHUNKING", "BDAT")
    if command.size < 0 or (command.size == 0 and not command.last):
        raise BadSyntax("An empty chunk can only be the last one")
    return (b"BDAT %d LAST" if command.last else b"BDAT %d") % command.size


def _ehlo(command: Ehlo, offered: Extensions, utf8: bool) -> bytes:
    return b"EHLO " + grammar.ehlo_name(command.name).encode()


def _starttls(command: StartTls, offered: Extensions, utf8: bool) -> bytes:
    _owed(offered, "STARTTLS", "STARTTLS")
    return b"STARTTLS"


# What these two write no log and no error may show.
def _auth(command: Auth, offered: Extensions, utf8: bool) -> bytes:
    if not grammar.SASL_MECHANISM.fullmatch(command.mechanism):
        raise BadSyntax("Not the name of a SASL mechanism")
    line = b"AUTH " + command.mechanism.encode()
    initial = command.initial
    return line if initial is None else line + b" " + grammar.initial_response_encode(initial)


def _auth_response(command: AuthResponse, offered: Extensions, utf8: bool) -> bytes:
    return b"*" if command.data is None else grammar.base64_encode(command.data)


def _bare(command: Command, offered: Extensions, utf8: bool) -> bytes:
    """DATA, RSET, NOOP, QUIT: the state table lets nothing else through."""
    return type(command).__name__.upper().encode()


def _owed(offered: Extensions, keyword: str, verb: str) -> None:
    if keyword not in offered.keywords:
        raise BadSyntax(f"the server does not offer {keyword}" if keyword != verb else "it is not offered")


# How each command is written, and how long its line may be.
_Line = Callable[[Any, Extensions, bool], bytes]
_BARE: tuple[_Line, int] = (_bare, grammar.MAX_COMMAND_LINE)
_LINES: Mapping[type[Command], tuple[_Line, int]] = {
    Ehlo: (_ehlo, grammar.MAX_COMMAND_LINE),
    StartTls: (_starttls, grammar.MAX_COMMAND_LINE),
    Auth: (_auth, grammar.MAX_COMMAND_LINE),
    AuthResponse: (_auth_response, MAX_AUTH_RESPONSE),
    Mail: (_mail, grammar.MAX_PATH_COMMAND_LINE),
    Rcpt: (_rcpt, grammar.MAX_PATH_COMMAND_LINE),
    Bdat: (_bdat, grammar.MAX_COMMAND_LINE),
}
