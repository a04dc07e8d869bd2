"""Unix sockets for programs of this machine, and who they are."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from postbearer.errors import ConfigError
from postbearer.serving.link import Link
from postbearer.state import SYSTEM_FOLDER, StateFolder
from postbearer.tasks import Tasks

SYSTEM_RUNTIME = "/run/postbearer"  # RuntimeDirectory=postbearer of the systemd unit


def runtime_folder(state: StateFolder, environ: Mapping[str, str] | None = None) -> Path:
    """Where a relay makes its sockets: ``RUNTIME_DIRECTORY`` of systemd, else the state folder."""
    environ = os.environ if environ is None else environ
    return Path(environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or state.path)


def socket_places(name: str, state: StateFolder, environ: Mapping[str, str] | None = None) -> list[Path]:
    """Where to look for the socket `name` of a relay that others started."""
    folders = [runtime_folder(state, environ), Path(state.path)]
    if state.path == SYSTEM_FOLDER:
        folders.append(Path(SYSTEM_RUNTIME))
    return [folder / name for folder in dict.fromkeys(folders)]


def machine_places(name: str, environ: Mapping[str, str] | None = None) -> list[Path]:
    """Where to look for the socket `name` of the machine's relay, for those who have no relay of their own.

    Nowhere, if the environment names a state folder: then that one is meant, and no other.
    """
    environ = os.environ if environ is None else environ
    if environ.get("POSTBEARER_STATE") or environ.get("STATE_DIRECTORY"):
        return []
    return [Path(folder, name) for folder in (SYSTEM_RUNTIME, SYSTEM_FOLDER)]


def unix_socket(
    path: str | os.PathLike[str], mode: int | None = None, group: int | None = None
) -> socket.socket:
    """Listen on a path; a socket that nobody answers any more is replaced, anything else is not.

    Group and mode are set before anybody can connect. Raises `OSError`.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(None, "there is a file of that name that is no socket")
        probe = socket.socket(socket.AF_UNIX)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(None, "another program listens there")
        finally:
            probe.close()
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(os.fspath(path))
        if group is not None:
            os.chown(path, -1, group)
        if mode is not None:
            os.chmod(path, mode)
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    return listening


def user_name(uid: int) -> str:
    """The name of a user; the number, if nobody knows one that is safe to show."""
    import pwd

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    safe = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return name if safe else str(uid)


def peer_name(uid: int | None) -> str:
    """Whose connection to a Unix socket it is, for the log and for limits; empty where nobody tells."""
    return "" if uid is None else f"uid {uid}"


def in_group(uid: int, group: int) -> bool:
    """Whether a user is in a group, by whatever way."""
    import pwd

    try:
        user = pwd.getpwuid(uid)
        return group in os.getgrouplist(user.pw_name, user.pw_gid)
    except (KeyError, OSError):
        return False


class LocalServer:
    """One Unix socket; each connection is given to `serve` as a `Link`, and closed when that returns."""

    def __init__(
        self,
        path: Path,
        mode: int,
        serve: Callable[[Link], Awaitable[None]],
        tasks: Tasks,
        *,
        group: int | None = None,
    ) -> None:
        self.path = path
        self._group = group
        self._mode = mode
        self._serve = serve
        self._tasks = tasks
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises `ConfigError` when the path cannot be had."""
        try:
            listening = unix_socket(self.path, self._mode, self._group)
            self._server = await asyncio.get_running_loop().create_unix_server(
                lambda: Link(self._begin), sock=listening
            )
        except OSError as error:
            hint = "Another relay may use this folder; name one by POSTBEARER_STATE or RUNTIME_DIRECTORY."
            if self._group is not None and isinstance(error, PermissionError):
                hint = "The relay's own user has to be in the group that relay.operators names."
            raise ConfigError(
                f"Cannot listen on {self.path}: {error.strerror or error}.", hint=hint
            ) from None

    async def stop(self, patience: float = 0.0) -> None:
        """Take no new connection, and give those that stand `patience` seconds to end by themselves."""
        if self._server is None:
            return
        self._server.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        await self._tasks.stop(patience)

    def _begin(self, link: Link) -> None:
        self._tasks.start(self._run(link), self.path.name, peer=peer_name(link.user))

    async def _run(self, link: Link) -> None:
        try:
            await self._serve(link)
        except (OSError, TimeoutError):
            link.abort()
        finally:
            link.close(linger=True)


class Reader:
    """Bounded reading from a `Link`: lines and exact lengths, each within a time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held = b""
        self.overlong = False  # a line was longer than it may be

    async def line(self, most: int, timeout: float) -> bytes | None:
        """The next line without its LF; None at the end, or when it is longer than `most` octets."""
        async with asyncio.timeout(timeout):
            while (end := self._held.find(b"\n")) < 0 and len(self._held) <= most:
                if not (data := await self._link.read()):
                    return None
                self._held += data
        self.overlong = not 0 <= end <= most
        if self.overlong:
            return None
        line, self._held = self._held[:end], self._held[end + 1 :]
        return line

    async def some(self, most: int, timeout: float) -> bytes:
        """Up to `most` octets; ``b""`` at the end."""
        data = self._held or await self._link.read(timeout)
        data, self._held = data[:most], data[most:]
        return data

    def give_back(self) -> None:
        """Let the link have what came and nobody asked for."""
        held, self._held = self._held, b""
        self._link.put_back(held)
