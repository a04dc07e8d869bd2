"""``command:pass show mail``: what a program prints; run without a shell, for 30 s at most."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.keeping.file import SIZE_LIMIT, text_secret
from postbearer.keeping.reference import Place
from postbearer.secret import ByPlace, Secret

TIMEOUT = 30.0  # seconds
_SHOWN = 300  # characters of standard error that an error shows


class CommandSecret(ByPlace):
    """The standard output of a program, without one newline at its end."""

    def __init__(self, line: str, place: Place | None = None, *, timeout: float = TIMEOUT) -> None:
        self.reference = f"command:{line}"
        self._timeout = timeout
        try:
            self._argv = shlex.split(line)
        except ValueError as error:
            raise SecretError(
                f"The command cannot be split: {error}.",
                reference=self.reference,
                hint="Quote as for a shell.",
            ) from None
        if not self._argv:
            raise SecretError("The command is empty.", reference=self.reference)

    def __repr__(self) -> str:
        return f"CommandSecret({self._argv[0]!r})"

    def place(self) -> tuple[object, ...]:
        return (self.reference,)

    async def read(self) -> Secret:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
        except OSError as error:
            raise self._failed(f"cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._timeout):
                output, complaint = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
                status = await process.wait()
        except TimeoutError:
            raise SecretUnavailable(
                f"The command {self._argv[0]} was not done within {self._timeout:g} s.",
                reference=self.reference,
            ) from None
        finally:
            await _end(process)
        if status != 0:
            raise self._failed(f"failed with status {status}{_quoted(complaint)}")
        return text_secret(output, self.reference)

    def _failed(self, what: str) -> SecretError:
        return SecretError(f"The command {self._argv[0]} {what}.", reference=self.reference)


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """All there is to read; what goes beyond the limit is drained and dropped, but for one octet."""
    kept = bytearray()
    while stream is not None and (chunk := await stream.read(65536)):
        kept += chunk[: SIZE_LIMIT + 1 - len(kept)]
    return bytes(kept)


async def _end(process: Process) -> None:
    """Leave nothing running: neither the program nor what it started."""
    if process.returncode is None:
        if sys.platform == "win32":
            process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _quoted(complaint: bytes) -> str:
    text = "".join(
        char if char.isprintable() else " " for char in complaint[: _SHOWN * 4].decode("utf-8", "replace")
    )
    text = " ".join(text.split())[:_SHOWN]
    return f", saying: {text}" if text else ""
