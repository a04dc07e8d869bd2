"""``sendmail -bs``: SMTP on standard input and output, spoken by the relay."""

from __future__ import annotations

import posix

from postbearer.cli.dropin.arguments import DATA, OK, TRY_AGAIN, UNAVAILABLE
from postbearer.handover import SMTP, RelayLocation, reached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_BLOCK = 65536
_TAKEN = b"250 2.6.0 "  # Queued as …
_BEGUN = b"250 2.1.0 "  # Sender OK
_BYE = b"221 "
_NOBODY = b"421 4.3.2 The relay does not run; try again later\r\n"


def bridge(places: list[RelayLocation]) -> int:
    """Carry octets between the caller and the relay until one of them leaves."""
    for place in places:
        if (connection := reached(place)) is not None:
            return _carry(connection)
    _write(_NOBODY)
    return TRY_AGAIN


def _carry(connection: socket) -> int:
    import select

    told = RelayReplies()
    waiting: list[int] = [0, connection.fileno()]
    connection.settimeout(None)
    try:
        connection.sendall(SMTP)
    except OSError:
        _write(_NOBODY)
        return TRY_AGAIN
    while True:
        ready = select.select(waiting, [], [])[0]
        try:
            if connection.fileno() in ready:
                if not (data := connection.recv(_BLOCK)):
                    return told.code
                _write(data)
                told.look(data)
            if 0 in ready:
                if data := posix.read(0, _BLOCK):
                    connection.sendall(data)
                else:
                    waiting.remove(0)
                    connection.shutdown(1)
        except OSError:
            return TRY_AGAIN


class RelayReplies:
    """What the relay said: whether anything was refused or left undone since it took the last message."""

    def __init__(self) -> None:
        self._line = b""
        self.code = OK

    def look(self, data: bytes) -> None:
        """Look at the next octets of its replies."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if line.startswith(_TAKEN):
                self.code = OK
            elif line.startswith(_BEGUN):
                self.code = DATA  # and stays so where the input ends before the message does
            elif line.startswith(_BYE) and self.code == DATA:
                self.code = OK  # the caller gave it up
            elif line[:1] == b"4":
                self.code = TRY_AGAIN
            elif line[:1] == b"5":
                self.code = UNAVAILABLE


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[posix.write(1, left) :]
