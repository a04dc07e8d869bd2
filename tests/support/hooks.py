"""A receiver of webhooks on loopback, which checks nothing by itself and answers what it is told."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Call:
    """One request."""

    headers: dict[str, str]
    body: bytes
    path: str
    method: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Odd = Callable[[BaseHTTPRequestHandler], None]  # answers by itself, or does not


@dataclass
class Hooks:
    """`answers` are used up one by one, each a status with header fields, or odd; then it is `always`."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]] | Odd] = field(default_factory=list)
    always: tuple[int, dict[str, str]] | Odd = (204, {})
    by_message: dict[str, int] = field(default_factory=dict)  # what it answers to the events of some messages
    calls: list[Call] = field(default_factory=list)
    delay: float = 0.0  # seconds until it answers
    at_once: int = 0
    most_at_once: int = 0

    def kinds(self) -> list[str]:
        return [call.json["type"] for call in self.calls]

    def wait_for(self, kind: str, seconds: float = 20.0) -> Call:
        """The first call of that kind, once it came."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = next((call for call in self.calls if call.json["type"] == kind), None)
            if found is not None:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no {kind} within {seconds} s, but {self.kinds()}")


@contextmanager
def receiving(
    port: int = 0, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Hooks]:
    hooks, lock = Hooks(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            body = self.rfile.read(length)
            if len(body) < length:
                return  # who called was killed
            fields = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                hooks.calls.append(Call(fields, body, self.path, self.command))
                answer = hooks.answers.pop(0) if hooks.answers else hooks.always
                hooks.at_once += 1
                hooks.most_at_once = max(hooks.most_at_once, hooks.at_once)
            try:
                time.sleep(hooks.delay)
                self._answer(answer, body)
            finally:
                with lock:
                    hooks.at_once -= 1

        def _answer(self, answer: tuple[int, dict[str, str]] | Odd, body: bytes) -> None:
            if (
                hooks.by_message
                and (data := json.loads(body).get("data", {})).get("message") in hooks.by_message
            ):
                answer = hooks.by_message[data["message"]], {}
            if callable(answer):
                answer(self)
                return
            status, more = answer
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 50

        def handle_error(self, request: object, client_address: object) -> None:
            """Who was called hangs up, as tests want it."""

    server = Server(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if context is None else "https"
    hooks.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hooks
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close without a word."""
    handler.close_connection = True
    handler.connection.close()


def huge(handler: BaseHTTPRequestHandler) -> None:
    """A good answer that does not end."""
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(b"x" * 65_536)


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example.org ESMTP\r\n")
    handler.close_connection = True
