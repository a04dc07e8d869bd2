"""Background tasks and their owner: a defect in one is told, and what has to go on is begun again.

asyncio tells of a task that failed when nobody asks for its result, late and in words of its own. Here each
task belongs to a `Tasks`, which says what failed, for whom and where, and nothing else stops by it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

from postbearer.clock import Clock
from postbearer.events import Defect, Observer

FIRST_WAIT: Final = 1.0  # seconds before something that failed begins again …
LONGEST_WAIT: Final = 60.0  # … twice as many after each failure, up to this
CALM: Final = 300.0  # seconds without a failure after which the first wait counts again
LONGEST_TEXT: Final = 500
LONGEST_TRACEBACK: Final = 8000


class Tasks:
    """The tasks of one part of the relay. `observer` is told of defects."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(tuple(self._running))

    def start(
        self, work: Coroutine[Any, Any, None], what: str, *, peer: str = "", id: str = ""
    ) -> asyncio.Task[None]:
        """Run `work` once. What it raises is told as a defect of `what`, with the client or the message."""
        task = self._own(work, what)
        task.add_done_callback(partial(self._ended, what, peer, id))
        return task

    def keep(self, work: Callable[[], Coroutine[Any, Any, None]], what: str) -> asyncio.Task[None]:
        """Run `work` until it returns; whenever it fails, that is told, and it begins again after a while."""
        return self._own(self._kept(work, what), what)

    async def stop(self, patience: float = 0.0) -> None:
        """Give all up to `patience` seconds to end by themselves; the others are cancelled."""
        if self._running and patience > 0:
            await asyncio.wait(tuple(self._running), timeout=patience)
        late = tuple(self._running)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def wait(self) -> None:
        """Until none is left."""
        while self._running:
            await asyncio.wait(tuple(self._running))

    def _own(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=what)
        self._running.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._running.discard)
        return task

    def _ended(self, what: str, peer: str, id: str, task: asyncio.Task[None]) -> None:
        """Any exception is a defect of ours, and ends nothing else."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._observer.notice(defect(error, what, peer=peer, id=id))

    async def _kept(self, work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        wait = FIRST_WAIT
        while True:
            begun = self._clock.monotonic()
            try:
                await work()
            except Exception as error:  # any: what one message or client did must not end the work for all
                self._observer.notice(defect(error, what))
            else:
                return
            if self._clock.monotonic() - begun >= CALM:
                wait = FIRST_WAIT
            await self._clock.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)


def defect(error: BaseException, what: str, *, account: str = "", peer: str = "", id: str = "") -> Defect:
    """The event for an exception that nothing of ours expected."""
    return Defect(
        account,
        what=what,
        error=_short(repr(error), LONGEST_TEXT),
        place=_place(error),
        peer=peer,
        id=id,
        traceback=_short("".join(traceback.format_exception(error)), LONGEST_TRACEBACK),
    )


def _short(text: str, most: int) -> str:
    """Without its middle, if it is longer: both ends tell most."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def _place(error: BaseException) -> str:
    """``file:line`` of the innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "postbearer" in frame.filename] or list(frames)
    if not ours:
        return ""
    path = ours[-1].filename.replace("\\", "/")
    return f"{path.rpartition('/postbearer/')[2]}:{ours[-1].lineno}"
