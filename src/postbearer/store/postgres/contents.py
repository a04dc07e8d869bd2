"""Content on its way in and out, near this process: in memory while it is small, else in an unnamed file."""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from collections.abc import Iterator

from postbearer.errors import StoreError, StoreFull
from postbearer.store.staging import BLOCK

CHUNK = 256 * 1024  # octets of a row
SMALL = 512 * 1024  # octets that stay in memory


class Spooled:
    """Octets that are appended, and read again from the start as often as wanted."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=SMALL)  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self._file.close)
        self._hash = hashlib.sha256()
        self.size = 0

    def append(self, data: bytes) -> None:
        """Raises `StoreFull`."""
        try:
            self._file.seek(self.size)
            self._file.write(data)
        except OSError as error:
            raise StoreFull(
                f"No room for content in {tempfile.gettempdir()}: {error.strerror}.",
                hint="Free some disk space, or name another folder by TMPDIR.",
            ) from error
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        place = 0
        while place < self.size:
            self._file.seek(place)  # others may read it at the same time
            data = self._file.read(min(size, self.size - place))
            if not data:
                raise StoreError("A temporary file was cut.")
            place += len(data)
            yield data

    def clear(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.size = 0


class PostgresStaging:
    """Content that comes in. It goes to the database with the message, in one transaction."""

    def __init__(self) -> None:
        self._spooled = Spooled()
        self.accepted = False

    async def write(self, data: bytes) -> None:
        self._spooled.append(data)

    @property
    def size(self) -> int:
        return self._spooled.size

    @property
    def sha256(self) -> str:
        return self._spooled.sha256

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        return self._spooled.blocks(size)

    async def discard(self) -> None:
        if not self.accepted:
            self._spooled.clear()


class SpooledContent:
    """The accepted octets, all of them here, and their hash proven."""

    def __init__(self, spooled: Spooled, *, eight_bit: bool, binary: bool) -> None:
        self._spooled = spooled
        self.size = spooled.size
        self.eight_bit = eight_bit
        self.binary = binary

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        return self._spooled.blocks(size)
