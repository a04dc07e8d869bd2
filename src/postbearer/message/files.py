"""Files of a message: what they are called, of which type they are, and how they stand in it."""

from __future__ import annotations

import codecs
import mimetypes
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from postbearer.address import refuse_controls
from postbearer.errors import UsageError
from postbearer.message.attached import seven_bit_message
from postbearer.message.written import WrittenPart, field, message_part, octets_part

Disposition = Literal["attachment", "inline"]

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"  # RFC 6838 4.2
_TYPE = re.compile(rf"({_NAME})/({_NAME})")
_WORD = r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]+"  # RFC 2045 5.1
_PARAMETER = re.compile(rf'[ ]*;[ ]*({_WORD})=({_WORD}|"(?:[^"\\]|\\.)*")[ ]*')
_OCTETS = "application/octet-stream"
_OURS = ("name", "boundary")  # of the file's name there is one place, and of boundaries none


class AttachedFile(NamedTuple):
    """A file: its name, and what is in it. The name tells its type, unless `type` says it."""

    name: str
    content: bytes
    type: str = ""  # a media type, with parameters if wanted: ``text/csv; charset=iso-8859-1``
    disposition: Disposition | None = None  # None: inline if the HTML shows it, else an attachment

    def attached(self) -> WrittenPart:
        """The file as a part. Raises `UsageError`."""
        return self._part(self.disposition or "attachment")

    def shown_as(self, cid: str) -> WrittenPart:
        """As the part that HTML shows by the name `cid`. Raises `UsageError`."""
        return self._part(self.disposition or "inline", f"Content-ID: <{cid}>\r\n".encode())

    def media_type(self) -> tuple[str, dict[str, str]]:
        """Its type, with parameters. Raises `UsageError` for one that is none, or that it cannot be."""
        refuse_controls(self.name, "the name of an attachment")
        kind = type_by_name(self.name)
        parameters: dict[str, str] = {}
        if self.type:
            main, sub, parameters = parse_media_type(self.type)
            if main == "multipart" or (main == "message" and sub != "rfc822"):
                raise UsageError(
                    f"{self.type!r:.80} cannot be the type of a file: it is never encoded (RFC 2046 5).",
                    hint="Give application/octet-stream.",
                )
            kind = f"{main}/{sub}"
            if main == "text":
                parameters = _with_charset(self.content, parameters)
        if kind.startswith(("message/", "multipart/")) and kind != "message/rfc822":
            return _OCTETS, {}
        return kind, parameters

    def _part(self, disposition: Disposition, *more: bytes) -> WrittenPart:
        kind, parameters = self.media_type()
        more = field("Content-Disposition", disposition, filename=self.name), *more
        if kind == "message/rfc822":
            if (message := seven_bit_message(self.content)) is not None:
                return message_part(message, *more)
            kind, parameters = _OCTETS, {}
        return octets_part(field("Content-Type", kind, **parameters), self.content, *more)


def parse_media_type(text: str) -> tuple[str, str, dict[str, str]]:
    """Both halves of a media type, in lower case, and its parameters (RFC 2045 5.1). Raises `UsageError`."""
    refuse_controls(text, "the type of a file")
    if (found := _TYPE.match(text)) is None:
        raise _no_type(text)
    parameters: dict[str, str] = {}
    place = found.end()
    while place < len(text):
        parameter = _PARAMETER.match(text, place)
        if parameter is None or not text.isascii() or parameter[1].lower() in parameters:
            raise _no_type(text)
        name, value = parameter[1].lower(), parameter[2]
        if name in _OURS:
            raise UsageError(
                f"{text!r:.80}: the parameter {name} is not for a file to say.", hint="Leave it away."
            )
        parameters[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        place = parameter.end()
    return found[1].lower(), found[2].lower(), parameters


def _no_type(text: str) -> UsageError:
    return UsageError(
        f"{text!r:.80} is no media type.", hint="Write text/csv, or text/csv; charset=iso-8859-1 (RFC 2045)."
    )


def _with_charset(content: bytes, parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a text: what is in it has to be of its charset, which is UTF-8 unless it says one."""
    given = parameters.get("charset", "utf-8")
    try:
        name = codecs.lookup(given).name
    except LookupError:
        return dict(parameters)  # one of others: they may know it
    if name in ("utf-8", "ascii"):
        try:
            content.decode(name)
        except UnicodeDecodeError as error:
            raise UsageError(
                f"The octet at {error.start} is no {given}.", hint="Say its charset: text/plain; charset=…"
            ) from None
    return {**parameters, "charset": given}


def type_by_name(name: str) -> str:
    """The media type that the name of a file tells."""
    kind, encoding = mimetypes.guess_type(name)
    return kind if kind and not encoding else _OCTETS
