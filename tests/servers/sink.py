"""The server behind the servers: records envelopes and exact bytes. Shares no code with `src/`."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

EXTENSIONS = (
    "PIPELINING",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "CHUNKING",
    "BINARYMIME",
    "SIZE 0",
    "ENHANCEDSTATUSCODES",
)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT as it came: parameters are upper-cased keywords with their values as sent."""

    address: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Received:
    """One message; `content` is what DATA carried without its stuffed dots, or the octets of all BDATs."""

    helo: str
    sender: str
    parameters: dict[str, str]
    recipients: tuple[Recipient, ...]
    content: bytes
    verb: str

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(recipient.address for recipient in self.recipients)


class Sink:
    """A thread that accepts everything."""

    host = "127.0.0.1"

    def __init__(self, refused: Mapping[str, str] | None = None) -> None:
        """`refused`: the replies to recipients that it does not take."""
        self.refused = refused or {}
        self._arrival = threading.Condition()
        self._messages: list[Received] = []
        self.open = 0  # connections
        self.most = 0  # … at one time
        self._server = _Server((self.host, 0), _Conversation)
        self._server.sink = self
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sink", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def connected(self, more: int) -> None:
        with self._arrival:
            self.open += more
            self.most = max(self.most, self.open)

    def record(self, message: Received) -> None:
        with self._arrival:
            self._messages.append(message)
            self._arrival.notify_all()

    def clear(self) -> None:
        """Forget what arrived."""
        with self._arrival:
            self._messages.clear()

    def messages(self, containing: bytes = b"") -> list[Received]:
        """What has arrived since the last clear() and contains these bytes, in order of arrival."""
        with self._arrival:
            return [message for message in self._messages if containing in message.content]

    def wait_for(self, count: int, *, containing: bytes = b"", timeout: float = 20.0) -> list[Received]:
        """The same once there are `count` of them; AssertionError if they do not come in time (seconds)."""
        with self._arrival:
            self._arrival.wait_for(lambda: len(self.messages(containing)) >= count, timeout)
            found = self.messages(containing)
        assert len(found) >= count, f"{len(found)} of {count} messages arrived within {timeout} s"
        return found


def from_first_header(received: bytes, sent: bytes) -> bytes:
    """What arrived from the first line that was sent on: servers put their trace headers in front of it."""
    first_line = sent[: sent.index(b"\r\n") + 2]
    at = 0 if received.startswith(first_line) else received.find(b"\r\n" + first_line) + 2
    assert at != 1, f"{first_line!r} did not arrive; what did begins {received[:500]!r}"
    return received[at:]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    sink: Sink


@dataclass(slots=True)
class _Transaction:
    sender: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    recipients: list[Recipient] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True  # each reply is a write of its own
    _PATH: ClassVar = re.compile(r"(?:MAIL FROM|RCPT TO):\s*<(.*?)>\s*(.*)", re.IGNORECASE | re.DOTALL)

    def handle(self) -> None:
        self.open = True
        self.server.sink.connected(1)
        try:
            self.converse()
        finally:
            self.end()

    def end(self) -> None:
        """It is over, as soon as that is known: who said QUIT may open the next at once."""
        if self.open:
            self.open = False
            self.server.sink.connected(-1)

    def converse(self) -> None:
        self.helo = ""
        self.transaction = _Transaction()
        self.reply(220, "sink ESMTP")
        try:
            while line := self.rfile.readline():
                if not self.command(line.decode("utf-8", "surrogateescape").rstrip("\r\n")):
                    break
        except ConnectionError:
            pass  # the message that was complete is recorded, the rest was never accepted

    def reply(self, code: int, *lines: str) -> None:
        *most, last = lines
        text = "".join(f"{code}-{line}\r\n" for line in most) + f"{code} {last}\r\n"
        self.wfile.write(text.encode())

    def command(self, line: str) -> bool:
        """Answer one command; False ends the connection."""
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "EHLO" | "HELO":
                self.helo, self.transaction = argument, _Transaction()
                self.reply(250, "sink", *(EXTENSIONS if verb.upper() == "EHLO" else ()))
            case "MAIL":
                self.transaction = _Transaction()
                self.transaction.sender, self.transaction.parameters = self.path(line)
                self.reply(250, "2.1.0 sender ok")
            case "RCPT":
                self.recipient(*self.path(line))
            case "DATA":
                self.reply(354, "go ahead")
                self.complete(self.dotted_content(), "DATA")
            case "BDAT":
                self.chunk(argument)
            case "RSET":
                self.transaction = _Transaction()
                self.reply(250, "2.0.0 forgotten")
            case "NOOP":
                self.reply(250, "2.0.0 ok")
            case "QUIT":
                self.end()
                self.reply(221, "2.0.0 bye")
                return False
            case _:
                self.reply(502, "5.5.1 not here")
        return True

    def recipient(self, address: str, parameters: dict[str, str]) -> None:
        if refusal := self.server.sink.refused.get(address):
            self.wfile.write(f"{refusal}\r\n".encode())
            return
        self.transaction.recipients.append(Recipient(address, parameters))
        self.reply(250, "2.1.5 recipient ok")

    def path(self, line: str) -> tuple[str, dict[str, str]]:
        found = self._PATH.match(line)
        assert found, f"not a path: {line!r}"
        pairs = (word.partition("=") for word in found[2].split())
        return found[1], {key.upper(): value for key, _, value in pairs}

    def dotted_content(self) -> bytes:
        """Only CRLF ends a line: a dot behind a bare LF is content (RFC 5321 4.1.1.4)."""
        lines: list[bytes] = []
        at_start = True
        while line := self.rfile.readline():
            if at_start and line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if at_start and line.startswith(b".") else line)
            at_start = line.endswith(b"\r\n")
        raise ConnectionError("the content was cut off")

    def chunk(self, argument: str) -> None:
        size, _, last = argument.partition(" ")
        data = self.rfile.read(int(size))
        if len(data) < int(size):
            raise ConnectionError("the chunk was cut off")
        self.transaction.chunks.append(data)
        if last.strip().upper() == "LAST":
            self.complete(b"".join(self.transaction.chunks), "BDAT")
        else:
            self.reply(250, "2.0.0 chunk ok")

    def complete(self, content: bytes, verb: str) -> None:
        done, self.transaction = self.transaction, _Transaction()
        if done.sender is None or not done.recipients:
            self.reply(503, "5.5.1 MAIL and RCPT come first")
            return
        self.server.sink.record(
            Received(self.helo, done.sender, done.parameters, tuple(done.recipients), content, verb)
        )
        self.reply(250, "2.0.0 recorded")
