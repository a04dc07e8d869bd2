"""One webhook at work: it reads what happened, calls, calls again, and notes how far it is.

Each event is sent at least once, and those of one message in their order. That something arrived is noted a
moment later, so a relay that is killed sends the last few a second time. What waits for an endpoint that is
down holds up no other one, and no mail.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol
from uuid import uuid4

import msgspec

from postbearer.clock import Clock, event_or_time
from postbearer.errors import StoreError
from postbearer.events import (
    Observer,
    Warned,
    WebhookAttempted,
    WebhookDisabled,
    WebhookFailing,
    WebhookWorks,
)
from postbearer.store import StateChange, WaitingEvent, WebhookRow
from postbearer.tasks import Tasks, defect
from postbearer.timestamps import format_timestamp
from postbearer.tracking import Feed
from postbearer.webhooks import schedule
from postbearer.webhooks.pending import PendingEvent, PendingEvents
from postbearer.webhooks.sender import DeliveryResult, WebhookSender, body_of, identifier_of
from postbearer.webhooks.target import WebhookTarget

AT_ONCE: Final = 8  # calls of one endpoint
WINDOW: Final = 200  # events in line beyond which no more are read
MOST_ASIDE: Final = 1000  # events that wait to be sent again, beyond which nothing new is begun
TOLD: Final = 3  # tries of an event after which it is told, if nothing else arrived either
BROKEN: Final = 5  # messages that failed one after the other: it is the endpoint, and not a message
PROBE: Final = 3600.0  # seconds between two new messages for an endpoint that fails
HURRY: Final = 300.0  # seconds between two times that all is tried again because something arrived
LOOK: Final = 3600.0  # seconds between looks at what an endpoint that is not called has lost
PATIENCE: Final = 60.0  # seconds for one look at what is new
AGAIN: Final = 5.0  # seconds after the store could not be read or written
CALM: Final = 0.2  # seconds between two notes of how far it is
FAREWELL: Final = 5.0  # seconds for calls under way when the relay ends
REPLAYED: Final = 1000  # events of one message


class WebhookStore(Protocol):
    """What of a spool it needs; see `DurableSpool`."""

    async def history(self, after: int, most: int, message: str = "") -> Sequence[StateChange]: ...

    async def keep_webhook(
        self, row: WebhookRow, again: Sequence[WaitingEvent] = (), done: Sequence[int] = ()
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookState:
    """How a webhook is. Times are Unix seconds; `oldest` is when the first event happened that waits."""

    target: WebhookTarget
    row: WebhookRow
    waiting: int
    oldest: float | None
    next_try: float | None

    @property
    def word(self) -> Literal["working", "failing", "disabled"]:
        if self.row.disabled:
            return "disabled"
        return "working" if self.row.failing is None else "failing"


class WebhookWorker:
    """Calls `target`, from where `row` and what was `kept` with it stand."""

    def __init__(
        self,
        target: WebhookTarget,
        row: WebhookRow,
        kept: Sequence[WaitingEvent],
        *,
        store: WebhookStore,
        feed: Feed,
        clock: Clock,
        observer: Observer,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._row = row
        self._store = store
        self._feed = feed
        self._clock = clock
        self._observer = observer
        self._dice = dice
        self._tasks = Tasks(clock, observer)
        self._calls = Tasks(clock, observer)
        self._sender = WebhookSender(target, clock)
        self._old: list[WebhookSender] = []  # of an earlier configuration, until the end
        self._backlog = PendingEvents(row.position)
        self._backlog.restore(kept, clock.now(), clock.monotonic())
        self._failed = self._backlog.failing if row.failing is not None else set[str]()
        self._told = row.failing is not None  # that nothing arrives
        self._rests_until = self._probe_at = self._hurry_from = 0.0  # monotonic
        self._ending = False
        self._wake, self._roomy, self._unwritten = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._written = row
        self._reading: asyncio.Task[None] | None = None

    @property
    def target(self) -> WebhookTarget:
        return self._target

    def use(self, target: WebhookTarget) -> None:
        """Go by another configuration."""
        if target != self._target:
            self._old.append(self._sender)
            self._target, self._sender = target, WebhookSender(target, self._clock)
            self._wake.set()

    def start(self) -> None:
        self._tasks.keep(self._send, f"webhook {self._target.name}")
        self._tasks.keep(self._write, f"notes of webhook {self._target.name}")
        self._read_on()

    async def stop(self, patience: float) -> None:
        """Begin nothing more, let calls under way end for a moment, and note how far it is."""
        self._ending = True
        await self._tasks.stop()
        await self._calls.stop(min(patience, FAREWELL))
        if self._changed:
            with suppress(StoreError):  # then some is sent once more
                await self._note()
        for each in (*self._old, self._sender):
            await each.close()

    async def state(self) -> WebhookState:
        """How it is now. Raises `StoreError`."""
        backlog, (_, last) = self._backlog, await self._feed.kept()
        oldest = backlog.read + 1 if backlog.oldest is None else backlog.oldest
        first = await self._store.history(oldest - 1, 1) if oldest <= last else ()
        due = backlog.next_due
        return WebhookState(
            target=self._target,
            row=self._row_now(),
            waiting=len(backlog) + max(0, last - backlog.read),
            oldest=first[0].at if first else None,
            next_try=None if due is None or self._row.disabled else self._wall(max(due, self._rests_until)),
        )

    # What people do -------------------------------------------------------------------------

    async def test(self) -> tuple[str, DeliveryResult]:
        """Send an event that tells of nothing; its id, and what came back. If it arrives, so will others."""
        identifier, now = f"evt_test_{uuid4().hex}", self._clock.now()
        data = {"webhook": self._target.name}
        body = msgspec.json.encode({"type": "webhook.test", "timestamp": format_timestamp(now), "data": data})
        result = await self._sender.send(identifier, body)
        if result.arrived and not self._row.disabled:
            self._hurry()
            self._recovered()
        return identifier, result

    async def enable(self) -> None:
        """Send again to one that was disabled, all that waits at once. Raises `StoreError`."""
        self._change(disabled="", disabled_at=None, failing=None, error="")
        self._hurry(anew=True)
        self._recovered()
        await self._note()

    async def replay(self, first: int, message: str = "") -> int:
        """Send what happened from the number `first` on once more, or that of one message; how many events.

        What is not kept any more cannot be sent. Raises `StoreError`.
        """
        oldest, last = await self._feed.kept()
        first = max(first, oldest, 1)
        if message:
            found = await self._store.history(first - 1, REPLAYED, message)
            count = self._backlog.send_again(each for each in found if self._target.wants(each))
        else:
            count = max(0, min(last, self._backlog.read) + 1 - first)
            self._backlog.rewind(first - 1)
            self._read_on()
        self._dirty()
        await self._note()
        self._wake.set()
        return count

    # Reading --------------------------------------------------------------------------------

    def _read_on(self) -> None:
        """Read from where the backlog stands."""
        if self._reading is not None:
            self._reading.cancel()
        self._reading = self._tasks.keep(self._read, f"events for webhook {self._target.name}")

    async def _read(self) -> None:
        while True:
            try:
                async with aclosing(self._feed.follow(self._backlog.read, PATIENCE)) as pieces:
                    async for piece in pieces:
                        self._take_in(piece)
                        await self._room()
            except StoreError as error:
                self._warn(f"Events cannot be read: {error}")
                await self._clock.sleep(AGAIN)
            else:
                return  # the relay ends

    def _take_in(self, piece: Sequence[StateChange]) -> None:
        if piece and piece[0].number > self._backlog.read + 1:
            self._lost(piece[0].number - self._backlog.read - 1)
        for each in piece:
            if self._target.wants(each):
                self._backlog.add(each)
            else:
                self._backlog.skip(each.number)
        if self._backlog.position - self._written.position > WINDOW:  # nothing else would say so
            self._dirty()
        self._wake.set()

    async def _room(self) -> None:
        """Wait until more may be read."""
        while self._full:
            self._roomy.clear()
            await event_or_time(self._roomy, LOOK, self._clock)
            oldest, _ = await self._feed.kept()
            lost = self._backlog.forget(oldest)
            if lost or oldest - 1 > self._backlog.read:
                self._lost(lost + max(0, oldest - 1 - self._backlog.read))
                self._backlog.skip(max(oldest - 1, self._backlog.read))

    @property
    def _full(self) -> bool:
        backlog = self._backlog
        aside = len(backlog) - backlog.in_line
        return bool(self._row.disabled) or backlog.in_line >= WINDOW or aside >= MOST_ASIDE

    def _lost(self, count: int) -> None:
        self._change(dropped=self._row.dropped + count)
        self._warn(
            f"{count} events were forgotten before they could be sent: they are kept for seven days. "
            "Its receiver has missed them; GET /v1/messages has how messages stand."
        )

    # Sending --------------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            self._wake.clear()
            while (event := self._next()) is not None:
                call = self._calls.start(self._one(event), f"call of webhook {self._target.name}")
                call.add_done_callback(self._ended)  # once it does not count any more
            await event_or_time(self._wake, self._patience(), self._clock)

    def _next(self) -> PendingEvent | None:
        """What is to be sent now."""
        now = self._clock.monotonic()
        if self._row.disabled or self._ending or len(self._calls) >= AT_ONCE or now < self._rests_until:
            return None
        if (event := self._backlog.take_again(now)) is not None:
            return event
        if self._broken:
            if now < self._probe_at or not self._backlog.has_new:
                return None
            self._probe_at = now + PROBE
        return self._backlog.take_new()

    @property
    def _broken(self) -> bool:
        return len(self._failed) >= BROKEN

    def _patience(self) -> float:
        """Seconds until something may be sent, if nothing happens before."""
        if self._row.disabled or self._ending or len(self._calls) >= AT_ONCE:
            return LOOK
        times = [self._backlog.next_due]
        if self._broken and self._backlog.has_new:
            times.append(self._probe_at)
        due = min((each for each in times if each is not None), default=None)
        if due is None and self._rests_until <= self._clock.monotonic():
            return LOOK
        return max(0.05, max(due or 0.0, self._rests_until) - self._clock.monotonic())

    async def _one(self, event: PendingEvent) -> None:
        """Send one event, and note what came of it. Whatever happens, it does not stay under way."""
        ended = False
        try:
            change = event.change or await self._known(event)
            if change is None:
                self._backlog.arrived(event)
                self._lost(1)
            else:
                self._judge(event, await self._sender.send(identifier_of(change), body_of(change)))
            ended = True
        except StoreError as error:
            self._warn(f"An event cannot be read: {error}")
            self._rests_until = self._clock.monotonic() + AGAIN
        except Exception as error:  # any: the others are sent all the same, and this one later
            self._observer.notice(defect(error, f"webhook {self._target.name}"))
            self._judge(event, DeliveryResult(error="A defect in postbearer kept it from being sent."))
            ended = True
        finally:
            if not ended:
                self._backlog.give_back(event)
            self._dirty()

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._wake.set()
        self._roomy.set()

    async def _known(self, event: PendingEvent) -> StateChange | None:
        """The event behind a number that was found in the store."""
        found = await self._store.history(event.number - 1, 1)
        return found[0] if found and found[0].number == event.number else None

    def _judge(self, event: PendingEvent, result: DeliveryResult) -> None:
        self._observer.notice(
            WebhookAttempted(
                "",
                webhook=self._target.name,
                arrived=result.arrived,
                status=result.status,
                seconds=result.seconds,
            )
        )
        if result.arrived:
            self._backlog.arrived(event)
            self._change(arrived=self._clock.now())
            self._recovered()
        elif result.gone:
            self._backlog.give_back(event)
            self._disable("It answered 410: it is gone.")
        else:
            self._put_off(event, result)

    def _put_off(self, event: PendingEvent, result: DeliveryResult) -> None:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        wait = schedule.wait(event.tries + 1, result.wait, self._dice)
        self._backlog.failed(event, monotonic + wait, now)
        if result.throttled and result.wait is not None:
            self._rests_until = max(self._rests_until, monotonic + result.wait)
        if not self._broken:
            self._failed.add(event.message)
            self._probe_at = monotonic + PROBE
        since = now if self._row.failing is None else self._row.failing
        self._change(failing=since, error=result.error)
        alone = event.tries >= TOLD and (self._row.arrived or 0.0) < event.since
        if (self._broken or alone) and not self._told:
            self._told = True
            self._observer.notice(
                WebhookFailing("", webhook=self._target.name, error=result.error, hint=result.hint)
            )
        if event.tries >= schedule.TRIES:
            self._give_up(event, result, now)

    def _give_up(self, event: PendingEvent, result: DeliveryResult, now: float) -> None:
        """After the last try: the event, if others arrived meanwhile; all, if nothing did for days."""
        row = self._row
        if row.arrived is not None and row.arrived > event.since:
            self._backlog.arrived(event)
            self._change(dropped=row.dropped + 1)
            self._warn(
                f"An event of {event.message} did not arrive in {schedule.TRIES} tries, and is given up: "
                f"{result.error} Send it once more by: postbearer hooks replay {self._target.name} "
                f"--from {event.number} --message {event.message}"
            )
        elif row.failing is not None and now - row.failing >= schedule.DEAD:
            self._disable(f"Nothing has arrived since {format_timestamp(row.failing)}. {result.error}")

    def _recovered(self) -> None:
        """Something arrived: what waits for an endpoint that had failed goes at once."""
        if self._broken and self._clock.monotonic() >= self._hurry_from:
            self._hurry()
        self._failed.clear()
        if self._row.failing is not None:
            self._change(failing=None, error="")
        if self._told:
            self._told = False
            self._observer.notice(WebhookWorks("", webhook=self._target.name))
        self._roomy.set()
        self._wake.set()

    def _hurry(self, *, anew: bool = False) -> None:
        now = self._clock.monotonic()
        self._rests_until, self._hurry_from = 0.0, now + HURRY
        self._backlog.hurry(now, anew=anew)

    def _disable(self, reason: str) -> None:
        if not self._row.disabled:
            self._change(disabled=reason, disabled_at=self._clock.now())
            self._observer.notice(WebhookDisabled("", webhook=self._target.name, reason=reason))

    # Noting ---------------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            await self._unwritten.wait()
            self._unwritten.clear()
            try:
                await self._note()
            except StoreError as error:
                self._warn(f"How far it is cannot be noted: {error}")
                self._dirty()
                await self._clock.sleep(AGAIN)
            await self._clock.sleep(CALM)

    async def _note(self) -> None:
        """Make it durable. Raises `StoreError`."""
        row = self._row_now()
        again, gone = self._backlog.unwritten(self._clock.now(), self._clock.monotonic())
        try:
            await self._store.keep_webhook(row, again, gone)
        except BaseException:  # also when it is cancelled: what was not kept is kept at the next try
            self._backlog.not_written(again, gone)
            raise
        self._written = row

    @property
    def _changed(self) -> bool:
        return self._unwritten.is_set() or self._row_now() != self._written

    def _row_now(self) -> WebhookRow:
        return replace(self._row, position=self._backlog.position)

    def _change(self, **values: Any) -> None:
        self._row = replace(self._row, **values)
        self._dirty()

    def _dirty(self) -> None:
        self._unwritten.set()

    def _wall(self, monotonic: float) -> float:
        return self._clock.now() + max(0.0, monotonic - self._clock.monotonic())

    def _warn(self, text: str) -> None:
        self._observer.notice(Warned("", f"The webhook {self._target.name}: {text}"))
