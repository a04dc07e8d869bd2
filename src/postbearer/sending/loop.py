"""An event loop in a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="postbearer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def finish(self, goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for all that was begun, then for `goodbye`, and end the thread."""
        result_of(self.begin(_finish(goodbye)))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def leave(self, goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`finish` without waiting."""
        done = self.begin(_finish(goodbye))
        done.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))


async def _finish(goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    await goodbye()


def result_of(future: Future[T]) -> T:
    """Wait for what was begun; an interrupt cancels it."""
    try:
        return future.result()
    except (KeyboardInterrupt, SystemExit) as stop:
        if future.cancel():
            stop.add_note(
                "What was being sent was cut short: if its content had begun to leave, it may arrive."
            )
        raise
    except CancelledError:
        raise asyncio.CancelledError from None
