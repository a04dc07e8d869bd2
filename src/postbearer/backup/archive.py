"""The file of a backup: a tar that ends in a list of what is in it, so that one that is cut short is seen."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self, cast

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode, format

from postbearer._version import __version__
from postbearer.backup.paths import BackupPart, RelayPaths
from postbearer.clock import Clock
from postbearer.errors import UsageError
from postbearer.state import whole_file
from postbearer.store import snapshot

FORMAT = 1
LIST = "backup.json"
QUEUE = f"{BackupPart.QUEUE}/spool.db"
_LARGEST_LIST = 64 * 1024 * 1024  # octets; a token file of an account costs 150
_PIECE = 1024 * 1024


class Member(Struct, forbid_unknown_fields=True, frozen=True):
    """A file."""

    size: int
    sha256: str


class Contents(Struct, forbid_unknown_fields=True, frozen=True):
    """What a backup says of itself."""

    format: int
    postbearer: str
    made: float  # seconds since 1970
    queue: str  # its path, from the state folder if it is below it
    members: Mapping[str, Member]

    def place_of_queue(self, state: Path) -> Path:
        """Where the configuration that is in it looks for the queue, with the state folder `state`."""
        return state / self.queue

    def of(self, part: BackupPart) -> dict[str, Member]:
        """The files of a part, by their names in its folder."""
        start = f"{part}/"
        return {
            name.removeprefix(start): each for name, each in self.members.items() if name.startswith(start)
        }


def write_archive(target: str, places: RelayPaths, clock: Clock) -> Contents:
    """Write a new file, mode 0600, whose name appears when all of it is on the disk.

    What runs goes on meanwhile: the queue is copied as it is at one moment, and a file of the state is
    replaced as a whole or not at all. Raises `FileExistsError`, `OSError` and `StoreError`.
    """
    members: dict[str, Member] = {}
    folder = os.path.dirname(os.path.abspath(target))
    with (
        whole_file(target) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        tempfile.TemporaryDirectory(prefix=".postbearer-", dir=folder) as scratch,
    ):
        for part in (BackupPart.CONFIGURATION, BackupPart.STATE):
            for name in places.files(part):
                content = (places.of(part) / name).read_bytes()
                members[f"{part}/{name}"] = _add(tar, f"{part}/{name}", io.BytesIO(content), clock)
        for _ in places.files(BackupPart.QUEUE):
            copy = Path(scratch, "queue")
            snapshot(places.queue, copy)
            with copy.open("rb") as queue:
                members[QUEUE] = _add(tar, QUEUE, queue, clock)
        contents = Contents(FORMAT, __version__, clock.now(), places.queue_from_state, members)
        _add(tar, LIST, io.BytesIO(format(encode(contents))), clock)
    return contents


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], clock: Clock) -> Member:
    found = tarfile.TarInfo(name)
    found.size = file.seek(0, os.SEEK_END)
    found.mode, found.mtime = 0o600, int(clock.now())
    file.seek(0)
    counted = _Hashing(file)
    tar.addfile(found, cast(IO[bytes], counted))
    return Member(found.size, counted.digest.hexdigest())


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece


class Archive:
    """A backup that was read to its end and is whole. Raises `UsageError` for any other file."""

    def __init__(self, path: str, tar: tarfile.TarFile) -> None:
        self._path, self._tar = path, tar
        try:
            self.contents = self._checked()
        except (tarfile.TarError, EOFError) as error:
            raise self._wrong(f"it is cut short or damaged ({error})") from None

    @classmethod
    @contextmanager
    def open(cls, path: str) -> Iterator[Self]:
        """Raises `OSError`, too."""
        with open(path, "rb") as file:
            try:
                tar = tarfile.TarFile(fileobj=file)
            except (tarfile.TarError, EOFError):
                raise UsageError(
                    f"{path} is no backup, or it is cut short.",
                    hint="Name a file that postbearer backup wrote.",
                ) from None
            with tar:
                yield cls(path, tar)

    def _checked(self) -> Contents:
        found: dict[str, Member] = {}
        contents: Contents | None = None
        for each in self._tar:
            if contents is not None:
                raise self._wrong(f"{each.name!r:.100} stands behind its end")
            if not each.isreg():
                raise self._wrong(f"{each.name!r:.100} is no file")
            if each.name == LIST:
                contents = self._list(each)
            elif each.name in found:
                raise self._wrong(f"{each.name!r:.100} is in it twice")
            else:
                digest = hashlib.sha256()
                for piece in self._pieces(each):
                    digest.update(piece)
                found[each.name] = Member(each.size, digest.hexdigest())
        if contents is None:
            raise self._wrong("it is cut short: its end is missing")
        if changed := {name for name in {*found, *contents.members} if not _same(name, found, contents)}:
            raise self._wrong(f"{min(changed)!r:.100} is not as it was written")
        for name in found:
            if not _is_ours(name):
                raise self._wrong(f"{name!r:.100} belongs to no part of it")
        return contents

    def _list(self, member: tarfile.TarInfo) -> Contents:
        if member.size > _LARGEST_LIST:
            raise self._wrong("its list of files is too long")
        try:
            contents = decode(b"".join(self._pieces(member)), type=Contents)
        except DecodeError as error:
            raise self._wrong(f"its list of files cannot be read ({error})") from None
        if contents.format != FORMAT:
            raise UsageError(
                f"{self._path} was written by postbearer {contents.postbearer:.20}, in form "
                f"{contents.format}; this one knows {FORMAT}.",
                hint="Restore it with that version.",
            )
        return contents

    def extract(self, name: str, target: Path) -> None:
        """Write one of its files to the new file `target`, mode 0600, synced."""
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            for piece in self._pieces(self._tar.getmember(name)):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def _pieces(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        file: Any = self._tar.extractfile(member)
        left = member.size
        while left:
            piece = file.read(min(left, _PIECE))
            if not piece:
                raise self._wrong("it is cut short")
            left -= len(piece)
            yield piece

    def _wrong(self, what: str) -> UsageError:
        return UsageError(
            f"{self._path} cannot be restored: {what}.", hint="Nothing was changed. Take another backup."
        )


def _same(name: str, found: Mapping[str, Member], contents: Contents) -> bool:
    return found.get(name) == contents.members.get(name)


def _is_ours(name: str) -> bool:
    """Whether it is a name in the folder of a part, from which nothing leads out."""
    parts = PurePosixPath(name).parts
    return (
        len(parts) > 1
        and parts[0] in set(BackupPart)
        and "/".join(parts) == name
        and not {"..", "."} & {*parts}
    )
