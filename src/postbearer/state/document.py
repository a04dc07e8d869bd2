"""A small record that is replaced as a whole, such as what the relay has told already."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Protocol

from postbearer.state.files import read_private, write_private


class Document(Protocol):
    """One record. It has one writer at a time."""

    @property
    def place(self) -> str:
        """Where it is kept, in words for people."""
        ...

    async def read(self) -> bytes | None:
        """What was written last; None if there is nothing. Raises `StoreError`."""
        ...

    async def write(self, data: bytes) -> None:
        """Replace it, durably: after a crash it is the old one or the new one. Raises `StoreError`."""
        ...

    async def put_aside(self) -> None:
        """It is damaged: keep it for a person, where that is possible, and go on without one."""
        ...

    def alone(self) -> AbstractAsyncContextManager[bool]:
        """Whether nobody else reads it to write it until the end, for some minutes. Nobody is waited for.

        Raises `StoreError`.
        """
        ...


class FileDocument:
    """A `Document` that is a file."""

    def __init__(self, path: str) -> None:
        self.place = path

    async def read(self) -> bytes | None:
        return await asyncio.to_thread(read_private, self.place)

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(write_private, self.place, data)

    async def put_aside(self) -> None:
        with suppress(OSError):
            os.replace(self.place, f"{self.place}.damaged")

    def alone(self) -> AbstractAsyncContextManager[bool]:
        """A state folder has one relay."""
        return nullcontext(True)


class MemoryDocument:
    """A `Document` for one process."""

    place = "the memory of this process"

    def __init__(self) -> None:
        self._data: bytes | None = None

    async def read(self) -> bytes | None:
        return self._data

    async def write(self, data: bytes) -> None:
        self._data = data

    async def put_aside(self) -> None:
        self._data = None

    def alone(self) -> AbstractAsyncContextManager[bool]:
        return nullcontext(True)
