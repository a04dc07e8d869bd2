"""One mail transaction in as few round trips as the server allows.

======================  ===========  =============================================================
offered                 round trips  how
======================  ===========  =============================================================
PIPELINING, CHUNKING    1            MAIL, RCPT …, BDAT LAST and the content in one flight
the same, large         2 and more   MAIL, RCPT …; then BDAT chunks, a few unanswered at a time
PIPELINING              2            MAIL, RCPT …, DATA; then the content
neither                 4 and more   each command by itself
======================  ===========  =============================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence

from postbearer.errors import NetworkError, RemoteProtocolError
from postbearer.message import Content
from postbearer.reply import Reply
from postbearer.transport.conversation import Conversation
from postbearer.transport.outcomes import Replies
from postbearer.wire import Answer, Bdat, ClientState, Command, Data, EndOfContent, Mail, Rcpt

ONE_FLIGHT = 256 * 1024  # more is not sent before the recipients are known to be taken
CHUNK = 256 * 1024
WINDOW = 4  # chunks without an answer


def transact(
    talk: Conversation, mail: Mail, rcpts: Sequence[Rcpt], content: Content, *, hurry: bool = True
) -> Coroutine[None, None, Replies]:
    """Offer one message to `rcpts`. What ends the connection is returned as ``Replies.error``.

    Without `hurry` no content leaves before the server has answered, whatever it offers: then an
    old connection that turns out to be dead leaves no doubt.
    """
    return _Transaction(talk, mail, rcpts, content).run(hurry=hurry)


class _Transaction:
    def __init__(self, talk: Conversation, mail: Mail, rcpts: Sequence[Rcpt], content: Content) -> None:
        self.replies = Replies([None] * len(rcpts))
        self._talk = talk
        self._mail = mail
        self._rcpts = rcpts
        self._content = content
        self._answered = 0  # RCPTs
        self._go: Reply | None = None  # the answer to DATA

    async def run(self, *, hurry: bool) -> Replies:
        offered = self._talk.core.extensions
        try:
            if not offered.chunking:
                await self._by_data(pipelining=offered.pipelining)
            elif hurry and offered.pipelining and self._content.size <= ONE_FLIGHT:
                await self._in_one_flight()
            else:
                await self._envelope(pipelining=offered.pipelining)
                if self.replies.accepted and not self.replies.closing:
                    await self._in_chunks(WINDOW if offered.pipelining else 1)
        except (NetworkError, RemoteProtocolError) as error:
            self.replies.error = error
        return self.replies

    async def _in_one_flight(self) -> None:
        content = b"".join(self._content.blocks())
        bdat = Bdat(len(content), last=True)
        commands: tuple[Command, ...] = (self._mail, *self._rcpts, bdat)
        flight = [self._talk.prepare(command) for command in commands]
        flight.append(self._talk.content(content))
        await self._talk.write(b"".join(flight), bdat)
        self.replies.complete = self._talk.writable
        await self._take_all()

    async def _in_chunks(self, window: int) -> None:
        for chunk, last in _marked(_pieces(self._content.blocks(), CHUNK)):
            while self._talk.owed >= window:
                await self._take()
            if self.replies.final is not None:  # refused: nothing more may be sent (RFC 3030 2)
                break
            bdat = Bdat(len(chunk), last)
            await self._talk.write(self._talk.prepare(bdat) + self._talk.content(chunk), bdat)
            await asyncio.sleep(0)  # as in `_dotted`
            self.replies.complete = last and self._talk.writable
        await self._take_all()

    async def _by_data(self, *, pipelining: bool) -> None:
        if pipelining:
            await self._envelope(Data(), pipelining=True)
        else:
            await self._envelope(pipelining=False)
            if self.replies.accepted and not self.replies.closing:
                await self._envelope_step(Data())
        # Where the replies have led decides, not the 354 alone: behind a 421 it may come too, and then
        # the server closes and no content can follow (RFC 5321 3.8, RFC 2920 3.1).
        state = self._talk.core.state
        if state is ClientState.CONTENT:
            await self._dotted()
        elif state is ClientState.UNWANTED:
            await self._lone_dot()
        elif self._go is not None and not self._go.intermediate:
            self.replies.data = self._go

    async def _dotted(self) -> None:
        waiting = b""
        for piece in _pieces(self._content.blocks(), CHUNK):
            if waiting:
                await self._talk.write(waiting, Bdat(0, last=False))
                await asyncio.sleep(0)  # what is converted takes its time, and a write need not wait
            waiting = self._talk.content(piece)
        end = EndOfContent()
        await self._talk.write(waiting + self._talk.prepare(end), end)
        self.replies.complete = self._talk.writable
        await self._take_all()

    async def _lone_dot(self) -> None:
        """354 though nobody was accepted: end the content that never was (RFC 2920 3.1)."""
        await self._talk.abort_content()
        await self._talk.answer()

    async def _envelope(self, *behind: Command, pipelining: bool) -> None:
        commands: tuple[Command, ...] = (self._mail, *self._rcpts, *behind)
        if pipelining:
            await self._talk.send(*commands)
            await self._take_all()
            return
        for command in commands:
            await self._envelope_step(command)
            if self.replies.closing or not self._mail_accepted:
                return

    async def _envelope_step(self, command: Command) -> None:
        await self._talk.send(command)
        await self._take()

    async def _take_all(self) -> None:
        for _ in range(self._talk.owed):
            self._note(self._talk.ready() or await self._talk.answer())

    async def _take(self) -> None:
        self._note(await self._talk.answer())

    def _note(self, answer: Answer) -> None:
        """Put an answer where it belongs."""
        command, reply = answer.command, answer.reply
        if reply.intermediate and not isinstance(command, Data):
            raise _unexpected(type(command).__name__.upper(), reply)
        if isinstance(command, Mail):
            self.replies.mail = reply
        elif isinstance(command, Rcpt):
            self.replies.rcpts[self._answered] = reply
            self.replies.accepted += reply.positive
            self._answered += 1
        elif isinstance(command, Data):
            self._go = reply
        else:
            self._note_content(answer)

    def _note_content(self, answer: Answer) -> None:
        last = not isinstance(answer.command, Bdat) or answer.command.last
        if self.replies.final is None and (last or not answer.reply.positive):
            self.replies.final = answer.reply

    @property
    def _mail_accepted(self) -> bool:
        return self.replies.mail is not None and self.replies.mail.positive


def _pieces(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same octets in pieces of about `size`."""
    held: list[bytes] = []
    length = 0
    for block in blocks:
        held.append(block)
        length += len(block)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def _marked(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each piece, and whether it is the last one; at least one, if only an empty one."""
    held = next(pieces, b"")
    for piece in pieces:
        yield held, False
        held = piece
    yield held, True


def _unexpected(command: str, reply: Reply) -> RemoteProtocolError:
    return RemoteProtocolError(f"The server answered {command} with {reply.quoted}.")
