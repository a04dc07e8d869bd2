"""Who may ask an HTTP face of ours, and how much: for any ASGI application, and without any I/O.

A page of the web can have a browser ask 127.0.0.1, under a name of its own that resolves there (DNS
rebinding), and can send forms anywhere. Neither tells on itself but by these fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
LARGEST_BODY = 1024 * 1024  # octets
READ_AWAY = 64 * 1024 * 1024  # octets of a body that is refused
_SAFE = ("GET", "HEAD", "OPTIONS")  # they change nothing (RFC 9110 9.2.1)


class _TooLarge(Exception):
    pass


async def in_words(send: Send, status: int, text: str) -> None:
    """Answer with a line of text."""
    body = f"{text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    # What was not read of the request is never taken for the next one.
    headers += [(b"connection", b"close"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Guard:
    """`application` behind three rules; who breaks one is answered here, by `refuse`.

    - Host is one of `hosts`, by whatever port (421, or 400 where there is not exactly one); None: any;
    - what changes something comes from no other site, by Sec-Fetch-Site or else by Origin (403);
    - a body has at most `most` octets, which may depend on the request (413).
    """

    def __init__(
        self,
        application: Application,
        hosts: Collection[str] | None = LOOPBACK_NAMES,
        most: int | Callable[[Scope], int] = LARGEST_BODY,
        refuse: Callable[[Send, int, str], Awaitable[None]] = in_words,
    ) -> None:
        self._application = application
        self._hosts = None if hosts is None else frozenset(name.lower() for name in hosts)
        self._most = most
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        most = self._most if isinstance(self._most, int) else self._most(scope)
        if refusal := self._refusal(scope, most):
            await read_away(scope, receive)
            await self._refuse(send, *refusal)
            return
        came, rest, begun = 0, True, False

        async def bounded() -> Message:
            nonlocal came, rest
            message = await receive()
            came += len(message.get("body", b""))
            rest = message.get("more_body", False)
            if came > most:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            if came > most and not begun:
                return  # what the application makes of the exception: it is answered below
            begun = True
            await send(message)

        with suppress(_TooLarge):
            await self._application(scope, bounded, watched)
        if came > most and not begun:
            if rest:
                await read_away(scope, receive)
            await self._refuse(send, *_too_large(most))

    def _refusal(self, scope: Scope, most: int) -> tuple[int, str] | None:
        """Status and words, or None."""
        hosts = _all(scope, b"host")
        if len(hosts) != 1:
            return 400, "A request names one host."
        if self._hosts is not None and _name(hosts[0]) not in self._hosts:
            return 421, "This is not served under that name."
        if scope["method"] not in _SAFE and not _from_here(scope, hosts[0]):
            return 403, "This comes from another site."
        lengths = _all(scope, b"content-length")
        if any(each.isdecimal() and int(each[:20]) > most for each in lengths):
            return _too_large(most)
        return None


def _too_large(most: int) -> tuple[int, str]:
    return 413, f"A request may have {most} octets." if most else "This request has no body."


def _all(scope: Scope, name: bytes) -> list[str]:
    return [
        value.decode("latin-1").strip() for key, value in scope["headers"] if key == name
    ]  # in lower case


def _name(host: str) -> str:
    """The host without its port (RFC 3986 3.2.2)."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()


def _from_here(scope: Scope, host: str) -> bool:
    """Whether no other site is behind the request. Programs send neither field; every browser sends one."""
    if sites := _all(scope, b"sec-fetch-site"):
        return all(site in ("same-origin", "none") for site in sites)
    return all(origin.lower() == f"{scope['scheme']}://{host}".lower() for origin in _all(scope, b"origin"))


class Body:
    """`receive`, and whether the body has come to its end."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        fields = dict(scope["headers"])
        self.whole = fields.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in fields

    async def receive(self) -> Message:
        message = await self._receive()
        self.whole = self.whole or not message.get("more_body", False)
        return message


async def read_away(scope: Scope, receive: Receive) -> None:
    """Let the client end its body, within bounds: one that is cut off while it sends reads no answer.

    Who asks first sends no body now (RFC 9110 10.1.1).
    """
    came, more = 0, not _all(scope, b"expect")
    while more and came < READ_AWAY:
        message = await receive()
        came += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
