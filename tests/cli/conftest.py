"""The command as people run it: a process of its own (`support.command`), in an empty home folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postbearer.testing import BackgroundSandbox, Sandbox
from support import command
from support.configuration import COMPLETE


@dataclass(slots=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Home:
    """An empty home folder with a configuration in it."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / ".config" / "postbearer" / "postbearer.toml"

    def write(self, text: str) -> Path:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)
        self.config.chmod(0o600)
        return self.config

    def run(self, *arguments: str, stdin: str | bytes = b"", environ: Mapping[str, str] | None = None) -> Ran:
        """Run ``postbearer`` with `arguments`, to its end."""
        done = command.run(
            arguments,
            stdin=stdin.encode() if isinstance(stdin, str) else stdin,
            cwd=self.folder,
            env={**self.environ, **(environ or {})},
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    state = tmp_path / "state"
    made = Home(
        tmp_path, {**command.plain_environment(), "HOME": str(tmp_path), "POSTBEARER_STATE": str(state)}
    )
    made.write(COMPLETE)
    return made


Edit = Callable[[str, str], Path]


@pytest.fixture
def edited(home: Home) -> Edit:
    """Write the complete configuration with one text in it replaced."""

    def edit(old: str, new: str) -> Path:
        assert old in COMPLETE
        return home.write(COMPLETE.replace(old, new, 1))

    return edit


@pytest.fixture(scope="session")
def microsoft() -> Iterator[Sandbox]:
    """A provider that answers as Microsoft's does, for the whole run."""
    with BackgroundSandbox("microsoft") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox_microsoft(microsoft: Sandbox) -> Sandbox:
    """The same, with an empty inbox and no faults."""
    microsoft.reset()
    return microsoft
