"""One message given to a relay: by its socket, which answers; by its drop folder, while it does not run."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterable

    from postbearer.handover.relay_location import RelayLocation

_LONGEST_REPLY = 4096


class RelayDown(Exception):
    """The relay went away before it said what became of the message."""


def hand_over(connection: socket, blocks: Iterable[bytes]) -> str:
    """Give the message to the relay; its reply. Raises `RelayDown`."""
    try:
        for block in blocks:
            connection.sendall(block)
    except OSError:
        pass  # it may have said why before it hung up
    reply = b""
    try:
        while not reply.endswith(b"\n") and len(reply) < _LONGEST_REPLY:
            if not (more := connection.recv(_LONGEST_REPLY)):
                break
            reply += more
    except OSError:
        raise RelayDown from None
    finally:
        connection.close()
    if not reply.endswith(b"\n") or not reply[:3].isdigit():
        raise RelayDown
    return reply.decode("utf-8", "replace").rstrip("\r\n")


def drop(place: RelayLocation, blocks: Iterable[bytes]) -> str:
    """Leave the message in the drop folder, durably; the name it has there. Raises `OSError`."""
    name = posix.urandom(16).hex()
    temporary, path = f"{place.drop}/half.{name}", f"{place.drop}/{name}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    descriptor = posix.open(temporary, flags, 0o644)
    try:
        posix.fchmod(descriptor, 0o644)  # whatever the umask: the relay has to read it
        for block in blocks:
            left = memoryview(block)
            while left:
                left = left[posix.write(descriptor, left) :]
        posix.fsync(descriptor)
        posix.rename(temporary, path)
        posix.fsync(descriptor)  # the folder cannot be opened by us; this commits the new name as well
    except OSError:
        _remove(temporary)
        raise
    finally:
        posix.close(descriptor)
    return name


def _remove(path: str) -> None:
    try:  # noqa: SIM105 - contextlib takes longer than all this
        posix.unlink(path)
    except OSError:
        pass
