"""The client's half of an SMTP conversation, without I/O: events in, bytes out, and back."""

from __future__ import annotations

from postbearer.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from postbearer.wire.content import DotStuffer, LineEndCheck
from postbearer.wire.events import (
    Answer,
    Auth,
    AuthResponse,
    Bdat,
    Command,
    Data,
    Ehlo,
    EndOfContent,
    Mail,
    Rset,
    StartTls,
)
from postbearer.wire.extensions import Extensions
from postbearer.wire.render import render
from postbearer.wire.replies import ReplyLimits, ReplyReader
from postbearer.wire.state import ClientMachine, ClientState

_DEFECTS = {
    "line-ending": "a line that does not end with CRLF",
    "nul": "a NUL",
}


class SmtpClient(ClientMachine):
    """One connection, from the greeting to QUIT.

    `send` returns the bytes to write; `receive` takes what was read and returns the answers that are
    complete, each paired with its command. The first answer is the one to `Greeting`.

    When the peer breaks SMTP, answers that were complete before are still returned; the error is
    raised by the same call if there are none, else by the next call of any method.
    """

    def __init__(self, *, limits: ReplyLimits | None = None) -> None:
        super().__init__()
        self.extensions = Extensions()
        self._reader = ReplyReader(limits or ReplyLimits())
        self.failure: ProtocolError | None = None  # raised by the next call, whatever it asks
        self._chunk_left = 0
        self._open_transaction(Mail(""))

    def __repr__(self) -> str:
        return f"<Client {self.state.name}, {self.awaiting} replies owed>"

    @property
    def awaiting(self) -> int:
        """How many replies are owed."""
        return len(self.owed)

    def send(self, command: Command) -> bytes:
        """The line to write for `command`.

        For `EndOfContent` behind a 354 it is the end of data; behind BDAT nothing is to be written, as
        the chunk's own reply is the answer to `Bdat`.

        Raises `LocalProtocolError` if the command may not be sent now, is not offered, or holds what
        could break its line. The connection is as good as before.
        """
        if self.failure is not None:
            raise self.failure
        if self._chunk_left:
            raise LocalProtocolError(f"{self._chunk_left} octets of the BDAT chunk are still missing.")
        if isinstance(command, EndOfContent):
            return self._end_content(command)
        if isinstance(command, Data) and self._binary:
            raise LocalProtocolError("BODY=BINARYMIME content is sent with BDAT only (RFC 3030 3).")
        utf8 = command.parameters.smtputf8 if isinstance(command, Mail) else self._utf8
        line = render(command, self.extensions, utf8=utf8)
        known = _without_secret(command) if isinstance(command, Auth | AuthResponse) else command
        self.send_turn(known, pipelining=self.extensions.pipelining)
        if isinstance(command, Mail):
            self._open_transaction(command)
        elif isinstance(command, Rset):
            self._open_transaction(Mail(""))
        elif isinstance(command, Bdat):
            self._chunk_left, self._last_chunk = command.size, command.last
            self._in_chunks = True
        return line

    def send_content(self, data: bytes) -> bytes:
        """The octets to write for the next piece of content: dot-stuffed behind a 354, plain behind BDAT.

        Raises `LocalProtocolError` for a bare CR or LF or a NUL (unless BODY=BINARYMIME), and for more
        than the chunk was announced to hold. Then the connection must be closed: only half of the
        content was sent, and no end of it would be true.
        """
        if self.failure is not None:
            raise self.failure
        if not self._in_chunks and self.state is not ClientState.CONTENT:
            raise LocalProtocolError(f"No content can be sent now: {self.state.value}.")
        if self._in_chunks:
            if len(data) > self._chunk_left:
                raise self._fail(LocalProtocolError("There is more content than BDAT announced."))
            self._chunk_left -= len(data)
        if not self._binary:
            self._check.feed(data)
            if self._in_chunks and self._last_chunk and not self._chunk_left:
                self._check.end()
            self._refuse_defect()
        return data if self._in_chunks else self._stuffer.feed(data)

    def _end_content(self, command: EndOfContent) -> bytes:
        if self._in_chunks:
            return b""
        if self.state is ClientState.CONTENT:
            self._check.end()
            self._refuse_defect()
        self.send_turn(command, pipelining=self.extensions.pipelining)
        return self._stuffer.end()

    def abort_content(self) -> bytes:
        """The lone dot for a server that asks for content although it accepted no recipient (RFC 2920 3.1).

        Raises `LocalProtocolError` in any other state: there the dot would send an empty message.
        """
        if self.failure is not None:
            raise self.failure
        if self.state is not ClientState.UNWANTED:
            raise LocalProtocolError(f"There is no content to abort: {self.state.value}.")
        self.owe(EndOfContent, EndOfContent(), pipelining=self.extensions.pipelining)
        return b".\r\n"

    def receive(self, data: bytes) -> list[Answer]:
        """Every answer that `data` completes.

        Raises `RemoteProtocolError` if the peer broke SMTP: a reply that cannot be read, is too long,
        makes no sense where it stands, or answers nothing; or bytes behind the answer to STARTTLS.
        """
        if self.failure is not None:
            raise self.failure
        answers: list[Answer] = []
        try:
            self._reader.feed(data)
            while self.owed and (reply := self._reader.next_reply()) is not None:
                command = self.answer(reply)
                if isinstance(command, Ehlo) and reply.positive:
                    self.extensions = Extensions.parse(reply.lines[1:])
                answers.append(Answer(command, reply))
            if self._reader.pending and not self.owed:
                answers += self._unasked()
        except RemoteProtocolError as error:
            self._fail(error)
            # The answer to STARTTLS is not handed out with plain text behind it: somebody could
            # go on to TLS, and take the injected bytes for the server's (CVE-2011-0411).
            if not answers or isinstance(answers[-1].command, StartTls):
                raise
        return answers

    def _unasked(self) -> list[Answer]:
        """Judge bytes that came while no reply was owed."""
        if self.state is ClientState.TLS:
            raise RemoteProtocolError("The server sent plain text behind its answer to STARTTLS.")
        reply = self._reader.next_reply()
        if reply is None and self.state is ClientState.CONTENT:
            return []  # the beginning of an early answer to the content
        if reply is not None and (command := self.answer_early(reply)) is not None:
            return [Answer(command, reply)]
        said = f": {reply}" if reply is not None else ""
        raise RemoteProtocolError(f"The server spoke without being asked{said}.")

    def tls_started(self) -> None:
        """TLS is up. What the server said before is forgotten; EHLO comes next (RFC 3207 4.2).

        Raises `LocalProtocolError` unless STARTTLS was answered positively.
        """
        if self.failure is not None:
            raise self.failure
        super().tls_started()
        self.extensions = Extensions()

    def _open_transaction(self, mail: Mail) -> None:
        self._utf8 = mail.parameters.smtputf8
        self._binary = mail.parameters.body == "BINARYMIME"
        self._in_chunks = self._last_chunk = False
        self._chunk_left = 0
        self._check = LineEndCheck()
        self._stuffer = DotStuffer()

    def _refuse_defect(self) -> None:
        if defect := self._check.defect:
            raise self._fail(LocalProtocolError(f"The content holds {_DEFECTS[defect]}."))

    def _fail(self, error: ProtocolError) -> ProtocolError:
        """From now on every call raises `error`."""
        self.fail()
        self.failure = error
        return error


def _without_secret(command: Auth | AuthResponse) -> Command:
    """What is remembered of it until it is answered: never a credential."""
    if isinstance(command, Auth):
        return Auth(command.mechanism, None if command.initial is None else b"")
    return AuthResponse(None if command.data is None else b"")
