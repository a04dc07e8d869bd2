"""Watching: what happened, what is and what will be, turned into notices; each once, and never a storm.

What is told hangs on states, not on events: a look compares what is with what was told, so a restart in
between neither loses a notice nor repeats one. Events only say that it is time for a look.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postbearer.alerts.alert import KINDS, Alert, messages
from postbearer.alerts.state import AlertState, Failures, Level, SentAlert
from postbearer.clock import Clock, event_or_time
from postbearer.errors import StoreError
from postbearer.events import (
    AccountPaused,
    AccountResumed,
    Backlog,
    DeliveryEnded,
    Event,
    Expiring,
    Observer,
    Warned,
)
from postbearer.forecast import DAY, Expiry
from postbearer.moments import moment
from postbearer.outcome import RecipientFate
from postbearer.store import BY_HAND, Pause, Spool, Waiting

LOOK = 60.0  # seconds between looks when nothing happens
LOOK_AGAIN = 5.0  # … while another node looks
AHEAD = 3600.0  # seconds between looks at what will run out
LONG = 900.0  # seconds after which also a pause is told that passes by itself
QUIET = 3600.0  # seconds: an account that stops and goes again is told of no more often, and so are failures
MOST_REASONS = 5  # of one pause
_FAILED = ("failed", "expired", "held")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPreferences:
    """What is told: topics, and how many seconds mail may wait before it is a backlog."""

    topics: Collection[str] = frozenset(KINDS.values())
    backlog_after: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSources:
    """Where a look goes. `cures` gives the commands for an account that paused for a reason."""

    spool: Spool
    accounts: Mapping[str, str]  # name → address
    foresee: Callable[[], Awaitable[Mapping[str, Sequence[Expiry]]]]
    cures: Callable[[str, str], Sequence[str]]


class AlertMonitor:
    """An observer that makes notices. `targets` names the ways they go; `posted` is called when some do."""

    def __init__(
        self,
        notebook: AlertState,
        sight: AlertSources,
        wishes: AlertPreferences,
        *,
        clock: Clock,
        observer: Observer,
        targets: Callable[[], list[str]],
        posted: Callable[[], None] = lambda: None,
    ) -> None:
        self._notebook = notebook
        self._sight = sight
        self._wishes = wishes
        self._clock = clock
        self._observer = observer
        self._targets = targets
        self._posted = posted
        self._wake = asyncio.Event()
        self._urgent: set[str] = set()  # accounts that paused for a reason that needs a person
        self._ahead_at = 0.0
        self._failed: list[tuple[float, DeliveryEnded, int, RecipientFate]] = []  # not noted yet

    def use(self, sight: AlertSources, wishes: AlertPreferences) -> None:
        """Go by another configuration, and look at once."""
        self._sight, self._wishes = sight, wishes
        self._ahead_at = 0.0
        self._wake.set()

    def hears(self, kind: type[Event]) -> bool:
        return kind in (AccountPaused, AccountResumed, DeliveryEnded)

    def notice(self, event: Event) -> None:
        match event:
            case AccountPaused():
                if event.person:
                    self._urgent.add(event.account)
                self._wake.set()
            case AccountResumed():
                self._wake.set()
            case DeliveryEnded():
                self._note_failures(event)
            case _:
                pass

    async def run(self) -> None:
        """Look whenever something happened, and every minute."""
        while True:
            self._wake.clear()
            looked = True
            try:
                async with self._notebook.alone() as looked:
                    if looked:
                        await self.look()
            except StoreError as error:
                self._observer.notice(Warned("", f"It cannot be watched over the accounts: {error}"))
            await event_or_time(self._wake, LOOK if looked else LOOK_AGAIN, self._clock)

    async def look(self) -> list[Alert]:
        """Look once, note what is new, and put it on its way; of several nodes one at a time.

        Raises `StoreError`.
        """
        self._take_up_failures()
        spool, now = self._sight.spool, self._clock.now()
        pauses = {each.account: each for each in await spool.pauses()}
        waiting = {each.account: each for each in await spool.waiting()}
        found = [
            *self._pauses(pauses, waiting, now),
            *await self._endings(now),
            *self._failures(waiting, now),
            *self._backlogs(pauses, waiting, now),
        ]
        wanted = [each for each in found if each.topic in self._wishes.topics]
        for each in wanted:
            self._notebook.post(each, self._targets())
        await self._notebook.save()
        if wanted:
            self._posted()
        return wanted

    # Accounts that pause --------------------------------------------------------------------

    def _pauses(
        self, pauses: Mapping[str, Pause], waiting: Mapping[str, Waiting], now: float
    ) -> Iterator[Alert]:
        told, news = self._notebook.notes.paused, dict[str, list[Pause]]()
        back: dict[str, SentAlert] = {}
        for name in [each for each in told if each not in self._sight.accounts]:
            del told[name]
        for name in self._sight.accounts:
            pause = pauses.get(name)
            if pause is None:
                self._urgent.discard(name)
                if name in told:
                    self._notebook.notes.resumed[name] = now
                    back[name] = told.pop(name)
            elif self._is_news(pause, now):
                news.setdefault(pause.reason, []).append(pause)
        if not all(
            entry.with_ for entry in back.values()
        ):  # else all were told with one that was told before
            yield self._resumed(back, waiting, now)
        for first, *others in news.values():  # what reaches an organisation pauses many, and is one notice
            for pause in (first, *others):
                entry = told.setdefault(pause.account, SentAlert(pause.since, []))
                entry.reasons.append(pause.reason)
                entry.with_ = "" if pause is first else first.account
            yield self._paused(first, [each.account for each in others], waiting, now)

    def _is_news(self, pause: Pause, now: float) -> bool:
        if pause.reason == BY_HAND:
            return False  # whoever did it knows
        told = self._notebook.notes.paused.get(pause.account)
        if told is not None:
            return pause.reason not in told.reasons and len(told.reasons) < MOST_REASONS
        lasts = now - pause.since >= LONG
        calm = now - self._notebook.notes.resumed.get(pause.account, 0.0) >= QUIET
        return calm and (lasts or pause.account in self._urgent or pause.probe is None)

    def _paused(
        self, pause: Pause, others: Sequence[str], waiting: Mapping[str, Waiting], now: float
    ) -> Alert:
        name = pause.account
        count = sum(_count(waiting, each) for each in (name, *others))
        cures = [self._sight.cures(each, pause.reason) for each in (name, *others)]
        commands = tuple(dict.fromkeys(line for lines in cures for line in lines))
        address, since = self._sight.accounts[name], moment(pause.since)
        sentences = [
            f"{name} ({address}) does not send since {since}: {pause.reason}",
            f"So do {', '.join(others)}, for the same reason." if others else "",
            f"{messages(count).capitalize()}; all of it leaves by itself once the account works.",
            f"It is tried again {moment(pause.probe)}." if pause.probe is not None else "",
            pause.remedy,  # last, as some end with a command, and that without a full stop
            "What helps:" if commands else "",
        ]
        return self._make(
            "account.paused",
            name,
            now,
            title=f"The account {name} is paused",
            text=" ".join(filter(None, sentences)),
            since=pause.since,
            waiting=count,
            others=tuple(others),
            cause=pause.reason,
            remedy=pause.remedy,
            commands=commands,
        )

    def _resumed(self, back: Mapping[str, SentAlert], waiting: Mapping[str, Waiting], now: float) -> Alert:
        """`back` are the accounts that send again; the notice is about the first that had one of its own."""
        name, *others = sorted(back, key=lambda each: bool(back[each].with_))
        count = sum(_count(waiting, each) for each in back)
        more = f" and {len(others)} more send" if others else " sends"
        since = [f"{each} since {moment(back[each].since)}" for each in others]
        sentences = [
            f"{name} was paused since {moment(back[name].since)}{''.join(f', {each}' for each in since)}.",
            f"What waited leaves now; {messages(count)} yet.",
        ]
        return self._make(
            "account.resumed",
            name,
            now,
            title=f"The account {name}{more} again",
            text=" ".join(sentences),
            since=back[name].since,
            waiting=count,
            others=tuple(others),
        )

    # What runs out --------------------------------------------------------------------------

    async def _endings(self, now: float) -> list[Alert]:
        if now < self._ahead_at:
            return []
        self._ahead_at = now + AHEAD
        found = await self._sight.foresee()
        told, made = self._notebook.notes.levels, []
        current = {f"{each.account} {each.what}": each for endings in found.values() for each in endings}
        for key in [each for each in told if each not in current]:
            del told[key]
        for key, ending in current.items():
            level, before = ending.level(now), told.get(key)
            if before is not None and ending.at > before.at + DAY / 2:  # it was renewed
                before = None
                del told[key]
            if level is not None and (before is None or level < before.days):
                told[key] = Level(ending.at, level)
                made.append(self._ending(ending, level, now))
        return made

    def _ending(self, ending: Expiry, level: int, now: float) -> Alert:
        self._observer.notice(
            Expiring(ending.account, what=ending.title, at=ending.at, level=level, remedy=ending.remedy)
        )
        ends = f"{ending.title} of {ending.account}"
        days = "a day" if level == 1 else f"{level} days"
        title = f"{ends} has ended" if level == 0 else f"{ends} ends within {days}"
        return self._make(
            "account.expired" if level == 0 else "account.expiring",
            ending.account,
            now,
            title=title[0].upper() + title[1:],
            text=f"{'It ended' if level == 0 else 'It ends'} {moment(ending.at)}. {ending.remedy}",
            remedy=ending.remedy,
            commands=(f"postbearer check {ending.account}",),
            level=level,
            what=ending.what,
            ends=ending.at,
        )

    # Mail that fails, and mail that waits -----------------------------------------------------

    def _note_failures(self, event: DeliveryEnded) -> None:
        bad = [fate for fate in event.fates if fate.status in _FAILED]
        if not bad or event.id in self._notebook.notes.letters:
            return
        now = self._clock.now()
        self._failed.append((now, event, len(bad), bad[-1]))
        told = self._notebook.notes.failures.get(event.account)
        if told is None or now - told.told >= QUIET:
            self._wake.set()

    def _take_up_failures(self) -> None:
        """Add what failed here to what is noted, which other nodes do too."""
        failed, self._failed = self._failed, []
        notes = self._notebook.notes
        for at, event, count, last in failed:
            if event.id in notes.letters:
                continue
            entry = notes.failures.setdefault(event.account, Failures())
            if not entry.count:
                entry.since = at
            entry.count += count
            said = last.reply or last.cause
            entry.example = f"{event.id} to {last.recipient} {last.status}: {said}"[:500]

    def _failures(self, waiting: Mapping[str, Waiting], now: float) -> Iterator[Alert]:
        for name, entry in self._notebook.notes.failures.items():
            if not entry.count or now - entry.told < QUIET:
                continue
            many = "1 recipient" if entry.count == 1 else f"{entry.count} recipients"
            yield self._make(
                "message.failed",
                name,
                now,
                title=f"Mail of {name} failed for {many}",
                text=f"Since {moment(entry.since)}; the last one was {entry.example}",
                since=entry.since,
                waiting=_count(waiting, name),
                cause=entry.example,
                commands=(f"postbearer queue show {entry.example.partition(' ')[0]}",),
                count=entry.count,
            )
            entry.count, entry.told = 0, now

    def _backlogs(
        self, pauses: Mapping[str, Pause], waiting: Mapping[str, Waiting], now: float
    ) -> Iterator[Alert]:
        told, after = self._notebook.notes.backlog, self._wishes.backlog_after
        for name in [each for each in told if not _waits(waiting, each, now, after / 2)]:
            del told[name]
        for name, found in waiting.items():
            if name in pauses or name in told or not _waits(waiting, name, now, after):
                continue
            told[name] = now
            self._observer.notice(Backlog(name, messages=found.messages, since=found.oldest))
            yield self._make(
                "account.backlog",
                name,
                now,
                title=f"Mail waits in {name}",
                text=f"{messages(found.messages).capitalize()}, the oldest since {moment(found.oldest)}.",
                since=found.oldest,
                waiting=found.messages,
                commands=(f"postbearer accounts show {name}", f"postbearer queue list --account {name}"),
            )

    def _make(self, kind: str, account: str, now: float, **known: Any) -> Alert:
        return Alert(id=f"msg_{secrets.token_hex(16)}", kind=kind, account=account, at=now, **known)


def _count(waiting: Mapping[str, Waiting], name: str) -> int:
    return waiting[name].messages if name in waiting else 0


def _waits(waiting: Mapping[str, Waiting], name: str, now: float, seconds: float) -> bool:
    return name in waiting and now - waiting[name].oldest >= seconds
