"""Write a whole configuration file: for its owner alone, and all of it or nothing."""

from __future__ import annotations

from postbearer.errors import ConfigError
from postbearer.state import whole_file


def write_new(path: str, content: bytes, *, replace: bool = False) -> None:
    """Write `content` to a new file at `path`, mode 0600; with `replace`, also over one that is there.

    The name appears with all of its content, also when the power fails. Raises `FileExistsError` if the file
    is there, and `ConfigError` if it cannot be written.
    """
    try:
        with whole_file(path, replace=replace) as file:
            file.write(content)
    except FileExistsError:
        raise
    except OSError as error:
        raise ConfigError(
            f"The configuration cannot be written: {error.strerror or error}.",
            file=path,
            hint="Nothing was written.",
        ) from None
