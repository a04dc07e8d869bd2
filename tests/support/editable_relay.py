"""A relay whose accounts can be changed in its console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from postbearer.assembly import Assembly
from postbearer.daemon import embedded
from postbearer.state import StateFolder
from support.editable import ConfigurationFile
from support.shown_relay import ShownRelay, started

CANARY = "canary-Zy8~Q.1+abc"
EDITABLE = 'accounts = "editable"\n'


class EditableRelay(ShownRelay, ConfigurationFile):
    """One whose file is written once, and then by itself."""

    async def start(self) -> None:
        await self.sandbox.__aenter__()
        self.relay = embedded(self.load, observer=self.ears)
        await self.relay.start()

    def load(self) -> Assembly:
        path = self.home / "postbearer.toml"
        if not path.exists():
            super().load()
            first, rest = path.read_text().split("\n", 2)[1:]
            path.write_text(f'{first}\nissuer = "{self.sandbox.url}"\n{rest}')
        return Assembly.load(path, {}, state=StateFolder(self.home / "state"))


@asynccontextmanager
async def editable(home: Path, more: str = EDITABLE) -> AsyncIterator[EditableRelay]:
    """It runs, and tells the canary neither in its log nor in its file."""
    async with started(EditableRelay(home, more=more)) as made:
        yield made
    assert CANARY not in repr(made.ears.events)
    assert CANARY not in made.file
