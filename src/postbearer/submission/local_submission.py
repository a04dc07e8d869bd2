"""``submit.sock``: where programs of this machine hand over mail. Who they are, the kernel says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from postbearer.engine import Submitter
from postbearer.errors import UsageError
from postbearer.events import CommandRejected, hears
from postbearer.reply import Reply
from postbearer.serving import Link, LocalServer, Reader, peer_name, user_name
from postbearer.submission.access import LOCAL, LOCAL_USER
from postbearer.submission.enqueue import INCOMPLETE, enqueue, plain
from postbearer.submission.rate_limit import ConnectionLimit
from postbearer.submission.session import FAILED, ListenerContext, SmtpSession
from postbearer.submission.submit_protocol import (
    LONGEST_LINE,
    SMTP,
    Lengths,
    TooManyRecipients,
    parse_line,
    parse_slip,
)
from postbearer.tasks import Tasks
from postbearer.wire import compose

NAME = "submit.sock"
MODE = 0o666  # any local user may send, as with /usr/sbin/sendmail; who it was is known and logged
PROMPT = 30.0  # seconds for the first line and the envelope: they are written before we are called
BLOCK = 256 * 1024


class LocalSubmission:
    """The hand-over socket. One message a connection, or a conversation in SMTP for ``sendmail -bs``."""

    def __init__(
        self,
        folder: Path,
        listener_context: ListenerContext,
        doors: ConnectionLimit,
        *,
        client: Submitter = LOCAL,
    ) -> None:
        self._context = listener_context
        self._doors = doors
        self._client = client
        self._sessions: set[SmtpSession] = set()
        self._server = LocalServer(
            folder / NAME, MODE, self._serve, Tasks(listener_context.clock, listener_context.observer)
        )

    @property
    def path(self) -> Path:
        return self._server.path

    def use(self, listener_context: ListenerContext, client: Submitter = LOCAL) -> None:
        """Serve new connections by another configuration."""
        self._context, self._client = listener_context, client

    async def start(self) -> None:
        """Listen. Raises `ConfigError` when the path cannot be had."""
        await self._server.start()

    async def stop(self, patience: float) -> None:
        """Take no new message; let those under way finish for up to `patience` seconds."""
        for session in tuple(self._sessions):
            session.stop()
        await self._server.stop(patience)

    async def _serve(self, link: Link) -> None:
        uid = link.user
        bounds = self._context.bounds
        with self._doors.enter(peer_name(uid)) as refusal:
            if refusal:
                answer: Reply | None = compose(421, refusal, enhanced="4.7.0")
            else:
                try:
                    async with asyncio.timeout(bounds.session):
                        answer = await self._answer(link, await local_client(self._client, uid))
                except TimeoutError:
                    answer = compose(421, "Took too long", enhanced="4.4.2")
                except Exception:  # any: who waits is told to try again, and the log what it was
                    await link.write(_line(FAILED), bounds.write)
                    raise
            if answer is not None:
                observer = self._context.observer
                if answer.code >= 400 and hears(observer, CommandRejected):
                    peer = peer_name(uid)
                    observer.notice(CommandRejected("", peer=peer, command="SUBMIT", code=answer.code))
                await link.write(_line(answer), bounds.write)

    async def _answer(self, link: Link, client: Submitter) -> Reply | None:
        """The reply to what is handed over; None after a conversation in SMTP."""
        reader = Reader(link)
        line = await reader.line(LONGEST_LINE, PROMPT)
        if line is None:
            return compose(500, "This is not how a message is handed over", enhanced="5.5.2")
        if line == SMTP:
            reader.give_back()
            await self._converse(link, client)
            return None
        if not self._context.rate_limit.admit(client):
            return compose(450, "Too many messages; try again in a minute", enhanced="4.7.1")
        try:
            lengths = parse_line(line)
            slip = parse_slip(await _exactly(reader, lengths.envelope))
        except TooManyRecipients as error:
            return compose(550, error.message, enhanced="5.5.3")
        except UsageError as error:
            return compose(501, plain(error.message), enhanced="5.5.2")
        except EOFError:
            return INCOMPLETE
        blocks = self._content(reader, lengths)
        done = await enqueue(self._context.intake, client, slip, lengths.content, blocks)
        return done if isinstance(done, Reply) else Reply(250, (f"queued as {done}".encode(),))

    async def _converse(self, link: Link, client: Submitter) -> None:
        # What a program pipes into `sendmail -bs` comes at once, and ends its lines as files do.
        offer = replace(self._context.offer, refuse_early=False, lenient=True)
        session = SmtpSession(replace(self._context, offer=offer), link, client)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    async def _content(self, reader: Reader, lengths: Lengths) -> AsyncIterator[bytes]:
        """The content as it comes, which has to be at a rate."""
        bounds, clock = self._context.bounds, self._context.clock
        begun, left = clock.monotonic(), lengths.content
        while left:
            due = begun + bounds.grace + (lengths.content - left) / bounds.slowest
            block = await reader.some(min(left, BLOCK), max(0.0, due - clock.monotonic()))
            if not block:
                return
            left -= len(block)
            yield block


async def local_client(base: Submitter, uid: int | None) -> Submitter:
    """`base` under the name of the user; where the system does not tell who it is, `base` itself."""
    if uid is None:
        return base
    name = await asyncio.to_thread(user_name, uid)  # may ask a directory server
    return replace(base, name=f"{LOCAL_USER}{name}")


async def _exactly(reader: Reader, length: int) -> bytes:
    """Raises `EOFError` when less comes."""
    octets = bytearray()
    async with asyncio.timeout(PROMPT):
        while len(octets) < length:
            if not (block := await reader.some(length - len(octets), PROMPT)):
                raise EOFError
            octets += block
    return bytes(octets)


def _line(reply: Reply) -> bytes:
    with suppress(UnicodeEncodeError):
        return f"{reply}\n".encode("ascii")
    return f"{reply.code}\n".encode()
