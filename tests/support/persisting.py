"""Every `Persistence` there is: one contract is asked of each, so a new one is one more line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from postbearer.state import MemoryState, Persistence, StateFolder

Opening = Callable[[], Persistence]  # each call is another process, as far as there can be one


def _files(folder: Path) -> Opening:
    return lambda: StateFolder(folder / "state")


def _memory(folder: Path) -> Opening:
    state = MemoryState()
    return lambda: state


PERSISTENCES: dict[str, Callable[[Path], Opening]] = {"files": _files, "memory": _memory}
