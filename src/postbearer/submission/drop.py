"""``drop/``: where ``sendmail`` leaves mail while the relay does not run.

Anybody may put a file there, nobody but the relay can list it, and the sticky bit lets only the owner of a
file and the relay remove it. So everything in it is hostile until it is read: each file must be an
ordinary one of one name, owned by who it says it is from, and whole.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import secrets
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from postbearer.clock import Clock
from postbearer.engine import Intake, Submitter
from postbearer.errors import ConfigError, UsageError
from postbearer.events import Observer, Warned
from postbearer.reply import Reply
from postbearer.state import SYSTEM_FOLDER, StateFolder, sync_folder
from postbearer.submission.access import LOCAL
from postbearer.submission.enqueue import enqueue
from postbearer.submission.local_submission import BLOCK, local_client
from postbearer.submission.submit_protocol import LONGEST_LINE, SubmitRequest, parse_line, parse_slip
from postbearer.tasks import defect

NAME = "drop"
MODE = 0o1733
EVERY = 5.0  # seconds between two looks
AT_ONCE = 1000  # files a look takes in
MOST_TOLD = 20  # of bad files, in one look
KEPT = 14 * 86_400.0  # seconds that a bad file is kept
STALE = 3600.0  # seconds after which a half-written file is nobody's any more
_WHOLE = re.compile(r"[0-9a-f]{32}\Z")
_HALF = re.compile(r"half\.[0-9a-f]{32}\Z")
_ASIDE = "bad."


class BadDropFile(Exception):
    """A file that will never be a message, and why."""


class DropFolder:
    """Picks up what was left; `run` looks again and again."""

    def __init__(
        self,
        state: StateFolder,
        intake: Intake,
        *,
        clock: Clock,
        observer: Observer,
        client: Submitter = LOCAL,
        shared: bool | None = None,
    ) -> None:
        """`shared`: other users are to reach the folder; None: when the state folder is the machine's."""
        self.path = Path(state.path, NAME)
        self._intake = intake
        self._clock = clock
        self._observer = observer
        self._client = client
        self._shared = _of_the_machine(state) if shared is None else shared
        self._told = 0
        self._forget_at = 0.0
        self._given_up: set[tuple[int, int]] = set()  # could not even be moved aside; said once

    def use(self, intake: Intake, client: Submitter = LOCAL) -> None:
        """Go by another configuration from the next file on."""
        self._intake, self._client = intake, client

    def ensure(self) -> None:
        """Make the folder. Raises `ConfigError` when something else has its name."""
        try:
            with suppress(FileExistsError):
                self.path.mkdir()
            found = self.path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
                raise ConfigError(f"{self.path} is no folder of ours.", hint="Move it away.")
            self.path.chmod(MODE)
            if self._shared:  # to be passed through, not to be read
                parent = self.path.parent
                parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o011)
        except OSError as error:
            raise ConfigError(
                f"The drop folder {self.path} cannot be made: {error.strerror}.",
                hint="Check who owns the state folder.",
            ) from None

    async def run(self) -> None:
        """Pick up what is there, now and every few seconds, until cancelled."""
        while True:
            await self.collect()
            await self._clock.sleep(EVERY)

    async def collect(self) -> int:
        """Pick up what is there; returns how many messages were accepted."""
        try:
            names = await asyncio.to_thread(self._names)
        except OSError as error:
            self._warn(f"The drop folder {self.path} cannot be read: {error.strerror}.")
            return 0
        taken, self._told = 0, 0
        for name in names:
            taken += await self._take(name)
        if self._clock.now() >= self._forget_at:
            await asyncio.to_thread(self._forget_bad)
        if self._told > MOST_TOLD:
            self._observer.notice(
                Warned("", f"{self._told - MOST_TOLD} more files in the drop folder are bad.")
            )
        return taken

    def _forget_bad(self) -> None:
        """Remove what was set aside for so long that nobody wants to look at it any more."""
        now = self._clock.now()
        self._forget_at = now + STALE
        with os.scandir(self.path) as found:
            for entry in found:
                with suppress(OSError):  # a folder with something in it stays; its owner may clean up
                    # Setting it aside changed the inode, which its owner cannot date back (stat(2)).
                    old = entry.stat(follow_symlinks=False).st_ctime < now - KEPT
                    if old and entry.name.startswith(_ASIDE):
                        (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)

    def _names(self) -> list[str]:
        with os.scandir(self.path) as found:
            names = (entry.name for entry in found if not entry.name.startswith(_ASIDE))
            return sorted(islice((name for name in names if self._ripe(name)), AT_ONCE))

    def _ripe(self, name: str) -> bool:
        """Not for a file that is being written, nor for one given up."""
        if not _HALF.match(name) and not self._given_up:
            return True
        with suppress(FileNotFoundError):
            found = os.lstat(self.path / name)
            if (found.st_dev, found.st_ino) in self._given_up:
                return False
            return not _HALF.match(name) or found.st_mtime < self._clock.now() - STALE
        return False

    async def _take(self, name: str) -> bool:
        """One file, whatever it is: what cannot be taken is set aside, and the next one is read."""
        try:
            return await self._pick_up(name)
        except BadDropFile as bad:
            why = str(bad)
        except FileNotFoundError:
            return False  # its owner thought better of it
        except OSError as error:
            why = f"it cannot be read: {error.strerror}"
        except Exception as error:  # any: what one user left must not keep the mail of the others here
            self._observer.notice(defect(error, "drop folder", id=_shown(name)))
            why = "it met a defect in postbearer"
        await asyncio.to_thread(self._set_aside, name, why)
        return False

    async def _pick_up(self, name: str) -> bool:
        """One file. True when it is a message of the spool now; False when that has to be tried again."""
        if not _WHOLE.match(name):
            raise BadDropFile("it was left half-written" if _HALF.match(name) else "it has no name of ours")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path / name, flags)  # does not wait for a FIFO
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            slip, size = _checked(file, os.fstat(descriptor))
            client = await local_client(self._client, slip.uid)
            done = await enqueue(self._intake, client, slip, size, _blocks(file.read))
        if isinstance(done, Reply):
            if done.permanent:
                raise BadDropFile(f"it was refused: {done}")
            return False
        await asyncio.to_thread(self._remove, name)
        return True

    def _remove(self, name: str) -> None:
        """A crash before this takes the message a second time (window DUP-DROP), never loses it."""
        (self.path / name).unlink(missing_ok=True)
        sync_folder(str(self.path))

    def _set_aside(self, name: str, why: str) -> None:
        aside = f"{_ASIDE}{secrets.token_hex(16)}"
        shown = _shown(name)
        try:
            os.rename(self.path / name, self.path / aside)
        except FileNotFoundError:
            return
        except OSError as error:
            with suppress(OSError):
                found = os.lstat(self.path / name)
                self._given_up.add((found.st_dev, found.st_ino))
            self._warn(f"{shown} in the drop folder is left alone: {why}; {error.strerror}.")
        else:
            self._warn(f"{shown} in the drop folder is set aside as {aside}: {why}.")

    def _warn(self, text: str) -> None:
        self._told += 1
        if self._told <= MOST_TOLD:  # whoever can leave files must not be able to fill the log
            self._observer.notice(Warned("", text))


def _shown(name: str) -> str:
    return ascii(name)[1:-1][:80]


def _of_the_machine(state: StateFolder) -> bool:
    return state.path == SYSTEM_FOLDER


def _checked(file: io.FileIO, found: os.stat_result) -> tuple[SubmitRequest, int]:
    """The envelope at the beginning of `file`, and the octets of content behind it. Raises `BadDropFile`."""
    if not stat.S_ISREG(found.st_mode):
        raise BadDropFile("it is no ordinary file")
    if found.st_nlink != 1:
        raise BadDropFile("it has another name elsewhere")
    line = file.read(LONGEST_LINE).partition(b"\n")[0]
    file.seek(len(line) + 1)
    try:
        lengths = parse_line(line)
        if found.st_size != len(line) + 1 + lengths.envelope + lengths.content:
            raise BadDropFile("it is not whole")
        slip = parse_slip(file.read(lengths.envelope))
    except UsageError as error:
        raise BadDropFile(f"it is no message that was handed over: {error.message}") from None
    if slip.uid != found.st_uid:
        raise BadDropFile(f"it says it is from user {slip.uid}, and belongs to user {found.st_uid}")
    return slip, lengths.content


async def _blocks(read: Callable[[int], bytes]) -> AsyncIterator[bytes]:
    while block := await asyncio.to_thread(read, BLOCK):
        yield block
