"""Telling: every notice goes every way it has to, again and again until it arrived or it is old news."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from postbearer.alerts.channels import AlertChannel, AlertFailed
from postbearer.alerts.state import AlertState, PendingAlert, Post
from postbearer.clock import Clock
from postbearer.errors import PostbearerError
from postbearer.events import Observer, Warned

WAITS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0)  # seconds; the last one again and again
GIVE_UP = 3 * 86_400.0  # seconds


class AlertDispatcher:
    """Sends what stands in the outbox of `notebook` by `channels`, which are named as its targets are."""

    def __init__(
        self, notebook: AlertState, channels: Mapping[str, AlertChannel], clock: Clock, observer: Observer
    ) -> None:
        self._notebook = notebook
        self._channels = channels
        self._clock = clock
        self._observer = observer
        self._closed: set[str] = set()  # channels that answered 410
        self._complained: set[str] = set()  # channels that do not work, which was said
        self._ending = False
        self._round = asyncio.Lock()

    @property
    def targets(self) -> list[str]:
        """Where a notice goes."""
        return [name for name in self._channels if name not in self._closed]

    @property
    def names(self) -> dict[str, str]:
        """What to call each way."""
        return {to: channel.name for to, channel in self._channels.items()}

    def use(self, channels: Mapping[str, AlertChannel]) -> None:
        """Go by another configuration."""
        self._channels = channels
        self._closed.clear()
        self._complained.clear()

    async def deliver(self) -> float:
        """Send what is due; when there will be something again (Unix seconds). Raises `StoreError`."""
        async with self._round, self._notebook.alone() as ours:
            if not ours:  # another node tells right now
                return self._clock.now() + WAITS[0]
            self._drop_what_has_no_way()
            # Another configuration may come into use while one of them waits for its receiver.
            await asyncio.gather(*(self._by(name, channel) for name, channel in self._channels.items()))
            await self._tidy()
        return min((target.due for _, target in self._waiting()), default=math.inf)

    async def finish(self) -> None:
        """Begin nothing more. What is on its way arrives and is noted, or it would be told a second time."""
        self._ending = True
        async with self._round:
            pass

    async def _by(self, name: str, channel: AlertChannel) -> None:
        """All that is due on one way, in its order. One that fails lets the others wait as well."""
        for post, target in [each for each in self._waiting() if each[1].to == name]:
            if self._ending or self._channels.get(name) is not channel:
                return
            if target.due > self._clock.now():
                return
            error = await self._send(channel, post)
            if error is None:
                post.targets.remove(target)
                self._complained.discard(name)
                self._notebook.ended(post.notice, channel.name, self._clock.now())
            elif self._failed(channel, post, target, error):
                return
            await self._tidy()

    @staticmethod
    async def _send(channel: AlertChannel, post: Post) -> PostbearerError | None:
        """Why it did not arrive; None: it did."""
        try:
            await channel.send(post.notice)
        except PostbearerError as error:
            return error
        except Exception as error:  # a defect of one way must not silence the others
            return AlertFailed(f"{channel.name} met a defect: {error!r}")
        return None

    def _failed(
        self, channel: AlertChannel, post: Post, target: PendingAlert, error: PostbearerError
    ) -> bool:
        """Whether it is tried again later, and all others on this way with it."""
        now, notice = self._clock.now(), post.notice
        gone = isinstance(error, AlertFailed) and error.gone
        if gone or now - target.since >= GIVE_UP:
            why = "it is not called any more" if gone else "it was tried for three days"
            text = f"{channel.name} did not get {notice.title!r}, and {why}: {error}"
            self._observer.notice(Warned(notice.account, text))
            post.targets.remove(target)
            self._notebook.ended(notice, channel.name, now, f"{why}: {error}")
            if gone:
                self._closed.add(target.to)
            return gone
        asked = error.retry_after if isinstance(error, AlertFailed) else None
        wait = max(WAITS[min(target.tries, len(WAITS) - 1)], asked or 0.0)
        target.tries += 1
        for _, each in self._waiting():
            if each.to == target.to:
                each.due = max(each.due, now + wait)
        if target.to not in self._complained:  # once, until it works again
            self._complained.add(target.to)
            self._observer.notice(Warned(notice.account, f"{notice.title!r} could not be told yet: {error}"))
        return True

    def _drop_what_has_no_way(self) -> None:
        for post in self._notebook.notes.outbox:
            post.targets = [each for each in post.targets if each.to in self.targets]

    async def _tidy(self) -> None:
        notes = self._notebook.notes
        notes.outbox = [post for post in notes.outbox if post.targets]
        await self._notebook.save()

    def _waiting(self) -> list[tuple[Post, PendingAlert]]:
        return [(post, target) for post in self._notebook.notes.outbox for target in post.targets]
