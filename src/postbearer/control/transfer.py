"""The records of a queue that was exported: each is checked as a whole before anything is made of it."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, MsgspecError, Struct, convert
from msgspec.json import decode

from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.store import Message, Row

_LINE: Final = r"^[^\x00-\x1f\x7f]*$"  # what becomes a header field, or a line for people
_Line = Annotated[str, Meta(max_length=2000, pattern=_LINE)]
_Identifier = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$")]
_Name = Annotated[str, Meta(pattern=r"^[^\x00-\x20\x7f/\\]{1,200}$")]
_Time = Annotated[float, Meta(ge=0, le=1e11)]


class ExportedMessage(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message without its content, and where its recipients stand. The fields are those of `Message`."""

    id: _Identifier
    accepted: _Time
    client: _Line
    envelope: Envelope
    received: _Line
    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    eight_bit: bool = False
    binary: bool = False
    expires: _Time
    message_id: _Line = ""
    author: _Line = ""
    subject: _Line = ""
    report_of: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]{0,64}$")] = ""
    rows: tuple[Row, ...]

    def message(self) -> Message:
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "rows"}
        return Message(**fields)


class Record(Struct, forbid_unknown_fields=True, frozen=True):
    """One line: a message begins, a piece of its content, or its end."""

    message: ExportedMessage | None = None
    content: bytes | None = None  # base64 in JSON
    end: str | None = None


class _Place(Struct):
    """Of a row, what has to be a name, and a time."""

    account: _Name
    due: _Time | None


def read(line: bytes) -> Record:
    """The record in a line, if it is one. Raises `UsageError` that says what is wrong with it and where."""
    try:
        record = decode(line, type=Record)
        for row in record.message.rows if record.message is not None else ():
            convert({"account": row.account, "due": row.due}, _Place)
    except (MsgspecError, UsageError, UnicodeError, RecursionError) as error:
        raise UsageError(f"This is no export of a queue, or it is damaged: {error}.") from None
    if sum(part is not None for part in (record.message, record.content, record.end)) != 1:
        raise UsageError("A record of the export is a message, a piece of content, or an end.")
    return record
