"""``file:/path``: a secret in a file; a relative path starts at the folder of the configuration."""

from __future__ import annotations

import asyncio
import base64
import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import ByPlace, Secret
from postbearer.secrets.reference import ReferenceContext

SIZE_LIMIT = 256 * 1024  # octets
TIMEOUT = 30.0  # seconds
_DER = b"\x30"  # SEQUENCE (X.690 8.9), with which the DER of every key container begins


class FileSecret(ByPlace):
    """The text of a file, without one newline at its end."""

    local = True

    def __init__(self, path: Path, reference: str, *, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout
        self.reference = reference

    def __repr__(self) -> str:
        return f"FileSecret({str(self._path)!r})"

    async def read(self) -> Secret:
        # In a thread: the file may be a pipe, or on a network that hangs.
        return text_secret(await asyncio.to_thread(self._octets), self.reference)

    def _octets(self) -> bytes:
        try:
            with open(self._path, "rb", opener=_without_waiting) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    self._wait(file)
                return file.read(SIZE_LIMIT + 1)
        except OSError as error:
            raise SecretError(
                f"{self._path} cannot be read: {error.strerror}.",
                reference=self.reference,
                hint="It must exist and be readable by the user that sends mail.",
            ) from error

    def _wait(self, pipe: BinaryIO) -> None:
        """Until somebody writes into a pipe: who only opens one waits for that without end."""
        ready, _, _ = select.select([pipe], [], [], self._timeout)
        if not ready:
            raise SecretUnavailable(
                f"{self._path} gave nothing for {self._timeout:g} s.", reference=self.reference
            )
        os.set_blocking(pipe.fileno(), True)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def open_file(rest: str, place: ReferenceContext) -> FileSecret:
    """The source for ``file:rest``."""
    return FileSecret((place.base or Path()) / rest, f"file:{rest}")


def text_secret(octets: bytes, reference: str) -> Secret:
    """`octets` as a secret, less one newline. Raises `SecretError` if that is empty, huge or no text.

    A binary container of a key (PKCS#12, RFC 7292) becomes base64, as the stores that hold text keep it.
    """
    if octets[:1] == _DER and b"\0" in octets:
        octets = base64.b64encode(octets)
    # The error of a failed decoding carries what it could not decode, so it must not be chained.
    text = octets.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretError(f"{reference} is empty.", reference=reference)
    if len(octets) > SIZE_LIMIT:
        raise SecretError(f"{reference} is larger than {SIZE_LIMIT // 1024} KiB.", reference=reference)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise SecretError(f"{reference} is not UTF-8 text.", reference=reference)
    return Secret(text)
