"""Claims for which nobody waits any more: they go back to the queue, not counted as tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from postbearer.clock import Clock
from postbearer.errors import LeaseLost, StoreError
from postbearer.store.changes import Changes
from postbearer.store.records import Claimed, Settlement

AGAIN = 1.0  # seconds


class Unclaimed:
    """Gives claims back by `settling`, for as long as the spool `is_open`; `changes` hears that they wait."""

    def __init__(
        self,
        settling: Callable[[Claimed, Settlement], asyncio.Future[Any]],
        is_open: Callable[[], bool],
        changes: Changes,
        clock: Clock,
    ) -> None:
        self._settling = settling
        self._is_open = is_open
        self._changes = changes
        self._clock = clock

    def give_back(self, unclaimed: Sequence[Claimed]) -> None:
        if not self._is_open():
            return
        for claimed in unclaimed:
            untouched = Settlement(results=(), ended=self._clock.now(), counted=False)
            self._settling(claimed, untouched).add_done_callback(partial(self._given_back, claimed))

    def _given_back(self, claimed: Claimed, done: asyncio.Future[Any]) -> None:
        """A mark that could not be made is made later: nobody else ends this lease before a restart."""
        error = None if done.cancelled() else done.exception()
        if error is None:
            self._changes.waits([(claimed.account, claimed.priority, claimed.client)])
        if isinstance(error, StoreError) and not isinstance(error, LeaseLost):
            asyncio.get_running_loop().call_later(AGAIN, self.give_back, [claimed])
