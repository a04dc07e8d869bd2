"""Work that blocks, done beside the event loop, and left behind when it takes too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], seconds: float) -> T:
    """The result of `work`, which runs in a thread of its own. Raises `TimeoutError` after `seconds`.

    The thread does not keep the process from ending, as one of a pool would: a desktop may ask a person
    for a password meanwhile, and nobody may be there.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on nobody can cancel it under the thread's hands

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(result)

    threading.Thread(target=run, name="postbearer-secret", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await asyncio.wrap_future(done)
