"""``control.sock``: people ask the running relay about its queue and its accounts, and tell it what to do;
programs of the same user get access tokens here.

One JSON object a line. ``{"act": "queue.show", "with": {"message": "…"}}`` is answered by ``{"ok": …}`` or
by ``{"error": {"type": …, "message": …, "hint": …}}``, with what else the error knows of `TOLD`, and
``problems``, each such an object, where there are several. An export
comes as one ``{"item": …}`` a record before its ``ok``; an import goes the other way, and ends with an empty
line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import decode

from postbearer.clock import Clock
from postbearer.control.answers import encode
from postbearer.control.methods import EXPORT, IMPORT, perform, permit
from postbearer.control.operations import Operations
from postbearer.control.principal import ALL, LOOKING, Principal, of_this_process, of_user
from postbearer.errors import ConfigErrors, NotPermitted, PostbearerError, UsageError
from postbearer.events import Observer
from postbearer.serving import Link, LocalServer, Reader, in_group, peer_name
from postbearer.tasks import Tasks, defect

NAME = "control.sock"
MODE = 0o600
GROUP_MODE = 0o660  # where operators may look
IDLE = 60.0  # seconds until the next request, and for each write
LONGEST_REQUEST = 64 * 1024
LONGEST_RECORD = 8 * 1024 * 1024  # of an import: a message with a thousand recipients
TOLD = ("account", "code", "who", "configuration", "retry_after", "reference", "key", "file", "line")
LONGEST_ANSWER = 16 * 1024 * 1024  # of one act; thousands of accounts, or of messages with many recipients
AT_ONCE = 64  # connections: programs that want a token come in crowds
_UNREADABLE = (DecodeError, ValidationError, UnicodeDecodeError, RecursionError)


class Request(Struct, forbid_unknown_fields=True, frozen=True, rename={"with_": "with"}):
    """One line from the client."""

    act: str
    with_: dict[str, Any] = {}


class ControlServer:
    """Answers the relay's own user and root; members of the group `operators` may look."""

    def __init__(
        self,
        folder: Path,
        operations: Operations,
        clock: Clock,
        observer: Observer,
        *,
        operators: int | None = None,
    ) -> None:
        self._operations = operations
        self._observer = observer
        self._operators = operators
        self._busy = 0
        mode = MODE if operators is None else GROUP_MODE
        tasks = Tasks(clock, observer)
        self._server = LocalServer(folder / NAME, mode, self._serve, tasks, group=operators)

    @property
    def path(self) -> Path:
        return self._server.path

    def use(self, operations: Operations) -> None:
        """Work on another configuration from the next request on."""
        self._operations = operations

    async def start(self) -> None:
        """Listen. Raises `ConfigError` when the path cannot be had."""
        await self._server.start()

    async def stop(self, patience: float = 1.0) -> None:
        """Take no new connection; let what is under way finish for up to `patience` seconds."""
        await self._server.stop(patience)

    async def _serve(self, link: Link) -> None:
        by = await asyncio.to_thread(self._principal, link.user)
        if by is None:
            await _say(link, _error(NotPermitted("Only the relay's own user and root may do this.")))
            return
        if self._busy >= AT_ONCE:
            await _say(link, _error(UsageError("Too many others ask the relay now; try again.")))
            return
        self._busy += 1
        try:
            reader = Reader(link)
            while (line := await reader.line(LONGEST_REQUEST, IDLE)) is not None:
                await self._answer(link, reader, line, by)
            if reader.overlong:
                text = f"A request to the relay may have {LONGEST_REQUEST // 1024} KiB."
                await _say(link, _error(UsageError(text, hint="Ask for less at a time.")))
        finally:
            self._busy -= 1

    def _principal(self, uid: int | None) -> Principal | None:
        """Who is at the other end; None for who may do nothing. May ask a directory server."""
        if uid is None:  # the system does not tell; the mode of the socket decides
            return replace(of_this_process(), known_by=NAME)
        if uid in (0, os.geteuid()):
            return of_user(uid, ALL)
        if self._operators is not None and in_group(uid, self._operators):
            return of_user(uid, LOOKING)
        return None

    async def _answer(self, link: Link, reader: Reader, line: bytes, by: Principal) -> None:
        try:
            request = _request(line)
            permit(by, request.act)
        except PostbearerError as error:
            await _say(link, _error(error))
            return
        try:
            if request.act == EXPORT:
                async for record in self._operations.transfer.export():
                    await _say(link, {"item": record})
                done = None
            elif request.act == IMPORT:
                done = await self._operations.transfer.import_(_records(reader), by=by)
            else:
                done = await perform(self._operations, by, request.act, request.with_)
        except PostbearerError as error:
            await _say(link, _error(error))
        except (OSError, TimeoutError, asyncio.CancelledError):
            raise
        except Exception as error:
            self._observer.notice(defect(error, f"control.sock, {request.act}", peer=peer_name(link.user)))
            await _say(link, _error(PostbearerError("This is a defect in postbearer; the log knows more.")))
        else:
            await _say_all(link, done)


def _request(line: bytes) -> Request:
    try:
        return decode(line, type=Request)
    except _UNREADABLE as error:
        raise UsageError(f"This is no request: {error}.") from None


async def _records(reader: Reader) -> AsyncIterator[bytes]:
    """The lines of an import. Raises `UsageError` when they end too early."""
    while line := await reader.line(LONGEST_RECORD, IDLE):
        yield line
    if line is None:
        raise UsageError("The import was cut off.")


async def _say(link: Link, answer: dict[str, Any]) -> None:
    await link.write(encode(answer) + b"\n", IDLE)


async def _say_all(link: Link, done: object) -> None:
    """The answer to an act, or an error where it would be too long for both ends to hold."""
    answer = encode({"ok": done}) + b"\n"
    if len(answer) > LONGEST_ANSWER:
        text = f"The answer would have {len(answer) >> 20} MiB; {LONGEST_ANSWER >> 20} is the most."
        answer = encode(_error(UsageError(text, hint="Ask for less: --limit, or a filter."))) + b"\n"
    await link.write(answer, IDLE)


def _error(error: PostbearerError) -> dict[str, Any]:
    return {"error": _told(error)}


def _told(error: PostbearerError) -> dict[str, Any]:
    told: dict[str, Any] = {"type": error.name, "message": error.message, "hint": error.hint}
    told |= {name: value for name in TOLD if (value := getattr(error, name, None))}
    if isinstance(error, ConfigErrors):
        told["problems"] = [_told(each) for each in error.problems]
    return told
