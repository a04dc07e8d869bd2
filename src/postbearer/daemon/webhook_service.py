"""The webhooks of a relay: one worker each, and what people ask of them."""

from __future__ import annotations

import asyncio

from postbearer.clock import Clock
from postbearer.control import WebhookReplayed, WebhookStatus, WebhookTested
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.errors import UsageError
from postbearer.events import Observer
from postbearer.store import DurableSpool, WebhookRow
from postbearer.suggestion import did_you_mean
from postbearer.tracking import Feed
from postbearer.webhooks import WebhookState, WebhookWorker


class WebhookService(Service):
    """Calls who is configured. One that is not any more is forgotten."""

    def __init__(
        self, plan: ServicePlan, spool: DurableSpool, feed: Feed, clock: Clock, observer: Observer
    ) -> None:
        self._targets = {each.name: each for each in plan.webhooks}
        self._spool = spool
        self._feed = feed
        self._clock = clock
        self._observer = observer
        self._workers: dict[str, WebhookWorker] = {}

    async def start(self) -> None:
        await self._follow()

    async def reload(self, plan: ServicePlan) -> None:
        self._targets = {each.name: each for each in plan.webhooks}
        await self._follow()

    async def stop(self, patience: float) -> None:
        await asyncio.gather(*(each.stop(patience) for each in self._workers.values()))

    async def _follow(self) -> None:
        """Have one worker for each target, and none for others."""
        known = await self._spool.webhooks()
        if self._targets:
            await self._spool.keep_history()
        for name in [each for each in known if each not in self._targets]:
            if name in self._workers:
                await self._workers.pop(name).stop(0.0)
            await self._spool.drop_webhook(name)
        for name, target in self._targets.items():
            if name in self._workers:
                self._workers[name].use(target)
            else:
                row, kept = known.get(name) or (await self._new(name), ())
                worker = self._workers[name] = WebhookWorker(
                    target,
                    row,
                    kept,
                    store=self._spool,
                    feed=self._feed,
                    clock=self._clock,
                    observer=self._observer,
                )
                worker.start()

    async def _new(self, name: str) -> WebhookRow:
        """One that is told of what happens from now on."""
        _, last = await self._feed.kept()
        row = WebhookRow(name, position=last)
        await self._spool.keep_webhook(row)
        return row

    # What people ask: `WebhookDesk` of control ----------------------------------------------

    async def list(self) -> tuple[WebhookStatus, ...]:
        return tuple([_status(await each.state(), self._clock.now()) for each in self._workers.values()])

    async def test(self, name: str) -> WebhookTested:
        identifier, result = await self._worker(name).test()
        return WebhookTested(
            name=name,
            id=identifier,
            arrived=result.arrived,
            status=result.status or None,
            error=result.error,
            hint=result.hint,
            seconds=result.seconds,
            said=result.said,
        )

    async def replay(self, name: str, first: int, since: float | None, message: str) -> WebhookReplayed:
        worker = self._worker(name)
        if since is not None:
            first = await self._spool.history_since(since)
        oldest, last = await self._feed.kept()
        if first > last or (since is not None and not first):
            raise UsageError(f"Nothing has happened since: the last event is {last}.")
        count = await worker.replay(first, message)
        return WebhookReplayed(name=name, events=count, first=max(first, oldest, 1))

    async def enable(self, name: str) -> WebhookStatus:
        worker = self._worker(name)
        await worker.enable()
        return _status(await worker.state(), self._clock.now())

    def _worker(self, name: str) -> WebhookWorker:
        if name not in self._workers:
            hint = did_you_mean(name, self._workers) or "postbearer hooks list names them."
            raise UsageError(f"There is no webhook {name!r:.80}.", hint=hint)
        return self._workers[name]


def _status(state: WebhookState, now: float) -> WebhookStatus:
    row, target = state.row, state.target
    return WebhookStatus(
        name=target.name,
        place=target.place,
        state=state.word,
        events=tuple(sorted(target.events)),
        accounts=tuple(sorted(target.accounts)),
        clients=tuple(sorted(target.clients)),
        waiting=state.waiting,
        age=None if state.oldest is None else max(0.0, now - state.oldest),
        arrived=row.arrived,
        since=row.disabled_at if row.disabled else row.failing,
        error=row.disabled or row.error,
        tried_again=state.next_try,
        dropped=row.dropped,
    )
