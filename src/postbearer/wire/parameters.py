"""Parameters of MAIL and RCPT as text, both ways; spoken only where their extension is offered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, cast, get_args

from postbearer.envelope import Body, Notify, Ret
from postbearer.timestamps import format_timestamp, parse_timestamp
from postbearer.wire import grammar
from postbearer.wire.events import MailParameters, RcptParameters
from postbearer.wire.extensions import Extensions
from postbearer.wire.grammar import BadSyntax

_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 3
_INTERVAL = re.compile(r"[1-9][0-9]{0,8}")  # RFC 4865 4
_PRIORITY = re.compile(r"-?[1-9]|0")  # RFC 6710 4

_NO_MAIL_PARAMETERS, _NO_RCPT_PARAMETERS = MailParameters(), RcptParameters()  # as most commands have

MAX_ENVID = 100  # RFC 3461 4.4, in its encoded form
MAX_ORCPT = 500  # RFC 3461 4.2


class UnknownParameter(BadSyntax):
    """The parameter belongs to no extension that is offered (555, RFC 5321 4.1.1.11)."""


def parse_mail(text: str, offered: Extensions) -> MailParameters:
    """Read what follows the path of MAIL FROM.

    Raises `UnknownParameter` when the extension is not `offered`, `BadSyntax` for anything else.
    """
    if not text:
        return _NO_MAIL_PARAMETERS
    parameters = MailParameters(**_parse(text, offered, _MAIL))
    if parameters.hold_for is not None and parameters.hold_until is not None:  # RFC 4865 5
        raise BadSyntax("HOLDFOR and HOLDUNTIL exclude each other")
    return parameters


def parse_rcpt(text: str, offered: Extensions) -> RcptParameters:
    """Read what follows the path of RCPT TO. Raises as `parse_mail` does."""
    return RcptParameters(**_parse(text, offered, _RCPT)) if text else _NO_RCPT_PARAMETERS


def render_mail(parameters: MailParameters, offered: Extensions) -> str:
    """The text behind the path, with a space in front of each parameter. Raises as `parse_mail` does."""
    return _render(_mail_pairs(parameters), offered, _MAIL)


def render_rcpt(parameters: RcptParameters, offered: Extensions) -> str:
    """The text behind the path, with a space in front of each parameter. Raises as `parse_mail` does."""
    return _render(_rcpt_pairs(parameters), offered, _RCPT)


def _mail_pairs(parameters: MailParameters) -> Iterator[tuple[str, str | None]]:
    if parameters.size is not None:
        yield "SIZE", str(parameters.size)
    if parameters.body is not None:
        yield "BODY", parameters.body
    if parameters.smtputf8:
        yield "SMTPUTF8", None
    if parameters.ret is not None:
        yield "RET", parameters.ret
    if parameters.envid:
        yield "ENVID", grammar.xtext_encode(parameters.envid)
    if parameters.require_tls:
        yield "REQUIRETLS", None
    if parameters.priority is not None:
        yield "MT-PRIORITY", str(parameters.priority)
    if parameters.hold_for is not None:
        yield "HOLDFOR", str(parameters.hold_for)
    if parameters.hold_until is not None:
        yield "HOLDUNTIL", format_timestamp(parameters.hold_until)
    if parameters.auth is not None:
        yield "AUTH", parameters.auth if parameters.auth == "<>" else grammar.xtext_encode(parameters.auth)


def _rcpt_pairs(parameters: RcptParameters) -> Iterator[tuple[str, str | None]]:
    if parameters.notify:
        yield "NOTIFY", ",".join(parameters.notify)
    if parameters.orcpt:
        yield "ORCPT", grammar.original_recipient_encode(parameters.orcpt)


# Each parameter: the extension that brings it, the field it fills, and how its value is read.
_Reader = Callable[[str], object]
_Table = dict[str, tuple[str, str, _Reader | None]]


def _size(value: str) -> int:
    if not _SIZE.fullmatch(value):
        raise BadSyntax("SIZE is a number of octets")
    return int(value)


def _body(value: str) -> Body:
    return cast(Body, _one_of("BODY", value, get_args(Body)))


def _ret(value: str) -> Ret:
    return cast(Ret, _one_of("RET", value, get_args(Ret)))


def _envid(value: str) -> str:
    if len(value) > MAX_ENVID:
        raise BadSyntax("ENVID is longer than 100 characters")
    return grammar.xtext_decode(value)


def _priority(value: str) -> int:
    if not _PRIORITY.fullmatch(value):
        raise BadSyntax("MT-PRIORITY lies between -9 and 9")
    return int(value)


def _hold_for(value: str) -> int:
    if not _INTERVAL.fullmatch(value):
        raise BadSyntax("HOLDFOR is a number of seconds, without a leading zero and of nine digits at most")
    return int(value)


def _hold_until(value: str) -> float:
    try:
        return parse_timestamp(value)
    except ValueError as error:
        raise BadSyntax(f"HOLDUNTIL {error}") from None


def _auth(value: str) -> str:
    return value if value == "<>" else grammar.xtext_decode(value)


def _notify(value: str) -> tuple[Notify, ...]:
    wishes = [_one_of("NOTIFY", wish, get_args(Notify)) for wish in value.split(",")]
    if len(set(wishes)) != len(wishes) or ("NEVER" in wishes and len(wishes) > 1):
        raise BadSyntax("NOTIFY holds values that exclude each other")  # RFC 3461 4.1
    return tuple(cast(list[Notify], wishes))


def _orcpt(value: str) -> str:
    if len(value) > MAX_ORCPT:
        raise BadSyntax("ORCPT is longer than 500 characters")
    return grammar.original_recipient_decode(value)


def _one_of(keyword: str, value: str, known: tuple[str, ...]) -> str:
    if (upper := value.upper()) not in known:
        raise BadSyntax(f"{keyword} is one of {', '.join(known)}")
    return upper


_MAIL: _Table = {
    "SIZE": ("SIZE", "size", _size),
    "BODY": ("8BITMIME", "body", _body),
    "SMTPUTF8": ("SMTPUTF8", "smtputf8", None),
    "RET": ("DSN", "ret", _ret),
    "ENVID": ("DSN", "envid", _envid),
    "REQUIRETLS": ("REQUIRETLS", "require_tls", None),
    "MT-PRIORITY": ("MT-PRIORITY", "priority", _priority),
    "HOLDFOR": ("FUTURERELEASE", "hold_for", _hold_for),
    "HOLDUNTIL": ("FUTURERELEASE", "hold_until", _hold_until),
    "AUTH": ("AUTH", "auth", _auth),
}
_RCPT: _Table = {
    "NOTIFY": ("DSN", "notify", _notify),
    "ORCPT": ("DSN", "orcpt", _orcpt),
}


def _parse(text: str, offered: Extensions, table: _Table) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for item in text.split():
        keyword, equals, value = item.partition("=")
        _, name, reader = _known(keyword.upper(), value, offered, table)
        if name in fields:
            raise BadSyntax(f"{keyword.upper()} is given twice")
        if (reader is None) == bool(equals):
            raise BadSyntax(f"{keyword.upper()} takes {'no' if reader is None else 'a'} value")
        if equals and not grammar.ESMTP_VALUE.fullmatch(value):
            raise BadSyntax(f"{keyword.upper()} has no valid value")
        fields[name] = True if reader is None else reader(value)
    return fields


def _render(pairs: Iterator[tuple[str, str | None]], offered: Extensions, table: _Table) -> str:
    written = ""
    for keyword, value in pairs:
        _, _, reader = _known(keyword, value or "", offered, table)
        if reader is not None:  # what we would not take we do not send
            if not grammar.ESMTP_VALUE.fullmatch(value or ""):
                raise BadSyntax(f"{keyword} has no valid value")
            reader(value or "")
        written += f" {keyword}" if value is None else f" {keyword}={value}"
    return written


def _known(keyword: str, value: str, offered: Extensions, table: _Table) -> tuple[str, str, _Reader | None]:
    if keyword not in table:
        raise UnknownParameter("Parameter not recognized")
    extension = table[keyword][0]
    if extension not in offered.keywords:
        raise UnknownParameter(f"{keyword} needs {extension}, which is not offered")
    if keyword == "BODY" and value.upper() == "BINARYMIME" and not (offered.binarymime and offered.chunking):
        raise UnknownParameter("BODY=BINARYMIME needs BINARYMIME and CHUNKING, which are not offered")
    return table[keyword]
