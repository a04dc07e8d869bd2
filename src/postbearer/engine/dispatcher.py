"""The worker: sends what is queued, account by account, as fast as each of them may.

One task decides what is next, whenever something changed or the next time has come; every attempt is a
task of its own. Claims are made only for attempts that can begin at once.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from postbearer.clock import Clock
from postbearer.engine.account_state import AccountState, SharedMailbox
from postbearer.engine.attempt import NOT_BEGUN, AttemptRunner, AttemptSettings
from postbearer.engine.carriers import Carriers
from postbearer.engine.channel import Channel
from postbearer.engine.delay_warning import warn_late
from postbearer.engine.disposition import AttemptResult, put_off
from postbearer.engine.lanes import LaneScheduler
from postbearer.engine.pauses import Pauses
from postbearer.engine.waiting import WaitingLanes
from postbearer.errors import PostbearerError, StoreError
from postbearer.events import Observer, Warned
from postbearer.state import Charge
from postbearer.store import BY_HAND, AuditRecord, Claimed, Lane, LaneKey, Pause, Priority, Spool
from postbearer.tasks import Tasks, defect

LOOK_AGAIN = 300.0  # seconds after which a clock that was set is noticed


class Dispatcher:
    """Runs until `drain`. Roads and their ledgers are shared with nobody else in this process.

    `keep` is for how many seconds finished messages are kept.
    """

    def __init__(
        self,
        spool: Spool,
        channels: Mapping[str, Channel],
        *,
        clock: Clock,
        observer: Observer,
        rules: AttemptSettings,
        keep: float = 3 * 86_400.0,
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._observer = observer
        self._keep = keep
        self._mailboxes: WeakValueDictionary[str, SharedMailbox] = WeakValueDictionary()
        self._account_states = {name: self._account_state(channel) for name, channel in channels.items()}
        self._waiting = WaitingLanes()
        self._read_all_at = -math.inf  # monotonic
        self._carriers = Carriers(self._account_states, clock, observer)
        self._pauses = Pauses(spool, clock, observer, self._account_states, self._look_at)
        spool.subscribe(self.wake, self._on_pauses)
        self._attempts = AttemptRunner(spool, clock, observer, rules)
        self._rota = LaneScheduler()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()  # as above, for others than the one that decides
        self._at_rest = False  # whatever is due and may begin has begun
        self._reserved = 0  # slots for what is being accepted
        self._tasks = Tasks(clock, observer)
        self._marking: set[asyncio.Task[None] | None] = set()  # of these, those that know how it ended
        self._stopping = False
        self._ended = asyncio.Event()  # cleared while it runs
        self._ended.set()
        self._troubles = 0  # rounds in a row that the store failed in
        self._last_end = -math.inf
        self._retire_at = -math.inf
        self._alarms = Tasks(clock, observer)
        self._alarm: asyncio.Task[None] | None = None  # wakes it …
        self._alarm_at = math.inf  # … at this time, monotonic

    @property
    def account_states(self) -> Mapping[str, AccountState]:
        return self._account_states

    @property
    def busy(self) -> int:
        """Attempts under way."""
        return len(self._tasks)

    async def run(self) -> None:
        """Send until `drain` is called."""
        self._ended = asyncio.Event()
        self._last_end = self._clock.now()
        try:
            await self._run()
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._alarm_at = None, math.inf
            self._ended.set()

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                if self._pauses.stale:
                    await self._pauses.read()
                until = await self._round()
                self._troubles = 0
            except StoreError as error:
                self._troubles += 1
                self._observer.notice(Warned("", f"The queue cannot be read or written: {error}"))
                until = self._clock.now() + min(30.0, 2.0**self._troubles)
            await self._wait(until)

    def wake(self, lanes: Collection[LaneKey] | None = None) -> None:
        """There may be something to do: something was put into these lanes, or may be anywhere."""
        if lanes is None:
            self._waiting.changed(None)
            self._waiting.look_at_all()
        if lanes is None or self._waiting.put(lanes, self._clock.now()):
            self._wake.set()
        self._changed.set()

    def _on_pauses(self) -> None:
        self._pauses.stale = True
        self._wake.set()

    def _look_at(self, account: str) -> None:
        """It got a free slot, or may send again."""
        if self._waiting.lanes and self._waiting.look_at(self._carriers.concerned(account)):
            self._wake.set()
        self._changed.set()

    async def drain(self, timeout: float) -> None:
        """Begin nothing more; wait up to `timeout` seconds for what is under way, then give it up.

        What was given up is marked as of unknown fate, if any of it has left. Connections are closed.
        """
        self._stopping = True
        self._attempts.stopping = True
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
        for account_state in self._account_states.values():
            await account_state.channel.transport.close()

    async def reload(self, channels: Mapping[str, Channel], rules: AttemptSettings) -> None:
        """Go by another configuration. Unchanged accounts keep their connections; no budget is forgotten.

        A paused account is tried again at once, as its secret may be another now. One that a person paused is
        not, nor a password that was refused before.
        """
        self._attempts.rules = rules
        before, self._account_states = self._account_states, {}
        self._pauses.account_states = self._account_states
        for name, channel in channels.items():
            old = before.pop(name, None)
            same = old is not None and old.channel.account == channel.account
            if old is None:
                self._account_states[name] = self._account_state(channel)
                self._account_states[name].pause = self._pauses.known(name)
                continue
            self._account_states[name] = (
                old if same else self._account_state(channel.with_ledger_of(old.channel))
            )
            pause = old.pause
            stays = same and channel.account.password_login
            if pause is not None and pause.reason != BY_HAND and not stays:
                pause = replace(pause, probe=self._clock.now())
            self._account_states[name].pause = pause
            before[name] = self._account_state(channel) if same else old  # the one that is not needed
        for account_state in before.values():
            self._tasks.start(self._close_when_done(account_state), "connections of an account that went")
        self._carriers.use(self._account_states)
        self.wake()

    def _account_state(self, channel: Channel) -> AccountState:
        name = channel.account.mailbox
        mailbox = self._mailboxes.get(name) or SharedMailbox()
        self._mailboxes[name] = mailbox
        return AccountState(channel, self._clock, mailbox)

    async def warn_late(self) -> int:
        """Tell senders of what waits for too long without an attempt; how many. Raises `StoreError`."""
        told = await warn_late(self._spool, self._attempts, self._account_states, self._clock, self._observer)
        if told:
            self.wake()
        return told

    async def pause(self, account: str, audit: AuditRecord | None = None) -> None:
        """Stop an account until `resume`. Raises `UsageError`, `StoreError`."""
        await self._pauses.by_hand(account, audit)

    async def resume(self, account: str, audit: AuditRecord | None = None) -> bool:
        """Let an account send again; False if it was not paused. Raises `UsageError`, `StoreError`."""
        resumed = await self._pauses.resume(account, audit)
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
        account_state = self._pauses.account_state(account)
        stop = self._attempts.judge(account_state).refusal(error)
        if stop is not None and account_state.pause is None:
            await self._pauses.stop(account_state, stop)

    # What is next ---------------------------------------------------------------------------

    async def _round(self) -> float:
        """Begin all that may begin; when there will be something to do by the clock alone."""
        await self._retire()
        while True:
            now = self._clock.now()
            await self._read(now)
            lanes = self._waiting.worth_a_look(now)
            if not lanes or not await self._claim(lanes):
                self._waiting.wait((lane.account, self._carriers.time_of(lane, now)) for lane in lanes)
                return self._waiting.next_time()

    async def _read(self, now: float) -> None:
        """Learn what waits, as far as that may have changed."""
        if self._clock.monotonic() >= self._read_all_at:
            self._read_all_at = self._clock.monotonic() + LOOK_AGAIN
            self._waiting.changed(None)
        unread = self._waiting.take_unread()
        if unread is not None and not unread:
            return
        try:
            self._waiting.read(unread, await self._spool.lanes(now, unread))
        except BaseException:
            self._waiting.changed(unread)
            raise

    async def _claim(self, lanes: Sequence[Lane]) -> bool:
        """Claim for every free slot; whether anything was claimed."""
        left, claimed_any = self._carriers.ready(lanes), False
        while not self._stopping:
            lane = self._rota.next(left)
            if lane is None:
                break
            now = self._clock.now()
            account_state = self._carriers.carrier(lane, now)
            if account_state is None:  # and so it is with most of its account's
                left = self._carriers.ready(left, lane.account)
                continue
            if not await account_state.connect():
                left = self._carriers.ready(left)
                continue
            shares = self._shares(lane, left, account_state, now)
            self._waiting.changed([each.key for each in shares])
            claimed = await self._spool.claim(shares, max(lane.due, now))
            claimed_any = claimed_any or bool(claimed)
            found = Counter(each.client for each in claimed)
            left = [each for each in left if found[each.client] >= shares.get(each, 0)]
            for each in claimed:
                self._rota.took(each, len(each.targets))
                await self._begin(each, account_state)
        return claimed_any

    def _shares(
        self, lane: Lane, left: Sequence[Lane], account_state: AccountState, now: float
    ) -> Mapping[Lane, int]:
        """How many to claim at once, from `lane` and those like it: they go into one commit."""
        most = 1 if account_state.paused else account_state.slots(now)
        if account_state.limited:
            most = min(most, account_state.budget.together)
        if most == 1 or lane.due > now:
            return {lane: most}
        return self._rota.shares(self._carriers.alike(lane, left, account_state, now), most)

    async def _begin(self, claimed: Claimed, account_state: AccountState) -> None:
        """Start an attempt."""
        charge = await self._charged(claimed, account_state)
        account_state.begin()
        self._attempt(self._work(claimed, account_state, account_state.pause, charge), claimed)

    def reserve(self, account: str, priority: Priority) -> AccountState | None:
        """A slot for what is being accepted, if nothing is before it (see `Starter`)."""
        account_state = self._account_states.get(account)
        if (
            account_state is None
            or account_state.paused
            or self._stopping
            or not self._at_rest
            or self._wake.is_set()
        ):
            return None
        if not account_state.connected or not account_state.free(priority, self._clock.now()):
            return None
        account_state.begin()
        self._reserved += 1
        return account_state

    def start(self, claimed: Claimed, account_state: AccountState) -> None:
        self._reserved -= 1
        self._attempt(self._work(claimed, account_state, None, None), claimed)
        self._changed.set()

    def give_back(self, account_state: AccountState) -> None:
        self._reserved -= 1
        account_state.end()
        self._look_at(account_state.account.name)

    async def _charged(self, claimed: Claimed, account_state: AccountState) -> Charge | AttemptResult:
        """Charge an attempt to the account that makes it; its end, if it is over already or may not begin."""
        try:
            ending = await self._attempts.ended_already(claimed, account_state)
            if ending is not None:
                return ending
            urgent = claimed.priority is Priority.URGENT
            charge = await account_state.budget.take(len(claimed.targets), urgent=urgent)
            if isinstance(charge, Charge):
                return charge
            return put_off(claimed, charge, "The account has sent all it may for now.")
        except StoreError as error:  # not counted is not sent
            self._observer.notice(Warned(account_state.account.name, str(error)))
            account_state.rest(0)
            return put_off(claimed, self._clock.now(), error.message)
        except Exception as error:  # any: the mail of other accounts is sent all the same
            self._observer.notice(
                defect(error, "worker", account=account_state.account.name, id=claimed.message.id)
            )
            account_state.rest(0)
            return put_off(claimed, self._clock.now(), "It met a defect in postbearer; the log knows more.")

    async def _work(
        self,
        claimed: Claimed,
        account_state: AccountState,
        probed: Pause | None,
        charge: Charge | AttemptResult | None,
    ) -> None:
        """One attempt, or its ending, if that is known already; `probed` is the pause it may end.

        Without a `charge` it is still to be charged for.
        """
        if charge is None:
            try:
                charge = await self._charged(claimed, account_state)
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                charge = put_off(claimed, self._clock.now(), NOT_BEGUN)
        began = self._clock.monotonic()
        took = 0.0
        try:
            ending = (
                charge
                if isinstance(charge, AttemptResult)
                else await self._attempts.run(claimed, account_state)
            )
            took = self._clock.monotonic() - began
            self._marking.add(asyncio.current_task())
            if isinstance(charge, Charge):
                await self._learn(account_state, ending, probed, charge)
        finally:
            account_state.end()
            self._look_at(account_state.account.name)  # the next may be claimed while this one is marked
        more = True
        try:
            more = await self._attempts.settle(claimed, account_state, ending, took)
        finally:
            self._last_end = self._clock.now()
            if more:  # it waits again, or a report about it does
                lane = claimed.account, claimed.priority, claimed.client
                self.wake((lane, (claimed.account, Priority.NORMAL, claimed.client)))
            if self._retire_at == math.inf or more:
                self._retire_at = min(self._retire_at, self._last_end + self._keep + 1.0)
                self._wake.set()

    async def _learn(
        self, account_state: AccountState, ending: AttemptResult, probed: Pause | None, charge: Charge
    ) -> None:
        """What the attempt means for its account."""
        try:
            await self._pauses.learn(account_state, ending, probed)
            if ending.unsent:
                await account_state.budget.give_back(charge)
        except StoreError as error:  # what is not written holds in memory, and the message has to be marked
            self._observer.notice(
                Warned(account_state.account.name, f"What an attempt means cannot be kept: {error}")
            )

    # Keeping house ------------------------------------------------------------------------

    def _attempt(self, work: Coroutine[None, None, None], claimed: Claimed) -> None:
        """Run an attempt. After a defect its lease stays: it is not sent again before a restart."""
        task = self._tasks.start(work, "attempt", id=claimed.message.id)
        task.add_done_callback(self._marking.discard)

    async def _close_when_done(self, account_state: AccountState) -> None:
        while account_state.busy:
            self._changed.clear()
            await self._changed.wait()
        await account_state.channel.transport.close()

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
        self._wake.set()
