"""A queue as a file of lines: every open message, written by an export and taken by an import.

Each record of an import is checked as a whole before anything is made of it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, Final

from msgspec import Meta, MsgspecError, Struct, convert
from msgspec.json import decode

from postbearer.control.acts import Act, AuditRecorder
from postbearer.control.principal import Principal
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.store import Entry, Message, NewDelivery, Priority, Row, Spool, Staging, Status
from postbearer.tags import Tags, make_tags

Json = dict[str, Any]
CHUNK = 48 * 1024
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
    send_at: _Time | None = None
    tags: Tags = ()
    rows: tuple[Row, ...]

    def message(self) -> Message:
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "rows"}
        fields["tags"] = make_tags(self.tags)
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


class Transfer:
    """Between stores. All methods raise `StoreError`."""

    def __init__(self, spool: Spool, recorder: AuditRecorder) -> None:
        self._spool = spool
        self._recorder = recorder

    async def export(self) -> AsyncIterator[Json]:
        """Every open message, as records for one line each: the message, its content in pieces, its end."""
        async for entry, content in self._spool.export():
            yield {"message": _exported(entry)}
            for block in content.blocks(CHUNK):
                yield {"content": b64encode(block).decode()}
            yield {"end": entry.message.id}

    async def import_(self, records: AsyncIterator[bytes], *, by: Principal) -> int:
        """Take the lines of what `export` gave; returns how many messages.

        A message that is here already is left alone. Each is taken whole or not at all. Raises `UsageError`
        at the first strange record.
        """
        taken = 0
        current: tuple[ExportedMessage, Staging] | None = None
        digest = hashlib.sha256()
        try:
            async for each in records:
                record = read(each)
                if record.message is not None:
                    if current is not None:
                        raise _ends_within(current[0])
                    current = record.message, self._spool.stage(record.message.id)
                    digest = hashlib.sha256()
                elif current is None:
                    raise UsageError("This is no export of a queue, or its beginning is missing.")
                elif record.content is not None:
                    digest.update(record.content)
                    await current[1].write(record.content)
                elif record.end != current[0].id:
                    raise _ends_within(current[0])
                else:
                    taken += await self._import_one(*current, digest.hexdigest())
                    current = None
            if current is not None:
                raise _ends_within(current[0])
        finally:
            if current is not None:
                await current[1].discard()
            if taken:
                await self._recorder.done(Act(by=by, action="import"), count=taken)
        return taken

    async def _import_one(self, said: ExportedMessage, staging: Staging, digest: str) -> int:
        message = said.message()
        if digest != message.sha256 or staging.size != message.size:
            raise UsageError(f"The content of {message.id} is damaged; it was not taken.")
        if await self._spool.show(message.id) is not None:
            await staging.discard()
            return 0
        await self._spool.accept(message, staging, _open_deliveries(message, said.rows))
        return 1


def _exported(entry: Entry) -> Json:
    message = asdict(replace(entry.message, header=None))
    del message["header"]
    return message | {"rows": [asdict(row) for row in entry.rows]}


def _ends_within(message: ExportedMessage) -> UsageError:
    return UsageError(f"The export ends within the message {message.id}.")


def _open_deliveries(message: Message, rows: Sequence[Row]) -> list[NewDelivery]:
    """The deliveries that are still to be made."""
    wishes = {each.address: each for each in message.envelope.recipients}
    groups: dict[tuple[str, Priority, float, bool], list[Recipient]] = {}
    for row in rows:
        if row.status.final:
            continue
        key = row.account, row.priority, row.due or message.accepted, row.status is Status.HELD
        groups.setdefault(key, []).append(wishes.get(row.address) or Recipient(row.address))
    return [
        NewDelivery(
            account=account,
            recipients=tuple(recipients),
            priority=priority,
            client=message.client,
            due=due,
            held=held,
        )
        for (account, priority, due, held), recipients in groups.items()
    ]
