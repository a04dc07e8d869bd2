"""Where the API listens: sockets, TLS, and connections that are bounded in number, time and size."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from postbearer.clock import Clock
from postbearer.events import Observer
from postbearer.http_guard import Application, Receive, Scope, Send
from postbearer.submission import ConnectionLimit, RejectLog, SessionLimits, address_of, listening_sockets

HEAD = 64 * 1024  # octets of the header of a request
HEAD_TIME = 30.0  # seconds until it is there
IDLE = 75.0  # seconds between requests
BOUNDS = SessionLimits(connections=2000, connections_per_client=200, connections_of_this_machine=1600)
_QUIET = logging.Logger("postbearer.api", logging.CRITICAL + 1)  # it has no handler: the events tell


class HttpServer:
    """Listens at `addresses`, and serves what `use` was given last."""

    def __init__(
        self,
        addresses: Sequence[str],
        application: Application,
        context: ssl.SSLContext | None,
        *,
        key: str,
        clock: Clock,
        observer: Observer,
    ) -> None:
        """`key` is where the addresses stand in the configuration. With a `context`, TCP is TLS only."""
        self._asked = addresses
        self._application = application
        self._context = context
        self._key = key
        self._state = ServerState()
        self._limit = ConnectionLimit(BOUNDS, RejectLog(clock, observer), clock=clock)
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._config = uvicorn.Config(
            self._serve,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
            timeout_keep_alive=int(IDLE),
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens in fact."""
        return tuple(address_of(each) for each in self._sockets) or tuple(self._asked)

    def use(self, application: Application, context: ssl.SSLContext | None) -> None:
        """Serve by another configuration from the next request, and the next handshake, on."""
        self._application, self._context = application, context

    async def start(self) -> None:
        """Listen. Raises `ConfigError` when an address cannot be had."""
        self._config.load()
        loop = asyncio.get_running_loop()
        for address in self._asked:
            self._sockets += listening_sockets(address, os.environ, key=self._key)
        for listening in self._sockets:
            tcp = listening.family != getattr(socket, "AF_UNIX", None)
            context = self._front() if tcp and self._context is not None else None
            more: dict[str, Any] = {"ssl_handshake_timeout": BOUNDS.tls} if context else {}
            begin = loop.create_server if tcp else loop.create_unix_server
            self._servers.append(
                await begin(self._protocol, sock=listening, ssl=context, backlog=1024, **more)
            )

    async def stop(self, patience: float) -> None:
        """Take no new connection; let requests under way finish for up to `patience` seconds."""
        for server in self._servers:
            server.close()
        for address in self._asked:
            if address.startswith("unix:"):
                with suppress(FileNotFoundError):
                    os.unlink(address.removeprefix("unix:"))
        self._servers.clear()
        self._sockets.clear()
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(tuple(self._state.tasks), timeout=patience)
        late = tuple(self._state.tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for connection in tuple(self._state.connections):
            connection.transport.abort()

    def _protocol(self) -> _Protocol:
        return _Protocol(self._config, self._state, {}, limit=self._limit)

    def _front(self) -> ssl.SSLContext:
        """A context that hands each handshake on to the one in use: certificates are renewed by a reload."""
        front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        front.minimum_version = ssl.TLSVersion.TLSv1_2

        def choose(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            assert self._context is not None
            connection.context = self._context

        front.sni_callback = choose
        return front

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


class _Protocol(HttpToolsProtocol):
    """One connection: neither a request that does not come nor a client that does not read lasts.

    The parser keeps what is not a whole field yet, however much that is: the bounds are ours.
    """

    def __init__(self, *given: Any, limit: ConnectionLimit) -> None:
        super().__init__(*given)
        self.logger = self.access_logger = _QUIET
        self.access_log = False
        self._limit = limit
        self._inside = ExitStack()
        self._head = 0  # octets of the header so far …
        self._open = 0  # … and those that came since anything of a request was whole
        self._headed = False  # what comes now is not of a header any more
        self._late: asyncio.TimerHandle | None = None  # rings when no request came …
        self._stuck: asyncio.TimerHandle | None = None  # … or nothing was read of an answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        if self._inside.enter_context(self._limit.enter(peer)):
            transport.abort()
        else:
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._late)
        _stop(self._stuck)
        self._inside.close()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._open += len(data)
        super().data_received(data)
        if self._open > HEAD and not self.transport.is_closing():
            self.send_400_response("The header is too large.")
        self._look()

    def on_message_begin(self) -> None:
        self._head, self._headed = 0, False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)  # with a colon, a blank and the end of the line
        if not self._headed:  # behind the body it would say what nobody looks at any more (RFC 9110 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._open, self._headed = 0, True
        super().on_headers_complete()
        assert self.parser is not None, "it has called us"
        if self.parser.should_upgrade():  # to nothing: and what follows is read by nobody
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._open = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._open = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(BOUNDS.write, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._stuck)

    def _count(self, octets: int) -> None:
        self._open = 0
        self._head += octets
        if self._head > HEAD:
            raise ValueError  # which the parser takes for a request that is none

    def _look(self) -> None:
        """Between requests, one has to come whole within `HEAD_TIME` once it has begun."""
        if self.cycle is not None and not self.cycle.response_complete:
            _stop(self._late)
            self._late = None
        elif self._late is None and not self.transport.is_closing():
            self._late = self.loop.call_later(HEAD_TIME, self.transport.abort)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
