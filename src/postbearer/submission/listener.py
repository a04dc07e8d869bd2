"""Where the relay listens: TCP and Unix sockets, its own or those systemd hands over."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from postbearer.errors import ConfigError
from postbearer.reply import Reply
from postbearer.submission.limits import Doors
from postbearer.submission.link import Link
from postbearer.submission.session import House, SmtpSession
from postbearer.wire import compose, render_reply

FIRST_HANDED = 3  # sd_listen_fds(3)


@dataclass(frozen=True, slots=True)
class Place:
    """One address to listen on: ``host:port``, ``unix:/path``, or ``systemd:NAME``."""

    address: str
    implicit_tls: ssl.SSLContext | None = None


class Listener:
    """One listening socket and its sessions."""

    def __init__(self, place: Place, house: House, doors: Doors) -> None:
        self._place = place
        self._house = house
        self._doors = doors
        self._server: asyncio.Server | None = None
        self._sessions: set[SmtpSession] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def address(self) -> str:
        """Where it listens in fact: the port that was chosen, if 0 was asked for."""
        if self._server is None or not self._server.sockets:
            return self._place.address
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
        make: Callable[[], Link] = lambda: Link(self._serve)  # noqa: E731
        context = self._place.implicit_tls
        tls = {"ssl": context, "ssl_handshake_timeout": self._house.bounds.tls} if context else {}
        try:
            listening = _socket(self._place.address, os.environ if environ is None else environ)
            if listening.family == getattr(socket, "AF_UNIX", None):
                self._server = await loop.create_unix_server(make, sock=listening, **tls)  # type: ignore[arg-type]
            else:
                self._server = await loop.create_server(make, sock=listening, backlog=1024, **tls)  # type: ignore[arg-type]
        except OSError as error:
            raise ConfigError(
                f"Cannot listen on {self._place.address}: {error.strerror or error}.",
                key="relay.listen",
                hint="Another program may use it already.",
            ) from None

    async def stop(self, patience: float) -> None:
        """Take no new connection; let messages under way finish for up to `patience` seconds."""
        if self._server is not None:
            self._server.close()
        for session in tuple(self._sessions):
            session.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._idle.wait()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, link: Link) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._idle.clear()
        try:
            with self._doors.enter(link.peer) as refusal:
                if refusal:
                    await _turn_away(link, compose(421, refusal, enhanced="4.7.0"))
                    return
                session = SmtpSession(self._house, link)
                self._sessions.add(session)
                try:
                    await session.run()
                finally:
                    self._sessions.discard(session)
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()


async def _turn_away(link: Link, reply: Reply) -> None:
    with suppress(TimeoutError):
        await link.write(render_reply(reply), 1.0)
    link.close()


def _socket(address: str, environ: Mapping[str, str]) -> socket.socket:
    if address.startswith("systemd:"):
        return _handed_over(address.removeprefix("systemd:"), environ)
    if address.startswith("unix:"):
        return _unix(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=1024)


def _unix(path: str) -> socket.socket:
    """Listen on a path; a socket that nobody answers any more is replaced, anything else is not."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(None, "there is a file of that name that is no socket")
        probe = socket.socket(socket.AF_UNIX)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(None, "another program listens there")
        finally:
            probe.close()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(1024)
    return listening


def _handed_over(name: str, environ: Mapping[str, str]) -> socket.socket:
    """The socket systemd opened for us under `name` (sd_listen_fds_with_names(3))."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        raise ConfigError(
            "No socket was handed over to this process.",
            key="relay.listen",
            hint="systemd:NAME works under a .socket unit with FileDescriptorName=NAME.",
        )
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for place in range(int(environ.get("LISTEN_FDS", "0"))):
        if (names[place] if place < len(names) else "") == name:
            return socket.socket(fileno=FIRST_HANDED + place)
    raise ConfigError(f"No socket named {name!r} was handed over.", key="relay.listen")
