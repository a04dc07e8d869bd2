"""Small private files that are either old or new, never half of each."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from postbearer.errors import StoreError, StoreFull

SIZE_LIMIT = 1024 * 1024  # octets; nothing kept here is near that


def read_private(path: str) -> bytes | None:
    """The octets of `path`, or None if there is no such file. Raises `StoreError`."""
    try:
        with open(path, "rb") as file:
            return file.read(SIZE_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise trouble(error, path, "read") from error


def write_private(path: str, data: bytes) -> None:
    """Replace `path` by `data`, durably: written, synced, renamed, and the folder synced.

    After a crash the file holds the old octets or the new ones. Raises `StoreError`. Only one writer
    at a time: the caller holds the lock.
    """
    temporary = f"{path}.tmp"
    try:
        write_synced(temporary, data, os.O_TRUNC)
        os.replace(temporary, path)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        raise trouble(error, path, "written") from error


def write_synced(path: str, data: bytes, flags: int) -> None:
    """Write `data` to `path`, for the owner alone, and sync it."""
    flags |= os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole_file(path: str, *, replace: bool = False) -> Iterator[BinaryIO]:
    """A new file for the owner alone, mode 0600, whose name appears once all of it is written and synced.

    Where the ``with`` block fails nothing is left. `replace` takes the place of a file that is there; without
    it that is a `FileExistsError`. What is no file, such as a pipe or a device, is written into. Raises
    `OSError`.
    """
    if replace and _is_special(path):
        with open(path, "wb") as file:
            yield file
        return
    target = os.path.realpath(path) if replace else os.path.abspath(path)
    folder, name = os.path.split(target)
    scratch = os.path.join(folder, f".{name}.{secrets.token_hex(8)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(scratch, target)
        else:
            os.link(scratch, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(scratch)
    sync_folder(folder)


def _is_special(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def sync_folder(folder: str) -> None:
    """Make the names in `folder` durable, where folders can be synced."""
    flag = getattr(os, "O_DIRECTORY", None)
    if flag is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | flag)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def trouble(error: OSError, path: str, verb: str) -> StoreError:
    """`error` as what it means: no room, or a file that cannot be `verb`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"No room to write {path}.", hint="Free some disk space.")
    # Neither a permission nor a path gets better by itself; a failing disk may, and so may a crowd of files.
    passes = error.errno in (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR)
    hint = "" if passes else "Correct its permissions, or name another state folder by POSTBEARER_STATE."
    return StoreError(f"{path} cannot be {verb}: {error.strerror}.", hint=hint, configuration=not passes)
