"""The little script that makes ``/usr/sbin/sendmail`` of postbearer."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from postbearer.cli.exit_codes import CannotCreate
from postbearer.errors import UsageError

MARK = "# postbearer sendmail"
# The package is entered by its path, and the interpreter is not taken down: both take longer than the rest.
_SCRIPT = """#!{python} -IS
{mark}: hands mail of local programs to the relay (python -IS, because it starts in half the time).
import posix, sys
package = sys.modules["postbearer"] = type(sys)("postbearer")
package.__path__ = [{folder!r}]
from postbearer.cli.dropin.main import main
posix._exit(main())
"""


def script(python: str, folder: str) -> str:
    """The script, for the interpreter of that path and the package's own folder."""
    return _SCRIPT.format(python=python, mark=MARK, folder=folder)


@contextmanager
def _new_beside(path: Path) -> Iterator[BinaryIO]:
    """A new file in the same folder; it is gone afterwards, unless it has another name by then."""
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield cast(BinaryIO, file)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(file.name)


def install(path: Path) -> str:
    """Write the script to `path`, and return what was done. Another program's file is not replaced."""
    folder = str(Path(__file__).resolve().parents[2])
    if any(char.isspace() for char in sys.executable):
        raise UsageError(f"{sys.executable} cannot stand in the first line of a script: it holds a blank.")
    if path.is_dir():
        path = path / "sendmail"
    if path.is_symlink() or (path.exists() and MARK not in path.read_text(errors="replace")):
        raise UsageError(
            f"{path} is another program's.",
            hint="Move it away first (dpkg-divert, alternatives), or name another place.",
        )
    text = script(sys.executable, folder)
    try:
        with _new_beside(path) as file:  # a name that nobody can have made before
            file.write(text.encode())
            os.fchmod(file.fileno(), 0o755)
            os.replace(file.name, path)
    except OSError as error:
        raise CannotCreate(
            f"{path} cannot be written: {error.strerror}.", hint="Check the folder and the permissions."
        ) from None
    return str(path)
