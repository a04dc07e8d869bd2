"""A connection to nobody: a script says what the peer does, a tap keeps everything we sent."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from postbearer.errors import Disconnected, PostbearerError, TimedOut
from postbearer.testing.clock import ManualClock
from postbearer.transport import TlsInfo


@dataclass(frozen=True, slots=True)
class Expect:
    """The peer waits for one line that begins so (without regard to case)."""

    start: str


@dataclass(frozen=True, slots=True)
class ExpectOctets:
    """The peer waits for so many octets of content."""

    count: int


@dataclass(frozen=True, slots=True)
class ExpectContent:
    """The peer waits for the line with the final dot."""


@dataclass(frozen=True, slots=True)
class Send:
    """The peer sends exactly these octets."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer closes the connection."""


@dataclass(frozen=True, slots=True)
class Delay:
    """So many seconds pass, on the manual clock, before anything else happens."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StartTls:
    """The handshake happens here; `error` is raised instead of a success."""

    error: PostbearerError | None = None


Step = Expect | ExpectOctets | ExpectContent | Send | Close | Delay | StartTls


def lines(*replies: str) -> Send:
    """The peer sends these lines in one segment."""
    return Send("".join(f"{reply}\r\n" for reply in replies).encode())


class Tap:
    """Every octet that was sent, over any number of streams."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)

    @property
    def verbs(self) -> list[str]:
        """The first word of each line, for a look at the order of commands."""
        return [
            line.split(b" ")[0].decode("ascii", "replace").upper() for line in self.sent.split(b"\r\n")[:-1]
        ]

    def leaked(self, secret: str) -> bool:
        """Whether `secret` was sent, as it is or within any base64."""
        plain = secret.encode()
        forms = [plain]
        for shift in range(3):
            encoded = b64encode(b"\0" * shift + plain).rstrip(b"=")
            forms.append(encoded[4 if shift else 0 : -2])  # the ends depend on what stands beside it
        return any(form in self.sent for form in forms)


class ScriptedStream:
    """A `Stream` whose peer follows `steps`; after the last one it is silent for ever.

    `turns` counts how often the client had to wait for the peer after saying something: the round
    trips. Raises `AssertionError` when the client does what the script does not expect.
    """

    def __init__(self, *steps: Step, clock: ManualClock | None = None, tap: Tap | None = None) -> None:
        self.tap = tap or Tap()
        self.turns = 0
        self.closed = False
        self._steps = deque(steps)
        self._clock = clock or ManualClock()
        self._unread = bytearray()  # sent by the client, not yet expected by the script
        self._incoming = bytearray()
        self._spoke = False
        self._gone = False
        self._tls: TlsInfo | None = None

    @property
    def tls(self) -> TlsInfo | None:
        return self._tls

    @property
    def quiet(self) -> bool:
        unasked = bool(self._steps) and isinstance(self._steps[0], Send | Close)
        return not (self._incoming or unasked or self._gone or self.closed)

    @property
    def finished(self) -> bool:
        """True once every step was taken."""
        return not self._steps

    async def read(self, stage: str, timeout: float, limit: int = 65536) -> bytes:
        self.turns += self._spoke
        self._spoke = False
        while not self._incoming:
            self._step(stage, timeout)
        data = bytes(self._incoming[:limit])
        del self._incoming[:limit]
        return data

    async def write(self, data: bytes, stage: str, timeout: float) -> None:
        if self.closed or self._gone or self._peer_is_leaving():
            raise Disconnected("The peer closed the connection.", stage=stage)
        self.tap.writes.append(data)
        self._unread += data
        self._spoke = True

    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float) -> None:
        if self._incoming:
            raise AssertionError(f"TLS starts over unread octets: {bytes(self._incoming)!r}")
        if not self._steps or not isinstance(step := self._steps.popleft(), StartTls):
            raise AssertionError("The client starts TLS, which the script does not expect.")
        if step.error is not None:
            raise step.error
        self._tls = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", name)

    async def close(self) -> None:
        self.closed = True

    def _step(self, stage: str, timeout: float) -> None:
        if self.closed or self._gone:
            raise Disconnected("The peer closed the connection.", stage=stage)
        step = self._steps.popleft() if self._steps else Delay(timeout)
        match step:
            case Send(data):
                self._incoming += data
            case Close():
                self._gone = True
            case Delay(seconds):
                self._clock.advance(min(seconds, timeout))
                if seconds >= timeout:
                    raise TimedOut(f"Nothing came within {timeout:g} s.", stage=stage)
            case StartTls():
                raise AssertionError("The script expects TLS to start, and the client waits for words.")
            case _:
                self._consume(step)

    def _consume(self, step: Expect | ExpectOctets | ExpectContent) -> None:
        if isinstance(step, ExpectOctets):
            have, end = bytes(self._unread[: step.count]), step.count
            fits = len(have) == step.count
        else:
            mark = b"\r\n.\r\n" if isinstance(step, ExpectContent) else b"\r\n"
            have, found, _ = bytes(self._unread).partition(mark)
            end = len(have) + len(found)
            start = step.start if isinstance(step, Expect) else ""
            fits = bool(found) and have.upper().startswith(start.upper().encode())
        if not fits:
            raise AssertionError(
                f"The script waits for {step}, and the client has said {bytes(self._unread)!r}."
            )
        del self._unread[:end]

    def _peer_is_leaving(self) -> bool:
        """True if the peer has closed already, whatever of its words is still to be read."""
        for step in self._steps:
            if not isinstance(step, Send):
                return isinstance(step, Close)
        return False


def conversation(*parts: Step | Iterable[Step]) -> list[Step]:
    """Steps and lists of steps as one list."""
    steps: list[Step] = []
    for part in parts:
        steps.extend(part if isinstance(part, Iterable) else [part])
    return steps
