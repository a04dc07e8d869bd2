"""What a relay has, and where on this machine it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PROVIDERS = "providers"  # the folder of one's own presets, beside the configuration
ASIDE = "before-restore-"  # begins the name of a folder with what was there before
_DROP = "drop"  # mail on its way into the queue
_PASSING = (".lock", ".tmp", ".sock")


class BackupPart(StrEnum):
    """What can be restored by itself."""

    QUEUE = "queue"
    STATE = "state"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class RelayPaths:
    """`state`: the folder of tokens, budgets and the key. `queue` and `configuration`: a file each."""

    state: Path
    queue: Path
    configuration: Path

    @property
    def queue_from_state(self) -> str:
        """The path of the queue: from the state folder if it is below it, so that both can move together."""
        inside = self.queue.is_relative_to(self.state)
        return str(self.queue.relative_to(self.state) if inside else self.queue)

    def of(self, part: BackupPart) -> Path:
        """The folder that the names of a part are in."""
        folders = {BackupPart.QUEUE: self.queue.parent, BackupPart.STATE: self.state}
        return folders.get(part, self.configuration.parent)

    def files(self, part: BackupPart) -> Iterator[str]:
        """The files of a part that are there, by their names in its folder. The queue is one database."""
        match part:
            case BackupPart.QUEUE:
                names = [self.queue.name]
            case BackupPart.STATE:
                names = [name for name in _below(self.state) if self._is_state(name)]
            case BackupPart.CONFIGURATION:
                presets = (f"{PROVIDERS}/{name}" for name in _below(self.configuration.parent / PROVIDERS))
                names = [self.configuration.name, *presets]
        yield from (name for name in names if _is_file(self.of(part) / name))

    def waiting_outside(self) -> int:
        """Messages that `sendmail` has left for the relay: they are in no backup."""
        return sum(1 for name in _below(self.state / _DROP) if not Path(name).name.startswith("."))

    def _is_state(self, name: str) -> bool:
        path = self.state / name
        of_queue = path.parent == self.queue.parent and path.name.startswith(f"{self.queue.stem}.")
        left_out = Path(name).parts[0] == _DROP or any(
            each.startswith((".", ASIDE)) for each in Path(name).parts
        )
        return not (of_queue or left_out or path.name.endswith(_PASSING))


def _below(folder: Path) -> Iterator[str]:
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            yield os.path.relpath(os.path.join(path, name), folder).replace(os.sep, "/")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
