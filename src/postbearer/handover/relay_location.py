"""Where a relay of this machine takes mail from local programs: its socket, and its drop folder."""

from __future__ import annotations

import posix
from _socket import AF_UNIX, SOCK_STREAM, socket

SYSTEM = ("/run/postbearer", "/var/lib/postbearer")
_PATIENCE = 300.0  # seconds for one step of the hand-over; the relay is on the same machine


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
