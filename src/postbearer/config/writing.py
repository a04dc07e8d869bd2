"""Write a whole configuration file: for its owner alone, and all of it or nothing."""

from __future__ import annotations

import contextlib
import os
import secrets

from postbearer.errors import ConfigError
from postbearer.keeping import sync_folder


def write_new(path: str, content: bytes, *, replace: bool = False) -> None:
    """Write `content` to a new file at `path`, mode 0600; with `replace`, also over one that is there.

    The name appears with all of its content, also when the power fails. Raises `FileExistsError` if the file
    is there, and `ConfigError` if it cannot be written.
    """
    target = os.path.realpath(path) if replace else os.path.abspath(path)
    folder, name = os.path.split(target)
    scratch = os.path.join(folder, f".{name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(scratch, target)
            else:
                os.link(scratch, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(scratch)
        sync_folder(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise ConfigError(
            f"The configuration cannot be written: {error.strerror or error}.",
            file=path,
            hint="Nothing was written.",
        ) from None
