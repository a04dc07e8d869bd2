"""Where the browser comes back to after a sign-in: a listener on loopback, for one redirect (RFC 8252 7.3).

Everything on this machine may connect, also whatever a page in the browser makes it ask for. So each
connection is bounded in size and time, as is their number, and nothing that was asked is repeated.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from postbearer.errors import CredentialError, GrantRefused, PostbearerError, UsageError
from postbearer.oauth import WRONG_STATE, RedirectReader, with_port
from postbearer.secret import Secret

HEAD = 64 * 1024  # octets: browsers send the cookies of everything that ever ran on localhost
PATIENCE = 10.0  # seconds for a request to come whole, and for its answer to leave
CONNECTIONS = 32  # at one time
_PARTING = 1.0  # seconds for the last answer to leave

_HEADERS = (
    "content-type: text/html; charset=utf-8",
    "cache-control: no-store",
    "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy: no-referrer",  # the address of this page holds the code
    "x-content-type-options: nosniff",
    "connection: close",
)
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>postbearer</title><style>body{{font:18px/1.5 system-ui,sans-serif;max-width:36rem;"
    "margin:4rem auto;padding:0 1rem}}</style><h1>{title}</h1><p>{text}</p></html>"
)
_WRONG = {  # code of the error → what the person in front of the browser is told
    WRONG_STATE: "This address belongs to an earlier sign-in. Open the newest one.",
    "access_denied": "The sign-in was declined.",
    "other_user": "Another user has signed in than the one who is wanted.",
    "no_refresh_token": "The server did not give what is needed for more than an hour.",
}


@dataclass(frozen=True, slots=True)
class _Page:
    status: str
    title: str
    text: str
    headers: tuple[str, ...] = ()

    def encode(self) -> bytes:
        body = _PAGE.format(title=escape(self.title), text=escape(self.text)).encode()
        head = (f"HTTP/1.1 {self.status}", *_HEADERS, *self.headers, f"content-length: {len(body)}")
        return "\r\n".join((*head, "", "")).encode() + body


_DONE = _Page("200 OK", "Signed in", "You may close this window.")
_NOT_FOUND = _Page("404 Not Found", "Nothing here", "A sign-in ends at another address.")
_NOT_GET = _Page("405 Method Not Allowed", "Not like this", "A sign-in ends with GET.", ("allow: GET",))
_STRANGE = _Page("400 Bad Request", "Not understood", "This is no request of a browser.")
_TOO_LARGE = _Page("431 Request Header Fields Too Large", "Too large", "The request is too large.")


def _failed(error: PostbearerError | None) -> _Page:
    known = _WRONG.get(error.code) if isinstance(error, CredentialError) else None
    text = f"{known or 'It did not work.'} What to do stands in the terminal; you may close this window."
    return _Page("400 Bad Request", "Not signed in", text)


def bound(uri: str, port: int) -> tuple[socket.socket, str]:
    """A socket that listens where the redirect URI `uri` leads, and the URI with its port; 0: any.

    Raises `UsageError` if the port cannot be had.
    """
    host = urlsplit(uri).hostname or ""
    family, address = (socket.AF_INET6, "::1") if ":" in host else (socket.AF_INET, "127.0.0.1")
    try:
        listener = socket.create_server((address, port), family=family)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = str(error.strerror).partition(" (while ")[0]  # the rest is the address again
        raise UsageError(
            f"Port {port} of {address} {'is taken' if taken else f'cannot be had ({why})'}.",
            hint="Choose another with --port, as far as the registered redirect URI allows.",
        ) from error
    return listener, with_port(uri, listener.getsockname()[1])


@dataclass(slots=True)
class RedirectListener:
    """Waits on `listener` for the redirect that `reader` takes, and answers it when all is done.

    A redirect of another sign-in does not end this one: it is refused, and the first is told by `warn`.
    """

    listener: socket.socket
    path: str
    reader: RedirectReader
    warn: Callable[[GrantRefused], object]
    patience: float = PATIENCE
    strange: GrantRefused | None = None  # the last redirect of another sign-in
    _server: asyncio.Server | None = None
    _code: asyncio.Future[Secret] = field(default_factory=asyncio.Future)
    _outcome: asyncio.Future[_Page] = field(default_factory=asyncio.Future)
    _open: dict[asyncio.Task[None], None] = field(default_factory=dict)  # have asked nothing yet
    _redirected: set[asyncio.Task[None]] = field(default_factory=set)  # those that asked what they should

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, sock=self.listener, limit=HEAD)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The person in front of the browser learns how it went before the listener goes."""
        assert self._server is not None
        self._server.close()
        known = error if isinstance(error, PostbearerError) else None
        self._outcome.set_result(_DONE if kind is None else _failed(known))
        if self._redirected and kind is not asyncio.CancelledError:
            await asyncio.wait(self._redirected, timeout=_PARTING)
        for task in (*self._open, *self._redirected):
            task.cancel()

    async def code(self, timeout: float) -> Secret:
        """The code that came within `timeout` seconds. Raises what `RedirectReader.code` does."""
        try:
            async with asyncio.timeout(timeout):
                return await self._code
        except TimeoutError:
            strange = f" What came: {self.strange.message}" if self.strange else ""
            raise GrantRefused(
                f"Nobody came back from the browser within {timeout:g} s.{strange}",
                account=self.reader.account,
                code="timeout",
                who="mailbox user",
                hint="Begin again; where the browser cannot reach this machine, with --paste.",
            ) from None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            writer.transport.abort()
            return
        if len(self._open) >= CONNECTIONS:  # who connected first and said nothing gives way
            next(iter(self._open)).cancel()
        self._open[task] = None
        try:
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError):  # it went away: let it
                page = await self._page(reader, task)
                writer.write(page.encode())
                async with asyncio.timeout(self.patience):
                    await writer.drain()
        finally:
            self._open.pop(task, None)
            self._redirected.discard(task)
            writer.close()

    async def _page(self, reader: asyncio.StreamReader, task: asyncio.Task[None]) -> _Page:
        try:
            async with asyncio.timeout(self.patience):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _TOO_LARGE
        line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(line) != 3 or not line[2].startswith("HTTP/1."):
            return _STRANGE
        method, target = line[:2]
        try:  # RFC 9112 3.2: usually the path alone, which may look like a host if it begins with //
            parts = urlsplit(f"http://localhost{target}" if target.startswith("/") else target)
        except ValueError:
            return _STRANGE
        if (parts.path or "/") != self.path:
            return _NOT_FOUND
        if method != "GET":
            return _NOT_GET
        self._redirected.add(task)
        self._open.pop(task, None)  # the person is served to the end
        return await self._answer(Secret(parts.query))

    async def _answer(self, query: Secret) -> _Page:
        try:
            code = self.reader.code(query)
        except CredentialError as error:
            if isinstance(error, GrantRefused) and error.code == WRONG_STATE:
                return self._refused(error)
            if not self._code.done():
                self._code.set_exception(error)
            return _failed(error)
        if not self._code.done():
            self._code.set_result(code)
        return await asyncio.shield(self._outcome)

    def _refused(self, error: GrantRefused) -> _Page:
        if self.strange is None:
            self.warn(error)
        self.strange = error
        return _failed(error)
