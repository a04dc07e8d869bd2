"""Where a relay of this machine takes mail from local programs: its socket, and its drop folder."""

from __future__ import annotations

import posix
from _socket import AF_UNIX, SOCK_STREAM, socket

from postbearer.cli.dropin.arguments import TRY_AGAIN, EarlyExit

SYSTEM = ("/run/postbearer", "/var/lib/postbearer")
_PATIENCE = 300.0  # seconds for one step of the hand-over; the relay is on the same machine
_LONGEST_REPLY = 4096


class RelayDown(Exception):
    """The relay does not answer, or went away before it said what became of the message."""


class RelayLocation:
    """One relay: the folders its socket may be in, and its drop folder."""

    __slots__ = ("drop", "sockets")

    def __init__(self, folders: list[str], state: str) -> None:
        self.sockets = [f"{folder}/submit.sock" for folder in folders]
        self.drop = f"{state}/drop"


def places(environ: dict[bytes, bytes]) -> list[RelayLocation]:
    """The relays to try: the one the environment names, or else the caller's own and then the machine's."""
    runtime, state, systemd, home, xdg = (
        posix_decode(environ.get(name, b""))
        for name in (
            b"RUNTIME_DIRECTORY",
            b"POSTBEARER_STATE",
            b"STATE_DIRECTORY",
            b"HOME",
            b"XDG_STATE_HOME",
        )
    )
    first = [runtime.partition(":")[0]] if runtime else []
    if given := state or systemd.partition(":")[0]:
        return [RelayLocation([*first, given], given)]
    mine = xdg if xdg.startswith("/") else f"{home}/.local/state" if home else ""
    own = (
        [RelayLocation([*first, f"{mine}/postbearer"], f"{mine}/postbearer")]
        if mine and posix.geteuid()
        else []
    )
    return [*own, RelayLocation([*first, *SYSTEM], SYSTEM[1])]


def posix_decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def reached(place: RelayLocation) -> socket | None:
    """A connection to the relay; None when it does not run."""
    for path in place.sockets:
        connection = socket(AF_UNIX, SOCK_STREAM)
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
        else:
            return connection
    return None


def drops(place: RelayLocation) -> bool:
    """Whether the relay has a drop folder: then it is set up, though it may not run now."""
    try:
        return posix.stat(place.drop).st_mode & 0o170000 == 0o040000
    except OSError:
        return False


def hand_over(connection: socket, data: bytes) -> str:
    """Give the parcel to the relay; its reply. Raises `RelayDown`."""
    try:  # noqa: SIM105 - contextlib takes longer than all this
        connection.sendall(data)
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


def drop(place: RelayLocation, data: bytes) -> str:
    """Leave the parcel in the drop folder, durably; the name it has there. Raises `EarlyExit`."""
    name = posix.urandom(16).hex()
    temporary, path = f"{place.drop}/half.{name}", f"{place.drop}/{name}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        descriptor = posix.open(temporary, flags, 0o644)
    except OSError as error:
        raise _unwritable(place, error) from None
    try:
        posix.fchmod(descriptor, 0o644)  # whatever the umask: the relay has to read it
        left = memoryview(data)
        while left:
            left = left[posix.write(descriptor, left) :]
        posix.fsync(descriptor)
        posix.rename(temporary, path)
        posix.fsync(descriptor)  # the folder cannot be opened by us; this commits the new name as well
    except OSError as error:
        _remove(temporary)
        raise _unwritable(place, error) from None
    finally:
        posix.close(descriptor)
    return name


def _remove(path: str) -> None:
    try:  # noqa: SIM105 - as above
        posix.unlink(path)
    except OSError:
        pass


def _unwritable(place: RelayLocation, error: OSError) -> EarlyExit:
    return EarlyExit(
        TRY_AGAIN, f"the relay does not run, and {place.drop} cannot be written: {error.strerror}; try again"
    )
