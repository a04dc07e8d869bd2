"""A command line, as a server reads it (RFC 5321 4.1.1): from bytes to an event, or a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from postbearer.wire import grammar, server_replies
from postbearer.wire.events import (
    Auth,
    Bdat,
    Command,
    Data,
    Ehlo,
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
from postbearer.wire.grammar import BadSyntax
from postbearer.wire.parameters import UnknownParameter, parse_mail, parse_rcpt
from postbearer.wire.sequence import ServerSession
from postbearer.wire.server_replies import CommandRefused
from postbearer.wire.status import Code, compose

# RFC 3030 2 allows 20 digits; what needs more than 18 cannot be waited for.
_BDAT = re.compile(r"([0-9]{1,18})(?: +(LAST))?", re.IGNORECASE)

# Real verbs of SMTP and its relatives that this server does not serve.
NOT_IMPLEMENTED: Final = frozenset(
    {
        "ATRN",
        "BURL",
        "ETRN",
        "EXPN",
        "PROXY",
        "SAML",
        "SEND",
        "SOML",
        "TURN",
        "XCLIENT",
        "XEXCH50",
        "XFORWARD",
    }
)
# What speaks another protocol begins with one of these, before any EHLO.
FOREIGN: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PRI", "PROXY", "PUT", "TRACE"}
)
TLS_RECORD: Final = b"\x16\x03"  # a ClientHello in its record (RFC 8446 5.1)


def foreign(line: bytes) -> bool:
    """Whether the first line of a connection is HTTP, SSH, PROXY or TLS rather than SMTP."""
    word = line.partition(b" ")[0]
    return word.upper().decode("latin-1") in FOREIGN or line.startswith((b"SSH-", TLS_RECORD))


def split(line: bytes) -> tuple[str, str]:
    """A line without its CRLF as verb (upper case) and argument.

    Raises `CommandRefused`: 500 for a verb that is none, 502 for one not served, 501 for control
    characters or broken UTF-8 behind a known verb.
    """
    verb = line.partition(b" ")[0].upper().decode("latin-1")
    if verb not in ARGUMENTS:
        raise CommandRefused(
            server_replies.NOT_IMPLEMENTED if verb in NOT_IMPLEMENTED else server_replies.UNRECOGNIZED
        )
    try:
        return grammar.command_line(line)
    except BadSyntax as error:
        raise _bad(error) from None


def parse(verb: str, argument: str, session: ServerSession) -> Command:
    """The command behind what `split` returned. Raises `CommandRefused` when its argument is not valid."""
    try:
        return ARGUMENTS[verb](argument, session)
    except UnknownParameter as error:
        raise CommandRefused(compose(Code.PARAMETER_NOT_RECOGNIZED, str(error), enhanced="5.5.4")) from None
    except BadSyntax as error:
        raise _bad(error) from None


def decode_response(line: bytes, limit: int) -> bytes:
    """The client's answer to a 334 (RFC 4954 4), at most `limit` octets. Raises `CommandRefused`."""
    try:
        return _bounded(grammar.base64_decode(line), limit)
    except BadSyntax as error:
        raise _bad(error, "5.5.2") from None


def _bad(error: BadSyntax, enhanced: str = "5.5.4") -> CommandRefused:
    return CommandRefused(compose(Code.ARGUMENT_ERROR, str(error), enhanced=enhanced))


def _bounded(blob: bytes, limit: int) -> bytes:
    if len(blob) > limit:
        raise CommandRefused(server_replies.BLOB_TOO_LONG)
    return blob


def _ehlo(argument: str, session: ServerSession) -> Command:
    return Ehlo(grammar.announced_name(argument, lenient=session.offer.lenient))


def _helo(argument: str, session: ServerSession) -> Command:
    return Helo(grammar.announced_name(argument, lenient=session.offer.lenient))


def _auth(argument: str, session: ServerSession) -> Command:
    mechanism, space, initial = argument.partition(" ")
    mechanism = mechanism.upper()
    if not grammar.SASL_MECHANISM.fullmatch(mechanism):
        raise BadSyntax("AUTH needs the name of a mechanism")
    offered = session.offer.mechanisms if session.offer.lenient else session.extensions.mechanisms
    if mechanism not in offered:
        raise CommandRefused(server_replies.UNKNOWN_MECHANISM)
    if not space:
        return Auth(mechanism)
    try:
        blob = grammar.initial_response_decode(initial)
    except BadSyntax as error:
        raise _bad(error, "5.5.2") from None
    return Auth(mechanism, _bounded(blob, session.offer.limits.max_auth_blob))


def _mail(argument: str, session: ServerSession) -> Command:
    reverse_path, text = grammar.mail_argument(argument, lenient=session.offer.lenient)
    parameters = parse_mail(text, session.extensions)
    if not (parameters.smtputf8 or reverse_path.isascii()):
        raise CommandRefused(server_replies.NON_ASCII)
    limit = session.offer.limits.max_size
    if limit and (parameters.size or 0) > limit:
        raise CommandRefused(server_replies.TOO_LARGE)
    return Mail(reverse_path, parameters)


def _rcpt(argument: str, session: ServerSession) -> Command:
    forward_path, text = grammar.rcpt_argument(argument, lenient=session.offer.lenient)
    parameters = parse_rcpt(text, session.extensions)
    if not (forward_path.isascii() or session.utf8):
        raise CommandRefused(server_replies.NON_ASCII)
    return Rcpt(forward_path, parameters)


def _bdat(argument: str, session: ServerSession) -> Command:
    if not (found := _BDAT.fullmatch(argument)):
        raise CommandRefused(server_replies.BAD_CHUNK_SIZE)
    return Bdat(int(found[1]), found[2] is not None)


def _bare(command: Command) -> Callable[[str, ServerSession], Command]:
    """A verb without argument."""

    def parse(argument: str, session: ServerSession) -> Command:
        if argument:
            raise BadSyntax("This command takes no argument")
        return command

    return parse


ARGUMENTS: Final[Mapping[str, Callable[[str, ServerSession], Command]]] = {
    "EHLO": _ehlo,
    "HELO": _helo,
    "STARTTLS": _bare(StartTls()),
    "AUTH": _auth,
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _bare(Data()),
    "BDAT": _bdat,
    "RSET": _bare(Rset()),
    "NOOP": lambda argument, session: Noop(),
    "VRFY": lambda argument, session: Vrfy(argument),
    "HELP": lambda argument, session: Help(),
    "QUIT": _bare(Quit()),
}
