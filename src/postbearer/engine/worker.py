"""The worker: sends what is queued, account by account, as fast as each of them may.

One task decides what is next, whenever something changed or the next time has come; every attempt is a
task of its own. Claims are made only for attempts that can begin at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from postbearer.clock import Clock
from postbearer.engine.attempting import NOT_BEGUN, Attempting, Rules
from postbearer.engine.lanes import Rota
from postbearer.engine.lateness import warn_late
from postbearer.engine.outlet import Mailbox, Outlet
from postbearer.engine.pauses import BY_HAND, Pauses
from postbearer.engine.settle import Ending, put_off
from postbearer.engine.terms import Road
from postbearer.errors import PostbearerError, StoreError
from postbearer.observer import Observer, Warned
from postbearer.store import Charge, Claimed, Lane, Pause, Priority, Spool
from postbearer.tasks import Tasks, defect

LONGEST_WAIT = 2 * 86_400.0  # a due time further away than any wait is the trace of a clock set back
LOOK_AGAIN = 300.0  # seconds after which a clock that was set is noticed


class Worker:
    """Runs until `drain`. Roads and their ledgers are shared with nobody else in this process.

    `keep` is for how many seconds finished messages are kept.
    """

    def __init__(
        self,
        spool: Spool,
        roads: Mapping[str, Road],
        *,
        clock: Clock,
        observer: Observer,
        rules: Rules,
        keep: float = 3 * 86_400.0,
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._observer = observer
        self._keep = keep
        self._mailboxes: WeakValueDictionary[str, Mailbox] = WeakValueDictionary()
        self._outlets = {name: self._outlet(road) for name, road in roads.items()}
        self._pauses = Pauses(spool, clock, observer, self._outlets)
        self._attempting = Attempting(spool, clock, observer, rules)
        self._rota = Rota()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()  # as above, for others than the one that decides
        self._at_rest = False  # whatever is due and may begin has begun
        self._empty = False  # … and nothing waits
        self._reserved = 0  # slots for what is being accepted
        self._tasks = Tasks(clock, observer)
        self._marking: set[asyncio.Task[None] | None] = set()  # of these, those that know how it ended
        self._stopping = False
        self._ended = asyncio.Event()  # cleared while it runs
        self._ended.set()
        self._troubles = 0  # rounds in a row that the store failed in
        self._last_end = clock.now()
        self._retire_at = -math.inf
        self._homeless: set[str] = set()
        self._alarms = Tasks(clock, observer)
        self._alarm: asyncio.Task[None] | None = None  # wakes it …
        self._alarm_at = math.inf  # … at this time, monotonic

    @property
    def outlets(self) -> Mapping[str, Outlet]:
        return self._outlets

    @property
    def busy(self) -> int:
        """Attempts under way."""
        return len(self._tasks)

    async def run(self) -> None:
        """Send until `drain` is called."""
        self._ended = asyncio.Event()
        try:
            await self._run()
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._alarm_at = None, math.inf
            self._ended.set()

    async def _run(self) -> None:
        ready = False
        while not self._stopping:
            self._wake.clear()
            try:
                if not ready:
                    await self._pauses.remember()
                    ready = True
                until = await self._round()
                self._troubles = 0
            except StoreError as error:
                self._troubles += 1
                self._observer.notice(Warned("", f"The queue cannot be read or written: {error}"))
                until = self._clock.now() + min(30.0, 2.0**self._troubles)
            await self._wait(until)

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()
        self._changed.set()

    async def drain(self, timeout: float) -> None:
        """Begin nothing more; wait up to `timeout` seconds for what is under way, then give it up.

        What was given up is marked as of unknown fate, if any of it has left. Connections are closed.
        """
        self._stopping = True
        self._attempting.stopping = True
        self.wake()
        await self._ended.wait()
        while self._reserved:  # what they are for may be leased already
            self._changed.clear()
            await self._changed.wait()
        if self._tasks:
            patience = asyncio.ensure_future(self._clock.sleep(timeout))
            everything = asyncio.ensure_future(asyncio.wait(tuple(self._tasks)))
            await asyncio.wait((patience, everything), return_when=asyncio.FIRST_COMPLETED)
            patience.cancel()
            for task in self._tasks:
                if task not in self._marking:
                    task.cancel()
            await everything
        for outlet in self._outlets.values():
            await outlet.road.transport.close()

    async def reload(self, roads: Mapping[str, Road], rules: Rules) -> None:
        """Go by another configuration. Unchanged accounts keep their connections; no budget is forgotten.

        A paused account is tried again at once, as its secret may be another now. One that a person paused is
        not, nor a password that was refused before.
        """
        self._attempting.rules = rules
        before, self._outlets = self._outlets, {}
        self._pauses.outlets = self._outlets
        for name, road in roads.items():
            old = before.pop(name, None)
            same = old is not None and old.road.terms == road.terms
            if old is None:
                self._outlets[name] = self._outlet(road)
                continue
            self._outlets[name] = old if same else self._outlet(_with_ledger_of(old.road, road))
            pause = old.pause
            if pause is not None and pause.reason != BY_HAND and not (same and road.terms.password_login):
                pause = replace(pause, probe=self._clock.now())
            self._outlets[name].pause = pause
            before[name] = self._outlet(road) if same else old  # the one that is not needed
        for outlet in before.values():
            self._tasks.start(self._close_when_done(outlet), "connections of an account that went")
        self._homeless.clear()
        self.wake()

    def _outlet(self, road: Road) -> Outlet:
        name = road.terms.mailbox
        mailbox = self._mailboxes.get(name) or Mailbox()
        self._mailboxes[name] = mailbox
        return Outlet(road, self._clock, mailbox)

    async def warn_late(self) -> int:
        """Tell senders of what waits for too long without an attempt; how many. Raises `StoreError`."""
        told = await warn_late(self._spool, self._attempting, self._outlets, self._clock, self._observer)
        if told:
            self.wake()
        return told

    async def pause(self, account: str) -> None:
        """Stop an account until `resume`. Raises `UsageError`, `StoreError`."""
        await self._pauses.by_hand(account)

    async def resume(self, account: str) -> bool:
        """Let an account send again; False if it was not paused. Raises `UsageError`, `StoreError`."""
        resumed = await self._pauses.resume(account)
        self.wake()
        return resumed

    def try_again(self, account: str) -> bool:
        """What made it pause may be another now: probe it with the next message, at once.

        False if it is not paused, or by hand. Raises `UsageError`.
        """
        again = self._pauses.try_again(account)
        if again:
            self.wake()
        return again

    async def refused(self, account: str, error: PostbearerError) -> None:
        """Its sign-in met `error` beside the queue: it pauses, if a message would have made it pause.

        Raises `UsageError`, `StoreError`.
        """
        outlet = self._pauses.outlet(account)
        stop = self._attempting.judge(outlet).refusal(error)
        if stop is not None and outlet.pause is None:
            await self._pauses.stop(outlet, stop)

    # What is next ---------------------------------------------------------------------------

    async def _round(self) -> float:
        """Begin all that may begin; when there will be something to do by the clock alone."""
        await self._retire()
        while True:
            now, self._empty = self._clock.now(), False
            if not any(way.open(now) for way in self._outlets.values()):
                return min((way.opens_at(now) for way in self._outlets.values()), default=math.inf)
            lanes = await self._spool.lanes(now)
            if not await self._claim(lanes):
                self._empty = not lanes
                return min((self._time_of(lane) for lane in lanes), default=math.inf)

    async def _claim(self, lanes: Sequence[Lane]) -> bool:
        """Claim for every free slot; whether anything was claimed."""
        left, claimed_any = self._ready(lanes), False
        while not self._stopping:
            lane = self._rota.next(left)
            if lane is None:
                break
            now = self._clock.now()
            way = self._way(lane, now)
            if way is None:  # and so it is with most of its account's
                left = self._ready(left, lane.account)
                continue
            most = 1 if way.limited or way.paused else way.slots(now)
            claimed = await self._spool.claim(lane, most, max(lane.due, now))
            if len(claimed) < most:
                left.remove(lane)
            if claimed:
                claimed_any = True
                self._rota.took(lane, [len(each.targets) for each in claimed])
            for each in claimed:
                await self._begin(each, way)
        return claimed_any

    def _ready(self, lanes: Sequence[Lane], account: str | None = None) -> list[Lane]:
        """Those something may be claimed from now; only lanes of `account` are looked at, if one is named."""
        now = self._clock.now()
        return [
            lane
            for lane in lanes
            if (account is not None and lane.account != account) or self._way(lane, now) is not None
        ]

    def _way(self, lane: Lane, now: float) -> Outlet | None:
        """The account that may carry the first message of this lane now."""
        if not _due(lane, now):
            return None
        return next((way for way in self._ways(lane, now) if way.free(lane.priority, now)), None)

    def _ways(self, lane: Lane, now: float) -> Sequence[Outlet]:
        """The accounts that may carry it at all, the best first: its own, then a substitute."""
        home = self._outlets.get(lane.account)
        if home is None:
            if lane.account not in self._homeless:
                self._homeless.add(lane.account)
                text = f"Mail waits for the account {lane.account}, which is not configured."
                self._observer.notice(Warned(lane.account, text))
            return ()
        substitute = ""
        if home.paused or (home.missed and home.terms.fallback_when == "unreachable"):
            substitute = home.terms.fallback
        elif home.terms.overflow and self._overflows(lane, home, now):
            substitute = home.terms.overflow
        other = self._outlets.get(substitute)
        return (home,) if other is None or other.paused else (home, other)

    @staticmethod
    def _overflows(lane: Lane, home: Outlet, now: float) -> bool:
        """Whether its budget will be spent for too long, or was."""
        opens, patience = home.budget_opens(lane.priority), home.terms.overflow_after
        return opens > now and max(opens - now, now - lane.due) > patience

    def _time_of(self, lane: Lane) -> float:
        """When this lane can go on, by the clock alone."""
        now = self._clock.now()
        times = [way.free_at(lane.priority, now) for way in self._ways(lane, now)]
        home = self._outlets.get(lane.account)
        if home is not None and home.terms.overflow in self._outlets and not home.paused and len(times) == 1:
            other = self._outlets[home.terms.overflow]
            times.append(max(lane.due + home.terms.overflow_after + 0.01, other.free_at(lane.priority, now)))
        return max(now if _due(lane, now) else lane.due, min(times, default=math.inf))

    async def _begin(self, claimed: Claimed, way: Outlet) -> None:
        """Start an attempt."""
        charge = await self._charged(claimed, way)
        way.busy += 1
        self._attempt(self._work(claimed, way, way.pause, charge), claimed)

    def reserve(self, account: str, priority: Priority) -> Outlet | None:
        """A slot for what is being accepted, if nothing is before it (see `Starter`)."""
        way = self._outlets.get(account)
        if way is None or way.paused or self._stopping or not self._at_rest or self._wake.is_set():
            return None
        if not way.free(priority, self._clock.now()):
            return None
        way.busy += 1
        self._reserved += 1
        return way

    def start(self, claimed: Claimed, way: Outlet) -> None:
        async def work() -> None:
            charge: Charge | Ending
            try:
                charge = await self._charged(claimed, way)
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                charge = put_off(claimed, self._clock.now(), NOT_BEGUN)
            await self._work(claimed, way, None, charge)

        self._reserved -= 1
        self._attempt(work(), claimed)
        self._changed.set()

    def give_back(self, way: Outlet) -> None:
        self._reserved -= 1
        way.busy -= 1
        self.wake()

    async def _charged(self, claimed: Claimed, way: Outlet) -> Charge | Ending:
        """Charge an attempt to the account that makes it; its end, if it is over already or may not begin."""
        try:
            ending = await self._attempting.ended_already(claimed, way)
            if ending is not None:
                return ending
            urgent = claimed.priority is Priority.URGENT
            charge = await way.budget.take(len(claimed.targets), urgent=urgent)
            if isinstance(charge, Charge):
                return charge
            return put_off(claimed, charge, "The account has sent all it may for now.")
        except StoreError as error:  # not counted is not sent
            self._observer.notice(Warned(way.terms.name, str(error)))
            way.rest(0)
            return put_off(claimed, self._clock.now(), error.message)
        except Exception as error:  # any: the mail of other accounts is sent all the same
            self._observer.notice(defect(error, "worker", account=way.terms.name, id=claimed.message.id))
            way.rest(0)
            return put_off(claimed, self._clock.now(), "It met a defect in postbearer; the log knows more.")

    async def _work(
        self, claimed: Claimed, way: Outlet, probed: Pause | None, charge: Charge | Ending
    ) -> None:
        """One attempt, or its ending, if that is known already; `probed` is the pause it may end."""
        began = self._clock.monotonic()
        took = 0.0
        try:
            ending = charge if isinstance(charge, Ending) else await self._attempting.run(claimed, way)
            took = self._clock.monotonic() - began
            self._marking.add(asyncio.current_task())
            if isinstance(charge, Charge):
                await self._learn(way, ending, probed, charge)
        finally:
            way.busy -= 1
            if self._at_rest and self._empty:
                self._changed.set()
            else:
                self.wake()  # the next may be claimed while this one is marked
        more = True
        try:
            more = await self._attempting.settle(claimed, way, ending, took)
        finally:
            self._last_end = self._clock.now()
            if self._retire_at == math.inf or more:
                self._retire_at = min(self._retire_at, self._last_end + self._keep + 1.0)
                self.wake()

    async def _learn(self, way: Outlet, ending: Ending, probed: Pause | None, charge: Charge) -> None:
        """What the attempt means for its account."""
        try:
            await self._pauses.learn(way, ending, probed)
            if ending.unsent:
                await way.budget.give_back(charge)
        except StoreError as error:  # what is not written holds in memory, and the message has to be marked
            self._observer.notice(Warned(way.terms.name, f"What an attempt means cannot be kept: {error}"))

    # Keeping house ------------------------------------------------------------------------

    def _attempt(self, work: Coroutine[None, None, None], claimed: Claimed) -> None:
        """Run an attempt. After a defect its lease stays: it is not sent again before a restart."""
        task = self._tasks.start(work, "attempt", id=claimed.message.id)
        task.add_done_callback(self._marking.discard)

    async def _close_when_done(self, outlet: Outlet) -> None:
        while outlet.busy:
            self._changed.clear()
            await self._changed.wait()
        await outlet.road.transport.close()

    async def _retire(self) -> None:
        """Remove what was finished long enough ago; when to look again."""
        now = self._clock.now()
        if now < self._retire_at:
            return
        await self._spool.retire(now - self._keep)
        again = self._last_end + self._keep >= now
        self._retire_at = now + max(60.0, self._keep / 24) if again else math.inf

    async def _wait(self, until: float) -> None:
        """Until something changes, or the time has come."""
        until = min(until, self._retire_at)
        if self._wake.is_set() or self._stopping:
            return
        self._at_rest = True
        try:
            await self._until(until)
        finally:
            self._at_rest = False

    async def _until(self, until: float) -> None:
        """The alarm stays set from one wait to the next: most waits end by something that changed."""
        if until < math.inf:
            seconds = min(max(until - self._clock.now(), 0.005), LOOK_AGAIN)
            at = self._clock.monotonic() + seconds
            if at < self._alarm_at:
                self._set_alarm(at, seconds)
        await self._wake.wait()

    def _set_alarm(self, at: float, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._alarms.start(self._ring(seconds), "alarm of the worker")

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._alarm, self._alarm_at = None, math.inf
        self.wake()


def _with_ledger_of(old: Road, road: Road) -> Road:
    """No budget is forgotten that is of the same mailbox and in memory only."""
    if old.ledger is None or road.ledger is None or old.terms.mailbox != road.terms.mailbox:
        return road
    return replace(road, ledger=old.ledger)


def _due(lane: Lane, now: float) -> bool:
    return lane.due <= now or lane.due > now + LONGEST_WAIT
