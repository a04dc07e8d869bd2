"""POSTs the same body over connections that stay open, as smtp-source does with mail.

    python bench/_post.py PORT CONNECTIONS REQUESTS PATH TYPE TOKEN FILE

One loop on bare sockets, so that it is the relay that is measured. Prints the seconds until all were answered
by 202.
"""

from __future__ import annotations

import re
import selectors
import socket
import sys
import time
from pathlib import Path

REQUEST = (
    "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Connection:
    """One request after the other."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._request = request
        self._read = bytearray()

    def ask(self) -> None:
        self.socket.sendall(self._request)

    def read(self) -> bool:
        """Whether the answer is there."""
        self._read += self.socket.recv(1 << 20)
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 202 "):
            sys.exit(self._read.decode("latin-1"))
        length = _LENGTH.search(head + b"\r\n")
        assert length is not None, head
        if len(body) < int(length[1]):
            return False
        self._read.clear()
        return True


def post(port: int, connections: int, requests: int, request: bytes) -> float:
    """Seconds until as many requests were answered."""
    selector = selectors.DefaultSelector()
    open_ = [Connection(port, request) for _ in range(connections)]
    began, asked, done = time.perf_counter(), 0, 0
    for connection in open_:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        if asked < requests:
            connection.ask()
            asked += 1
    while done < requests:
        for key, _ in selector.select(60):
            if not key.data.read():
                continue
            done += 1
            if asked < requests:
                key.data.ask()
                asked += 1
    return time.perf_counter() - began


def main(port: str, connections: str, requests: str, path: str, kind: str, token: str, file: str) -> None:
    body = Path(file).read_bytes()
    head = REQUEST.format(path=path, token=token, kind=kind, length=len(body))
    print(post(int(port), int(connections), int(requests), head.encode() + body))


if __name__ == "__main__":
    main(*sys.argv[1:])
