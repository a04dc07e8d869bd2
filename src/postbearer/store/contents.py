"""Content in the spool: taken piece by piece, handed out piece by piece, and never held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial

from postbearer.errors import StoreError
from postbearer.store import writes
from postbearer.store.database import Readers
from postbearer.store.queries import queries
from postbearer.store.reads import number_of
from postbearer.store.records import Message
from postbearer.store.staging import BLOCK
from postbearer.store.writer import Writer

CHUNK = 256 * 1024  # octets of a row; what is shorter waits in memory for the message's own transaction
PIECE, SMALL = 2047, 32 * 1024  # octets: see `Sha256`


class Sha256:
    """The hash of octets that come piece by piece.

    `hashlib` lets other threads run while it hashes 2,048 octets or more. To have its turn again takes
    several times as long as to hash a small message, so that is hashed in pieces below this.
    """

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        if not PIECE < len(data) <= SMALL:
            self._hash.update(data)
            return
        for start in range(0, len(data), PIECE):
            self._hash.update(data[start : start + PIECE])

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class SqliteStaging:
    """Content on its way in."""

    def __init__(self, writer: Writer, readers: Readers, number: int) -> None:
        self.number = number
        self._writer = writer
        self._readers = readers
        self._hash = Sha256()
        self.size = 0
        self._written = 0  # chunks
        self._tail = bytearray()

    async def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._tail += data
        while len(self._tail) > CHUNK:
            chunk = self._written, bytes(self._tail[:CHUNK])
            del self._tail[:CHUNK]
            self._written += 1
            await self._writer.submit(partial(writes.stage, number=self.number, chunk=chunk))

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def rest(self) -> list[writes.Chunk]:
        """What is not in the file yet."""
        return [(self._written, bytes(self._tail))] if self._tail else []

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        return _sliced(self._chunks(), size)

    def _chunks(self) -> Iterator[bytes]:
        for chunk in range(self._written):
            yield _chunk(self._readers, self.number << writes.CHUNK_BITS | chunk, "a message that comes in")
        yield bytes(self._tail)

    async def discard(self) -> None:
        self._tail.clear()
        if self._written:
            self._written = 0
            while not await self._writer.submit(partial(writes.unstage, number=self.number)):
                pass


class SqliteContent:
    """The accepted octets. Each chunk is one short read: a slow receiver must not keep the log from being
    reused. Their hash is proven before the last chunk is handed out.
    """

    def __init__(self, readers: Readers, message: Message, whole: bytes = b"") -> None:
        self._readers = readers
        self._message = message
        self.size = message.size
        self.eight_bit = message.eight_bit
        self.binary = message.binary
        self._whole = whole  # of small content, which is read twice: for its header, and to be sent

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        if 0 < len(self._whole) <= size:
            return iter((self._whole,))
        return _sliced(self._proven(), size)

    def _proven(self) -> Iterator[bytes]:
        if self._whole:
            yield self._whole
            return
        digest = Sha256()
        held = b""
        for chunk in self._chunks():
            digest.update(chunk)
            if held:
                yield held
            held = chunk
        if digest.hexdigest() != self._message.sha256:
            raise StoreError(
                f"The content of {self._message.id} is not what was accepted: its hash differs.",
                hint="Look at the disk; cancel the message, or restore the spool from a backup.",
            )
        if held:
            if len(held) == self.size:
                self._whole = held
            yield held

    def _chunks(self) -> Iterator[bytes]:
        number, total, chunk = self._number(), 0, 0
        while total < self.size:
            data = _chunk(self._readers, number << writes.CHUNK_BITS | chunk, self._message.id)
            total += len(data)
            chunk += 1
            yield data

    def _number(self) -> int:
        with self._readers.reading(once=True) as connection:
            number = number_of(connection, self._message.id)
        if number is None:
            raise StoreError(f"There is no message {self._message.id} any more.")
        return number


def _chunk(readers: Readers, place: int, name: str) -> bytes:
    with readers.reading(once=True) as connection:
        row = connection.execute(_CHUNK, (place,)).fetchone()
    if not row or not row[0]:
        raise StoreError(f"A part of the content of {name} is missing.")
    return bytes(row[0])


_CHUNK = queries("look")["chunk"]


def _sliced(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same octets in pieces of `size`; the last may be smaller."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk if rest else chunk
        whole = len(data) - len(data) % size
        for start in range(0, whole, size):
            yield data[start : start + size]
        rest = data[whole:]
    if rest:
        yield rest
