"""From a backup back to its places."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from postbearer.backup.archive import Archive
from postbearer.backup.paths import BackupPart, RelayPaths
from postbearer.errors import UsageError
from postbearer.state import sync_folder
from postbearer.store import SpoolLock, refuse_newer

_OF_QUEUE = ("{name}", "{name}-wal", "{name}-shm", "{stem}.generation")


def restore(
    archive: Archive, places: RelayPaths, parts: Collection[BackupPart], *, aside: str = ""
) -> list[Path]:
    """Put `parts` of a backup in their places; returns the folders with what was there before.

    What is there already is a `UsageError`, unless `aside` names a folder, to be made beside it, that it is
    moved to. All is written and checked beside its place before the first name is changed. A relay that
    has the queue open is a `StoreError`. The state folder must be there, and be the caller's own.
    """
    with ExitStack() as stack:
        if BackupPart.QUEUE in parts and places.queue.parent.is_dir():
            stack.enter_context(_locked(places.queue))
        there = {part: [*_there(archive, places, part)] for part in parts}
        if not aside and (taken := [path for paths in there.values() for path in paths]):
            raise UsageError(
                f"{taken[0]} is there already.",
                hint="Nothing was changed. --replace moves aside what is there.",
            )
        staged = [(part, stack.enter_context(_staged(archive, places, part))) for part in parts]
        moved = [_move_aside(places.of(part), there[part], aside) for part in parts if there[part]]
        for part, folder in staged:
            _move_in(folder, places.of(part))
        return moved


@contextmanager
def _locked(queue: Path) -> Iterator[None]:
    lock = SpoolLock(queue)
    lock.take()
    try:
        yield
    finally:
        lock.give_back()


@contextmanager
def _staged(archive: Archive, places: RelayPaths, part: BackupPart) -> Iterator[Path]:
    """A folder beside the place, with what is to go there."""
    home = places.of(part)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as scratch:
        for name in archive.contents.of(part):
            target = Path(scratch, _name(places, part, name))
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            archive.extract(f"{part}/{name}", target)
            if part is BackupPart.QUEUE:
                refuse_newer(target)
        yield Path(scratch)


def _name(places: RelayPaths, part: BackupPart, name: str) -> str:
    """How it is called here: the queue and the configuration may be called otherwise than they were."""
    if part is BackupPart.QUEUE:
        return places.queue.name
    return places.configuration.name if part is BackupPart.CONFIGURATION and "/" not in name else name


def _there(archive: Archive, places: RelayPaths, part: BackupPart) -> Iterator[Path]:
    """What is in the way.

    Of the queue that is also what belongs to the file, which would be taken for its own; of the state all of
    it, as another key seals it.
    """
    home = places.of(part)
    if part is BackupPart.QUEUE:
        names = {each.format(name=places.queue.name, stem=places.queue.stem) for each in _OF_QUEUE}
    else:
        names = {_name(places, part, name) for name in archive.contents.of(part)}
    if part is BackupPart.STATE:
        names |= {*places.files(part)}
    yield from (home / name for name in sorted(names) if os.path.lexists(home / name))


def _move_aside(home: Path, paths: Collection[Path], aside: str) -> Path:
    folder = home / aside
    for path in paths:
        target = folder / path.relative_to(home)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.rename(path, target)
    sync_folder(str(home))
    return folder


def _move_in(scratch: Path, home: Path) -> None:
    for path, _, names in os.walk(scratch):
        folder = home / Path(path).relative_to(scratch)
        folder.mkdir(mode=0o700, exist_ok=True)
        for name in names:
            os.rename(Path(path, name), folder / name)
        sync_folder(str(folder))
