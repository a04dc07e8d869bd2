"""An integration where the library that it is for is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT = """
import sys


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, NotInstalled())
try:
    import postbearer.integrations.{library}
except ImportError as error:
    print(type(error).__name__, error.name, error)
"""


@pytest.mark.parametrize(("library", "title"), [("django", "Django"), ("aiosmtplib", "aiosmtplib")])
def test_what_to_install_is_told(library: str, title: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT.format(library=library)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == (
        f"ModuleNotFoundError {library} This needs {title}. Install it: pip install 'postbearer[{library}]'\n"
    )
