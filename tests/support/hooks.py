"""A receiver of webhooks on loopback, which checks nothing by itself and answers what it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


@dataclass
class Hooks:
    """`answers` are used up one by one, each a status with header fields; then it is 204."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    delay: float = 0.0  # seconds until it answers

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
def receiving(port: int = 0) -> Iterator[Hooks]:
    hooks = Hooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            fields = {name.lower(): value for name, value in self.headers.items()}
            hooks.calls.append(Call(fields, body, self.path, self.command))
            time.sleep(hooks.delay)
            status, more = hooks.answers.pop(0) if hooks.answers else (204, {})
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    hooks.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hooks
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
