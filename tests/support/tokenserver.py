"""A small real token endpoint on loopback, with scripted answers."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar, cast
from urllib.parse import parse_qs


@dataclass
class Answer:
    """What to say. `before` runs first, for instance to wait or to look at the world."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    hang_up: bool = False


def said(status: int = 200, headers: dict[str, str] | None = None, **fields: object) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(fields).encode(), headers or {})


@dataclass(frozen=True)
class Asked:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]
    body: str = ""


class TokenServer:
    """Answers from `script` while it lasts, then issues `access-1`, `access-2`, …

    Other servers are made of it by another `reply`.
    """

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.asked: list[Asked] = []
        self.url = ""
        self.lifetime: object = 3600
        self.rotate = False
        self._mutex = threading.Lock()
        self._issued = 0
        self._family: str | None = None

    def answer(self, asked: Asked) -> Answer:
        with self._mutex:
            self.asked.append(asked)
            if self.script:
                return self.script.popleft()
            return self.reply(asked)

    def reply(self, asked: Asked) -> Answer:
        """What is answered when nothing is scripted."""
        if asked.form.get("grant_type") == "refresh_token" and self.rotate:
            return self._rotated(asked.form.get("refresh_token", ""))
        self._issued += 1
        return said(access_token=f"access-{self._issued}", token_type="Bearer", expires_in=self.lifetime)

    def family(self, refresh_token: str) -> None:
        """From now on only `refresh_token` is good, and using an old one revokes the whole family."""
        self.rotate, self._family = True, refresh_token

    @property
    def good_refresh_token(self) -> str | None:
        return self._family

    def _rotated(self, presented: str) -> Answer:
        if presented != self._family:
            self._family = None
            return said(400, error="invalid_grant", error_description="reused: the family is revoked")
        self._issued += 1
        self._family = f"refresh-{self._issued}"
        return said(
            access_token=f"access-{self._issued}",
            token_type="Bearer",
            expires_in=self.lifetime,
            refresh_token=self._family,
        )


_OF_THE_SANDBOX = ("grant", "token-url", "client-secret", "refresh-token", "scopes")


class Slow:
    """A server that rotates, and answers when it is let."""

    def __init__(self, server: TokenServer) -> None:
        self.server = server
        self.asked, self.answer = threading.Event(), threading.Event()
        server.family("refresh-0")
        self._reply = server.reply
        server.reply = self.reply  # type: ignore[method-assign]

    def reply(self, asked: Asked) -> Answer:
        answer = self._reply(asked)
        answer.before = self._wait
        return answer

    def _wait(self) -> None:
        self.asked.set()
        self.answer.wait(20)

    async def until_asked(self) -> None:
        assert await asyncio.to_thread(self.asked.wait, 20)

    def account(self, configuration: str) -> str:
        """A configuration of the sandbox, changed to get its tokens here by a refresh token."""
        kept = [line for line in configuration.splitlines() if not line.startswith(_OF_THE_SANDBOX)]
        ours = ['grant = "refresh-token"', f'token-url = "{self.server.url}"', 'client-secret = "env:SECRET"']
        return "\n".join([kept[0], *ours, 'refresh-token = "env:REFRESH"', *kept[1:], ""])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: TokenServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.state.answer(Asked(self.command, self.path, headers, form, body))
        if answer.before is not None:
            answer.before()
        self.close_connection = True
        if answer.hang_up:
            return
        self.send_response_only(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *args: object) -> None:
        """Be quiet."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, *args: object) -> None:
        """A client that went away is part of the test."""


Server = TypeVar("Server", bound=TokenServer)


@contextmanager
def serving(tls: ssl.SSLContext | None = None, state: Server | None = None) -> Iterator[Server]:
    """A running `TokenServer`, or another one given as `state`; gone at the end of the block."""
    state = state or cast(Server, TokenServer())
    server = _Quiet(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/token"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
