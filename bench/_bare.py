"""A server that checks nothing: what this machine, SQLite and a loop in Python allow at most.

    python bench/_bare.py FOLDER

It answers each command by its first letter, takes the content as it comes, and says 250 after a commit with
the settings of the spool: one row a message, all that wait in one sync. Prints its port. No relay.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import apsw
import uvloop

CHECKPOINT = 1000  # pages
_Rows = tuple[list[bytes], Callable[[], object]]


class Log:
    """Commits in a thread of its own, as the spool does."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = apsw.Connection(str(folder / "bare.db"))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        self._connection.pragma("wal_autocheckpoint", 0)
        self._connection.execute("CREATE TABLE message (number INTEGER PRIMARY KEY, data BLOB)")
        self._connection.set_wal_hook(self._count)
        self._pages = 0
        self._waiting: list[_Rows] = []
        self._busy = False
        self._batches: queue.SimpleQueue[list[_Rows]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def keep(self, rows: list[bytes], done: Callable[[], object]) -> None:
        """`done` is called once they are synced."""
        self._waiting.append((rows, done))
        self._next()

    def _next(self) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        batch, self._waiting = self._waiting, []
        self._connection.execute("BEGIN IMMEDIATE")
        rows = [(data,) for rows, _ in batch for data in rows]
        self._connection.executemany("INSERT INTO message (data) VALUES (?)", rows)
        self._batches.put(batch)

    def _run(self) -> None:
        while True:
            batch = self._batches.get()
            self._connection.execute("COMMIT")
            if self._pages > CHECKPOINT:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._loop.call_soon_threadsafe(self._done, batch)

    def _done(self, batch: list[_Rows]) -> None:
        self._busy = False
        for _, done in batch:
            done()
        self._next()

    def _count(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK


class Session(asyncio.Protocol):
    def __init__(self, log: Log) -> None:
        self._log = log
        self._content: bytearray | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.say(b"220 bare.example.org ESMTP\r\n")

    def say(self, line: bytes) -> None:
        self._transport.write(line)

    def data_received(self, data: bytes) -> None:
        if self._content is not None:
            self._content += data
            if self._content.endswith(b"\r\n.\r\n"):
                content, self._content = bytes(self._content), None
                self._log.keep([content], partial(self.say, b"250 2.6.0 Queued\r\n"))
        elif data[:1] == b"D":
            self._content = bytearray()
            self.say(b"354 Go on\r\n")
        elif data[:1] == b"Q":
            self.say(b"221 Bye\r\n")
            self._transport.close()
        else:
            self.say(b"250 OK\r\n")


async def main(folder: Path) -> None:
    log = Log(folder)
    server = await asyncio.get_running_loop().create_server(lambda: Session(log), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
