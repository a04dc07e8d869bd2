"""Where the relay listens: TCP and Unix sockets, its own or those systemd hands over."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress

from postbearer.errors import ConfigError
from postbearer.submission.access import is_loopback
from postbearer.submission.limits import Doors
from postbearer.submission.link import Link
from postbearer.submission.local import unix_socket
from postbearer.submission.session import House, SmtpSession
from postbearer.wire import compose, render_reply

FIRST_HANDED = 3  # sd_listen_fds(3)
BACKLOG = 1024
KEY = "relay.listen"

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})")
_HINTS = {
    errno.EADDRINUSE: "Another program listens there already: stop it, or choose another port.",
    errno.EACCES: "Ports below 1024 need CAP_NET_BIND_SERVICE, or a systemd socket (systemd:NAME).",
    errno.EADDRNOTAVAIL: "No interface of this machine has that address.",
}


class Listener:
    """One listening socket and its sessions. `address`: ``host:port``, ``unix:/path`` or ``systemd:NAME``."""

    def __init__(self, address: str, house: House, doors: Doors) -> None:
        self._asked = address
        self._house = house
        self._doors = doors
        self._server: asyncio.Server | None = None
        self._sessions: set[SmtpSession] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where it listens in fact: the port that was chosen, if 0 was asked for."""
        if self._server is None or not self._server.sockets:
            return self._asked
        name = self._server.sockets[0].getsockname()
        if isinstance(name, tuple):
            return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        return f"unix:{name}"

    def use(self, house: House) -> None:
        """New connections are served by `house`; those that stand go on as they began."""
        self._house = house

    async def start(self, environ: Mapping[str, str] | None = None) -> None:
        """Listen. Raises `ConfigError` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            listening = _socket(self._asked, os.environ if environ is None else environ)
        except OSError as error:
            raise ConfigError(
                f"Cannot listen on {self._asked}: {error.strerror or error}.",
                key=KEY,
                hint=_HINTS.get(error.errno or 0, ""),
            ) from None
        if listening.family == getattr(socket, "AF_UNIX", None):
            self._server = await loop.create_unix_server(self._link, sock=listening, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(self._link, sock=listening, backlog=BACKLOG)

    async def stop(self, patience: float) -> None:
        """Take no new connection; let messages under way finish for up to `patience` seconds."""
        if self._server is not None:
            if self._asked.startswith("unix:"):
                with suppress(FileNotFoundError):
                    os.unlink(self._asked.removeprefix("unix:"))
            self._server.close()
        for session in tuple(self._sessions):
            session.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _link(self) -> Link:
        return Link(self._serve, hold=self._house.implicit_tls)

    async def _serve(self, link: Link) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with self._doors.enter(link.peer) as refusal:
                await (self._turn_away(link, refusal) if refusal else self._let_in(link))
        finally:
            self._tasks.discard(task)

    async def _let_in(self, link: Link) -> None:
        house = self._house
        if (
            house.implicit_tls
            and house.context
            and not await link.start_tls(house.context, house.bounds.tls)
        ):
            return
        session = SmtpSession(house, link)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    async def _turn_away(self, link: Link, why: str) -> None:
        # Whoever expects TLS cannot be told: a handshake costs more than this connection is worth.
        reply = compose(421, f"{why}, try again later", enhanced="4.7.0")
        link.close(b"" if self._house.implicit_tls else render_reply(reply))


def is_local(address: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether only this machine can reach a listener at `address`. Raises `ConfigError`."""
    if address.startswith("unix:"):
        return True
    if address.startswith("systemd:"):
        handed = _handed_over(address.removeprefix("systemd:"), os.environ if environ is None else environ)
        name = handed.getsockname()
        handed.detach()  # it is taken in earnest by `Listener.start`
        return not isinstance(name, tuple) or is_loopback(name[0])
    host, _ = _host_port(address)
    return host == "localhost" or is_loopback(host)


def _socket(address: str, environ: Mapping[str, str]) -> socket.socket:
    if address.startswith("systemd:"):
        return _handed_over(address.removeprefix("systemd:"), environ)
    if address.startswith("unix:"):
        return unix_socket(address.removeprefix("unix:"))
    host, port = _host_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _host_port(address: str) -> tuple[str, int]:
    found = _HOST_PORT.fullmatch(address)
    if found is None or int(found[3]) > 65535:
        raise ConfigError(
            f"{address!r} is no address to listen on.",
            key=KEY,
            hint="Write host:port, [IPv6 address]:port, unix:/path or systemd:NAME.",
        )
    return found[1] or found[2], int(found[3])


def _handed_over(name: str, environ: Mapping[str, str]) -> socket.socket:
    """The socket systemd opened for us under `name` (sd_listen_fds_with_names(3))."""
    hint = f"Start it by a .socket unit with FileDescriptorName={name}."
    if environ.get("LISTEN_PID") != str(os.getpid()):
        raise ConfigError("No socket was handed over to this process.", key=KEY, hint=hint)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    count = environ.get("LISTEN_FDS", "")
    for place in range(int(count) if count.isdecimal() else 0):
        if (names[place] if place < len(names) else "") == name:
            os.set_inheritable(FIRST_HANDED + place, False)  # no program that we run shall have it
            return socket.socket(fileno=FIRST_HANDED + place)
    raise ConfigError(f"No socket named {name!r} was handed over.", key=KEY, hint=hint)
