"""Where the relay listens: TCP and Unix sockets, its own or those systemd hands over."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from postbearer.errors import ConfigError, RemoteProtocolError
from postbearer.serving import LINGER, Link, peer_name, unix_socket, user_of
from postbearer.submission.access import is_loopback, within
from postbearer.submission.handed_over import PREFIX, handed_over
from postbearer.submission.proxied import client_behind
from postbearer.submission.rate_limit import ConnectionLimit
from postbearer.submission.session import ListenerContext, SmtpSession
from postbearer.tasks import Tasks
from postbearer.wire import compose, render_reply

BACKLOG = 1024
NO_DESCRIPTOR = 1.0  # seconds to wait when the system has none left for one more connection
KEY = "relay.listen"

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})")
_HINTS = {
    errno.EADDRINUSE: "Another program listens there already: stop it, or choose another port.",
    errno.EACCES: "Ports below 1024 need CAP_NET_BIND_SERVICE, or a systemd socket (systemd:NAME).",
    errno.EADDRNOTAVAIL: "No interface of this machine has that address.",
}


def _plainly(error: OSError) -> str:
    """Why, without the address: `socket.create_server` writes it into the reason once more."""
    return (error.strerror or str(error)).partition(" (while ")[0]


class Listener:
    """One place to listen at, and its sessions. `address`: ``host:port``, ``unix:/path`` or ``systemd:NAME``.

    Several sockets may have the same name, as those of one unit have: they are one place.
    """

    def __init__(self, address: str, listener_context: ListenerContext, doors: ConnectionLimit) -> None:
        self._asked = address
        self._context = listener_context
        self._doors = doors
        self._sockets: list[socket.socket] = []
        self._sessions: set[SmtpSession] = set()
        self._accepting = Tasks(listener_context.clock, listener_context.observer)
        self._tasks = Tasks(listener_context.clock, listener_context.observer)

    @property
    def address(self) -> str:
        """Where it listens in fact: the port that was chosen, if 0 was asked for."""
        return ", ".join(map(address_of, self._sockets)) or self._asked

    @property
    def _what(self) -> str:
        """For the log."""
        return f"listener {self._asked}"

    def use(self, listener_context: ListenerContext) -> None:
        """New connections are served by `listener_context`; those that stand go on as they began."""
        self._context = listener_context

    async def start(self, environ: Mapping[str, str] | None = None) -> None:
        """Listen. Raises `ConfigError` when the address cannot be had."""
        self._sockets = listening_sockets(self._asked, os.environ if environ is None else environ)
        for each in self._sockets:
            if each.family != getattr(socket, "AF_UNIX", None):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # whom it accepts inherits it
            self._accepting.keep(partial(self._accept, each), self._what)

    async def stop(self, patience: float) -> None:
        """Take no new connection; let messages under way finish for up to `patience` seconds."""
        if not self._sockets:
            return
        if self._asked.startswith("unix:"):
            with suppress(FileNotFoundError):
                os.unlink(self._asked.removeprefix("unix:"))
        await self._accepting.stop()
        for each in self._sockets:
            each.close()
        self._sockets = []
        for session in tuple(self._sessions):
            session.stop()
        await self._tasks.stop(patience)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, name = await loop.sock_accept(listening)
            except ConnectionError:
                continue  # gone before it was taken
            except OSError:
                await self._context.clock.sleep(NO_DESCRIPTOR)
                continue
            # Whose it is counts from here on, so that handshakes are bounded like conversations.
            peer = str(name[0]) if isinstance(name, tuple) else ""
            whose = peer or peer_name(user_of(connection))
            serving = self._serve if self._context.proxies is None else self._serve_behind_proxy
            self._tasks.start(serving(connection, peer, whose), self._what, peer=whose)
            await asyncio.sleep(0)  # those who are inside, and may be leaving, go first

    async def _serve_behind_proxy(self, connection: socket.socket, peer: str, whose: str) -> None:
        """Serve whoever the proxy at `peer` says it is; whoever is none that is trusted is turned away."""
        proxies, reject_log = self._context.proxies or (), self._context.reject_log
        try:
            if peer and not within(peer, proxies):
                raise RemoteProtocolError(
                    "It is no proxy that relay.listeners trusted-proxies names for this listener."
                )
            client = await client_behind(connection, self._context.bounds.tls)
        except (RemoteProtocolError, OSError, TimeoutError) as error:
            connection.close()
            if reject_log is not None:
                reject_log.turned_away(whose, str(error) or "Its PROXY header did not come in time.")
            return
        except BaseException:  # also when we stop meanwhile
            connection.close()
            raise
        await self._serve(connection, client, client)

    async def _serve(self, connection: socket.socket, peer: str, whose: str) -> None:
        listener_context, loop = self._context, asyncio.get_running_loop()
        named = listener_context.access.by_network(peer, legacy=listener_context.legacy) is not None
        with self._doors.enter(whose, named=named) as refusal:
            if refusal:
                self._turn_away(connection, refusal)
                return
            link = Link(peer=peer, gather=True)
            try:
                await loop.connect_accepted_socket(lambda: link, connection, **_tls(listener_context))
            except OSError:  # gone already, or no TLS came about
                connection.close()
                return
            except BaseException:  # also when we stop meanwhile
                connection.close()
                raise
            session = SmtpSession(listener_context, link)
            self._sessions.add(session)
            try:
                await session.run()
                await link.gone()
            finally:
                self._sessions.discard(session)

    def _turn_away(self, connection: socket.socket, why: str) -> None:
        connection.setblocking(False)
        with connection, suppress(OSError):
            if not self._context.implicit_tls:  # a handshake would cost more than this connection is worth
                connection.send(render_reply(compose(421, f"{why}, try again later", enhanced="4.7.0")))


def _tls(listener_context: ListenerContext) -> dict[str, Any]:
    if not listener_context.implicit_tls:
        return {}
    return {
        "ssl": listener_context.context,
        "ssl_handshake_timeout": listener_context.bounds.tls,
        "ssl_shutdown_timeout": LINGER,
    }


def is_local(address: str, environ: Mapping[str, str] | None = None, *, key: str = KEY) -> bool:
    """Whether only this machine can reach a listener at `address`, named by `key`. Raises `ConfigError`."""
    if address.startswith("unix:"):
        return True
    if address.startswith(PREFIX):
        handed = handed_over(address.removeprefix(PREFIX), os.environ if environ is None else environ, key)
        names = [each.getsockname() for each in handed]
        for each in handed:
            each.close()
        return all(not isinstance(name, tuple) or is_loopback(name[0]) for name in names)
    host, _ = host_port(address, key)
    return host == "localhost" or is_loopback(host)


def listening_sockets(address: str, environ: Mapping[str, str], *, key: str = KEY) -> list[socket.socket]:
    """Sockets that listen at `address`, and do not block. Raises `ConfigError`."""
    try:
        listening = _sockets(address, environ, key)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {address}: {_plainly(error)}.", key=key, hint=_HINTS.get(error.errno or 0, "")
        ) from None
    for each in listening:
        each.setblocking(False)
    return listening


def address_of(listening: socket.socket) -> str:
    """Where a socket listens, as it is written in a configuration."""
    name = listening.getsockname()
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return f"unix:{name}"


INHERITED: dict[str, list[socket.socket]] = {}  # by address: what the supervisor of this process opened


def _sockets(address: str, environ: Mapping[str, str], key: str) -> list[socket.socket]:
    if address in INHERITED:
        return [each.dup() for each in INHERITED[address]]
    if address.startswith(PREFIX):
        return handed_over(address.removeprefix(PREFIX), environ, key)
    if address.startswith("unix:"):
        return [unix_socket(address.removeprefix("unix:"))]
    host, port = host_port(address, key)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return [socket.create_server((host, port), family=family, backlog=BACKLOG)]


def host_port(address: str, key: str = KEY) -> tuple[str, int]:
    """The two halves of ``host:port``, without brackets. Raises `ConfigError`."""
    found = _HOST_PORT.fullmatch(address)
    if found is None or int(found[3]) > 65535:
        raise ConfigError(
            f"{address!r} is no address to listen on.",
            key=key,
            hint="Write host:port, [IPv6 address]:port, unix:/path or systemd:NAME.",
        )
    return found[1] or found[2], int(found[3])
