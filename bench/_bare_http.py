"""The same as _bare.py by HTTP: what the parser of requests, JSON, SQLite and a loop in Python allow at most.

    python bench/_bare_http.py FOLDER

It reads the requests as the relay does, and nothing in them: a body is one row, of a batch each message is
one. It says 202 after a commit with the settings of the spool. Prints its port. No relay.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop
from _bare import Log

ANSWER = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
    + b'{"id":"000000"}'
)


class Batch(msgspec.Struct):
    messages: list[msgspec.Raw]


class Connection(asyncio.Protocol):
    def __init__(self, log: Log) -> None:
        self._log = log
        self._parser = httptools.HttpRequestParser(self)
        self._batch = False
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._batch = url.endswith(b"/batch")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = bytes(self._body), bytearray()
        rows = msgspec.json.decode(body, type=Batch).messages if self._batch else [body]
        self._log.keep(list(map(bytes, rows)), partial(self._transport.write, ANSWER))


async def main(folder: Path) -> None:
    log = Log(folder)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(log), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
