"""``command:pass show mail``: what a program prints; run without a shell, for 30 s at most."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import ByPlace, Secret
from postbearer.secrets.file import SIZE_LIMIT, TIMEOUT, text_secret
from postbearer.secrets.reference import ReferenceContext

NAMED = "POSTBEARER_COMMAND_ENVIRONMENT"  # names more variables, also by patterns such as OP_SESSION_*
_ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE", "LC_*"),
    *("XDG_*", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),
    *("GNUPGHOME", "GPG_TTY", "GPG_AGENT_INFO", "SSH_AUTH_SOCK", "PASSWORD_STORE_*"),  # pass and its like
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "*_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("SYSTEMROOT", "WINDIR", "PATHEXT", "COMSPEC", "TEMP", "TMP", "APPDATA", "LOCALAPPDATA", "USERPROFILE"),
)
_SHOWN = 300  # characters of standard error that an error shows


class CommandSecret(ByPlace):
    """The standard output of a program, without one newline at its end."""

    def __init__(self, line: str, place: ReferenceContext | None = None, *, timeout: float = TIMEOUT) -> None:
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
            status, output, complaint = await run_program(self._argv, timeout=self._timeout)
        except TimeoutError:
            raise SecretUnavailable(
                f"The command {self._argv[0]} was not done within {self._timeout:g} s.",
                reference=self.reference,
            ) from None
        except OSError as error:
            raise self._failed(f"cannot be run: {error.strerror}") from error
        if status != 0:
            raise self._failed(f"failed with status {status}{quoted(complaint)}")
        return text_secret(output, self.reference)

    def _failed(self, what: str) -> SecretError:
        return SecretError(
            f"The command {self._argv[0]} {what}.",
            reference=self.reference,
            hint=f"Of our environment it sees little; {NAMED} names more.",
        )


async def run_program(
    argv: Sequence[str], given: bytes | None = None, *, timeout: float = TIMEOUT
) -> tuple[int, bytes, bytes]:
    """Run a program without a shell: its status, what it printed, and what it complained of.

    It reads `given`, or nothing, and sees `small_environment`. Raises `TimeoutError` after `timeout` seconds,
    when it and all that it started is ended, and `OSError` when it cannot be run; a `TimeoutError` is one, so
    ask for that first.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=DEVNULL if given is None else PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        env=small_environment(os.environ),
    )
    try:
        async with asyncio.timeout(timeout):
            output, complaint, _ = await asyncio.gather(
                _bounded(process.stdout), _bounded(process.stderr), _feed(process.stdin, given)
            )
            status = await process.wait()
    finally:
        await _end(process)
    return status, output, complaint


def small_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a program of somebody else gets to see: who and where it is, and what `NAMED` names besides.

    The rest may be secrets, those of other accounts too.
    """
    patterns = (*_ENVIRONMENT, *environ.get(NAMED, "").replace(",", " ").split())
    return {
        name: value for name, value in environ.items() if any(fnmatchcase(name, each) for each in patterns)
    }


async def _feed(stream: asyncio.StreamWriter | None, given: bytes | None) -> None:
    if stream is None or given is None:
        return
    # It need not read what it is given, and may have ended before; uvloop says so by a RuntimeError.
    with suppress(ConnectionError, RuntimeError):
        stream.write(given)
        await stream.drain()
    stream.close()


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
    # wait() is for the end of the pipes too, and that does not come by itself: reading pauses while a
    # flood is behind, and a child that made a session of its own may hold the other end for ever.
    vars(process)["_transport"].close()  # there is no public way
    await process.wait()


def quoted(complaint: bytes) -> str:
    """The words of a program that failed, to go behind ours."""
    text = "".join(
        char if char.isprintable() else " " for char in complaint[: _SHOWN * 4].decode("utf-8", "replace")
    )
    text = " ".join(text.split())[:_SHOWN]
    return f", saying: {text}" if text else ""
