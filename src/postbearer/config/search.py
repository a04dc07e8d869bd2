"""Where the configuration file is, and whether it can be trusted.

Imports next to nothing: ``postbearer token`` with a cached token passes through here.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from postbearer.errors import ConfigError

FILE_NAME = "postbearer.toml"
SYSTEM_FILE = "/etc/postbearer/postbearer.toml"


def candidates(environ: Mapping[str, str]) -> list[str]:
    """The files looked for, in order, when none is named. The current folder is never among them."""
    if named := environ.get("POSTBEARER_CONFIG"):
        return [named]
    folder = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):  # the XDG specification has relative ones ignored
        home = environ.get("HOME") or os.path.expanduser("~")
        folder = os.path.join(home, ".config") if os.path.isabs(home) else ""
    mine = [os.path.join(folder, "postbearer", FILE_NAME)] if folder else []
    return [*mine, SYSTEM_FILE]


def find(named: str | None, environ: Mapping[str, str]) -> str:
    """The absolute path of the file to read. Raises `ConfigError` when there is none."""
    places = [named] if named else candidates(environ)
    for place in places:
        if _there(place):
            return os.path.abspath(place)
    raise _error(
        "There is no configuration file.",
        file=places[0] if len(places) == 1 else "",
        hint=f"Looked for {', '.join(places)}. Make one by `postbearer init`, "
        "or name it with --config, POSTBEARER_CONFIG, or config= in a program.",
    )


def is_system_wide(path: str) -> bool:
    """Whether that is the configuration of the machine rather than one of a user."""
    return path == SYSTEM_FILE


def _there(path: str) -> bool:
    """Whether there is such a file; also where that cannot be seen, for then it cannot be read either."""
    try:
        os.lstat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
    return True


def read(path: str) -> bytes:
    """The bytes of the file. Raises `ConfigError` if it cannot be read or if others may write it."""
    try:
        with open(path, "rb") as file:
            refuse_writable(path, file.fileno())
            # Editors of Windows put a byte order mark before UTF-8, which TOML 1.0 does not know.
            return file.read().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise _unreadable(path, error) from None


def refuse_writable(path: str, descriptor: int) -> None:
    """Raise `ConfigError` if somebody else may change the file or put another in its place.

    ``command:`` in a configuration runs programs, so whoever may write it may act as its reader.
    """
    if os.name != "posix":
        return
    from postbearer.state import open_to_others

    if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
        return  # nobody can: a mounted ConfigMap carries group write bits that mean nothing
    held = os.fstat(descriptor)
    if _foreign(held):
        raise _error(
            f"The file belongs to user {held.st_uid}, who may change it.",
            file=path,
            hint=f"Make it yours: chown {os.geteuid()} {path}",
        )
    if open_to_others(held):
        raise _error("Others may write this file.", file=path, hint=f"Take that away: chmod go-w {path}")
    refuse_open_folders(path)


def refuse_open_folders(path: str) -> None:
    """Raise `ConfigError` if somebody else may put another file in the place of `path`, there or not."""
    from postbearer.state import open_to_others

    for folder in _folders(path) if os.name == "posix" else ():
        try:
            held = os.stat(folder)
        except FileNotFoundError:  # it will be made by its owner
            continue
        if _foreign(held):
            raise _error(
                f"The folder {folder} belongs to user {held.st_uid}, who may replace the file.",
                file=path,
                hint="Move the file to a folder of your own.",
            )
        if open_to_others(held) and not held.st_mode & stat.S_ISVTX:
            raise _error(
                f"Others may write the folder {folder}, and so replace the file.",
                file=path,
                hint=f"Take that away: chmod go-w {folder}",
            )


def _foreign(held: os.stat_result) -> bool:
    return held.st_uid not in (0, os.geteuid())


def _folders(path: str) -> Iterator[str]:
    seen = set()
    for start in (os.path.abspath(path), os.path.realpath(path)):
        folder = start
        while (parent := os.path.dirname(folder)) != folder:
            folder = parent
            if folder not in seen:
                seen.add(folder)
                yield folder


def _unreadable(path: str, error: OSError) -> ConfigError:
    return _error(
        f"The configuration cannot be read: {error.strerror or error}.",
        file=path,
        hint="Check the path and the permissions, also of the folders above it."
        if isinstance(error, PermissionError)
        else "Check the path and the permissions.",
    )


def _error(message: str, *, file: str, hint: str) -> ConfigError:
    from postbearer.errors import ConfigError

    return ConfigError(message, file=file, hint=hint)
