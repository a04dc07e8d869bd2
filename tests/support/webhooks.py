"""One webhook at work on a real queue, with a receiver on loopback and a clock that its test turns."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postbearer.events import Several, Warned
from postbearer.http_addresses import AddressRules
from postbearer.secret import GivenSecret, Secret
from postbearer.store import SqliteSpool, Status, WebhookRow
from postbearer.tracking import Feed
from postbearer.webhooks import WebhookState, WebhookTarget, WebhookWorker
from support.hooks import Hooks
from support.relay import Ears, WaitingClock
from support.spooling import accept

SECRET = "whsec_" + base64.b64encode(b"canary: 32 octets of a real key!").decode()
OLD = "whsec_" + base64.b64encode(b"canary: the key before this one!").decode()


@dataclass
class Hooked:
    """What one test works with. `made` holds what the worker is told; see `WebhookTarget`."""

    folder: Path
    hooks: Hooks
    clock: WaitingClock = field(default_factory=lambda: WaitingClock(time.time()))
    ears: Ears = field(default_factory=Ears)
    made: dict[str, Any] = field(default_factory=dict)
    name: str = "shop"

    async def start(self) -> None:
        self.spool = SqliteSpool(
            self.folder / "spool.db", clock=self.clock, reserve=0, allow_ephemeral=True, events=True
        )
        await self.spool.open()
        self.observers = Several(self.ears, clock=self.clock)
        self.spool._observer = self.observers
        assert self.spool._writing is not None
        self.spool._writing._observer = self.observers
        self.feed = Feed(self.spool, self.clock, self.observers)
        known = await self.spool.webhooks()
        row, kept = known.get(self.name, (WebhookRow(self.name, 0), ()))
        self.worker = WebhookWorker(
            self.target,
            row,
            kept,
            store=self.spool,
            feed=self.feed,
            clock=self.clock,
            observer=self.observers,
            dice=lambda: 0.0,
        )
        self.worker.start()

    @property
    def target(self) -> WebhookTarget:
        given = {
            "url": self.hooks.url,
            "secrets": (GivenSecret(Secret(SECRET)),),
            "rules": AddressRules(private=True),
            "timeout": 5.0,
        }
        return WebhookTarget(name=self.name, **(given | self.made))

    def wants(self, **more: Any) -> None:
        """As `made`, from now on, too."""
        self.made |= more
        self.worker.use(self.target)

    async def stop(self, *, killed: bool = False) -> None:
        if killed:
            self.worker._written = self.worker._row_now()  # nothing more is noted
            self.worker._unwritten.clear()
        await self.worker.stop(0.0)
        await self.feed.stop()
        await self.spool.close()

    async def happens(self, *messages: str, recipients: tuple[str, ...] = ("a@example.net",)) -> None:
        """Each is accepted, and given up again: two events for each recipient."""
        for name in messages:
            now = self.clock.now()
            await accept(self.spool, name, recipients=recipients, account="out", accepted=now, due=now)
            await self.spool.change(name, Status.CANCELLED, now)

    async def until(self, holds: Callable[[], bool], seconds: float = 20.0) -> None:
        """Let all run, and a tenth of a second pass now and then, until it `holds`."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, self.told()
            await asyncio.sleep(0.005)
            self.clock.advance(0.11)

    async def all_answered(self) -> None:
        """Until the worker has heard of all that was called: what is under way at the end is sent again."""
        deadline = time.monotonic() + 20.0
        while (await self.state()).waiting:
            assert time.monotonic() < deadline, self.told()
            await asyncio.sleep(0.005)

    async def state(self) -> WebhookState:
        return await self.worker.state()

    def told(self) -> list[tuple[str, str]]:
        """Message and word of each call, in their order."""
        return [(each.json["data"].get("message", ""), each.json["type"]) for each in self.hooks.calls]

    def warnings(self) -> list[str]:
        return [each.text for each in self.ears.events if isinstance(each, Warned)]

    def heard(self, kind: type) -> list[Any]:
        return [each for each in self.ears.events if isinstance(each, kind)]
