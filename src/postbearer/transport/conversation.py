"""The SMTP core and a stream, tied together: commands go out, answers come back paired and in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from postbearer.errors import Disconnected, NetworkError, RemoteProtocolError, TlsFailed
from postbearer.redaction import Redactor
from postbearer.reply import Reply
from postbearer.transport.capture import Capture, scrubbed
from postbearer.transport.stream import Stream
from postbearer.transport.timeouts import Deadline, Timeouts
from postbearer.wire import (
    Answer,
    Auth,
    AuthResponse,
    Bdat,
    Command,
    Data,
    Ehlo,
    EndOfContent,
    Greeting,
    Mail,
    Quit,
    Rcpt,
    SmtpClient,
    StartTls,
)


@dataclass(slots=True)
class Conversation:
    """One connection's worth of SMTP. After any error it is of no further use: close it.

    A reply that comes too late is therefore never taken for the answer to something else.
    """

    stream: Stream
    peer: str
    timeouts: Timeouts
    deadline: Deadline
    capture: Capture | None = None
    core: SmtpClient = field(default_factory=SmtpClient)
    redactor: Redactor | None = field(default=None, repr=False)  # of what servers may echo just now
    _answers: deque[Answer] = field(default_factory=deque)
    _lost: NetworkError | None = None  # writing failed; what the peer said before is still to be read

    async def greeting(self) -> Reply:
        """What the server says first (RFC 5321 3.1)."""
        return (await self.answer()).reply

    async def ask(self, command: Command) -> Reply:
        """Send one command and wait for its answer."""
        await self.send(command)
        return (await self.answer()).reply

    async def send(self, *commands: Command) -> None:
        """Send commands in one write; `answer` must be called once for each."""
        await self.write(b"".join(self.prepare(command) for command in commands), commands[-1])

    def prepare(self, command: Command) -> bytes:
        """The octets of `command`, to be written in this order; an answer is owed from now on."""
        line = self.core.send(command)
        if self.capture is not None:
            self.capture.sent(command, line)
        return line

    async def write(self, data: bytes, command: Command) -> None:
        """Write what `prepare` made.

        Raises `TimedOut`. A peer that has closed is not an error yet: its last words, such as a 421,
        are read first, and `answer` raises `Disconnected` when there are no more.
        """
        if self._lost is not None:
            return
        stage, _ = _wait_for(command)
        stage = "data" if stage == "eod" else stage  # until all of it is gone, nothing can have arrived
        try:
            await self.stream.write(data, stage, self.deadline.cut(self.timeouts.block, stage, self.peer))
        except (Disconnected, TlsFailed) as error:
            self._lost = error

    @property
    def writable(self) -> bool:
        """False once the peer was found to have closed; what was written last did not leave whole."""
        return self._lost is None

    async def answer(self) -> Answer:
        """The next answer.

        Raises `TimedOut`, `RemoteProtocolError`, or `Disconnected`, also when the server says goodbye
        (221) where nobody did: that is not the success its first digit promises.
        """
        if self.core.failure is not None:
            self._note(b"")  # what broke behind the answers of the last read is raised before waiting
        while (answer := self.ready()) is None:
            _, command = self.core.owed[0]  # without its credential
            stage, timeout = _wait_for(command)
            if self._lost is not None and stage == "eod":
                stage = "data"
            limit = self.deadline.cut(getattr(self.timeouts, timeout), stage, self.peer)
            self._note(await self.stream.read(stage, limit))
        return answer

    def ready(self) -> Answer | None:
        """The next answer if it is here. Raises `Disconnected` as `answer` does."""
        if not self._answers:
            return None
        answer = self._answers.popleft()
        if answer.reply.code == 221 and not isinstance(answer.command, Quit):
            stage, _ = _wait_for(answer.command)
            raise Disconnected(f"{self.peer} said goodbye: {answer.reply}.", host=self.peer, stage=stage)
        return answer

    def content(self, data: bytes) -> bytes:
        """The octets to write for a piece of content."""
        if self.capture is not None:
            self.capture.content(len(data))
        return self.core.send_content(data)

    async def abort_content(self) -> None:
        """Send the lone dot; `answer` must follow."""
        await self.write(self.core.abort_content(), EndOfContent())

    def _note(self, data: bytes) -> None:
        try:
            answers = self.core.receive(data)
        except RemoteProtocolError as error:
            # It may repeat what it was sent; the wire knows neither the secrets nor whom we talk to.
            said = self.redactor.text(error.message) if self.redactor is not None else error.message
            hint = (
                error.hint or "Is it the port of a mail server? Something on the way may answer in its place."
            )
            told = RemoteProtocolError(f"{self.peer}: {said}", hint=hint)
            told.said = self.redactor.text(error.said) if self.redactor is not None else error.said
            raise told from None
        for answer in answers:
            if not answer.reply.intermediate:  # a challenge is still to be decoded
                reply = answer.reply.short
                if self.redactor is not None:
                    reply = scrubbed(reply, self.redactor)
                if reply is not answer.reply:
                    answer = Answer(answer.command, reply)
            if self.capture is not None:
                self.capture.received(answer.command, answer.reply)
            self._answers.append(answer)

    @property
    def owed(self) -> int:
        """How many answers are still to be taken."""
        return len(self.core.owed) + len(self._answers)


# The phase of the wait for an answer, as the verdicts name it, and which of the `Timeouts` bounds it.
_WAITS: Mapping[type[Command], tuple[str, str]] = {
    Greeting: ("conn", "greeting"),
    Ehlo: ("ehlo", "command"),
    StartTls: ("tls", "command"),
    Auth: ("auth", "auth"),
    AuthResponse: ("auth", "auth"),
    Mail: ("mail", "mail"),
    Rcpt: ("rcpt", "rcpt"),
    Data: ("data", "data"),
    EndOfContent: ("eod", "final"),
    Quit: ("conn", "quit"),
}


def _wait_for(command: Command) -> tuple[str, str]:
    if isinstance(command, Bdat):
        return ("eod", "final") if command.last else ("data", "block")
    return _WAITS.get(type(command), ("conn", "command"))
