"""A sandbox whose every secret is known to the test, and a search for them in whatever was written."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

from postbearer.testing import Sandbox
from support.canary import assert_absent

TESTS = str(Path(__file__).parents[1])


def planted(sandbox: Sandbox) -> list[str]:
    """Every secret the sandbox was given and every token it has issued so far."""
    register = sandbox.register
    families = [token for family in register._families for token in (family.current, *family.used)]
    return [sandbox.client_secret, *sandbox.users.values(), *register._access, *families]


def assert_none_shows(sandbox: Sandbox, *written: str | bytes) -> None:
    """Fail if any of them is to be found in `written`."""
    whole = "\n".join(each if isinstance(each, str) else each.decode("latin-1") for each in written)
    for canary in planted(sandbox):
        assert_absent(canary, whole)


def everything_below(folder: Path) -> list[bytes]:
    """The content of every file in `folder`."""
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]


def told(error: BaseException) -> str:
    """All that a crash reporter could see of an error: traceback, causes, and the values of variables.

    Frames of tests are left out: they hold the canaries.
    """
    logging.getLogger("a program").exception("it failed", exc_info=error)
    seen = [repr(error), str(error), repr(error.args), repr(getattr(error, "__dict__", ""))]
    for each in _chain(error):
        report = traceback.TracebackException.from_exception(each, capture_locals=True)
        seen += [repr(frame.locals) for frame in report.stack if not frame.filename.startswith(TESTS)]
        seen += list(report.format_exception_only())
    return "\n".join(seen)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    known: set[int] = set()
    queue = [error]
    while queue:
        each = queue.pop()
        if each is None or id(each) in known:
            continue
        known.add(id(each))
        yield each
        queue += [each.__cause__, each.__context__]
