"""Sockets that systemd opened for this process (sd_listen_fds(3)), by the names that units give them."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping

from postbearer.errors import ConfigError

PREFIX = "systemd:"
FIRST = 3  # SD_LISTEN_FDS_START
UNNAMED = "unknown"  # what systemd calls what has no name
_TAKEN: dict[str, list[socket.socket]] = {}  # kept open: a listener that ends, and comes again, has copies


def handed_over(name: str, environ: Mapping[str, str], key: str) -> list[socket.socket]:
    """Copies of the sockets named `name`, at least one. Raises `ConfigError`; `key` is where it is named."""
    hint = f"Start it by a .socket unit with FileDescriptorName={name}."
    taken = _take(environ, key)
    if not taken:
        raise ConfigError("No socket was handed over to this process.", key=key, hint=hint)
    if name not in taken:
        others = ", ".join(sorted(taken))
        raise ConfigError(f"No socket named {name!r} was handed over, but {others}.", key=key, hint=hint)
    return [each.dup() for each in taken[name]]


def unanswered(addresses: Collection[str], environ: Mapping[str, str], key: str) -> list[str]:
    """Addresses of sockets handed over to this very process that are not among `addresses`."""
    if not _is_for_us(environ):
        return []
    return [each for each in (PREFIX + name for name in _take(environ, key)) if each not in addresses]


def _is_for_us(environ: Mapping[str, str]) -> bool:
    return environ.get("LISTEN_PID") == str(os.getpid())


def _take(environ: Mapping[str, str], key: str) -> dict[str, list[socket.socket]]:
    """All sockets, which are this process's, and of those that it forks, from the first call on."""
    if _TAKEN or not _is_for_us(environ):
        return _TAKEN
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for place in range(int(count) if count.isdecimal() else 0):
        name = (names[place] if place < len(names) else "") or UNNAMED
        found.setdefault(name, []).append(_listening(FIRST + place, name, key))
    _TAKEN.update(found)
    return _TAKEN


def _listening(descriptor: int, name: str, key: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)  # no program that we run shall have it
        handed = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigError(
            f"What was handed over as {name!r} is no socket: {error.strerror}.",
            key=key,
            hint="In the .socket unit, only ListenStream= is of use here.",
        ) from None
    if handed.type != socket.SOCK_STREAM or not handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        handed.detach()
        raise ConfigError(
            f"The socket named {name!r} does not listen for connections.",
            key=key,
            hint="The .socket unit needs ListenStream=, and no Accept=yes.",
        )
    return handed
