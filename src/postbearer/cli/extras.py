"""What needs more than the plain installation."""

from __future__ import annotations

from importlib.util import find_spec

from postbearer.errors import UsageError

_NEEDED = ("starlette", "uvicorn", "jinja2", "trustme", "joserfc")


class NotInstalled(UsageError):
    """An extra is missing; the hint says how to install it."""


def need_sandbox() -> None:
    """Raise `UsageError` naming what to install, if the sandbox cannot run."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise NotInstalled(
            f"The sandbox needs {', '.join(missing)}.", hint="Install it: pip install 'postbearer[sandbox]'"
        )


def need_relay() -> None:
    """Raise `UsageError` naming what to install, if the relay cannot run."""
    if find_spec("apsw") is None:
        raise NotInstalled("The relay needs apsw.", hint="Install it: pip install 'postbearer[relay]'")


def need_postgres() -> None:
    """Raise `UsageError` naming what to install, if a queue in PostgreSQL cannot be reached."""
    if find_spec("asyncpg") is None:
        raise NotInstalled("A cluster needs asyncpg.", hint="Install it: pip install 'postbearer[postgres]'")


def need_yaml() -> None:
    """Raise `UsageError` naming what to install, if YAML files cannot be read."""
    if find_spec("yaml") is None:
        raise NotInstalled("This format needs PyYAML.", hint="Install it: pip install 'postbearer[import]'")
