"""The outbox of a database, brought into the queue: with the rights of the role that handed a message over.

Whoever may call its functions may write anything there, so all of it is judged as what comes by a socket is.
What is refused for good is put aside for a person to look at; what is refused for now stays, and is tried
again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from itertools import islice

from msgspec import DecodeError, json

from postbearer.clock import Clock
from postbearer.engine import Intake
from postbearer.errors import StoreError, UsageError
from postbearer.events import Observer, Warned
from postbearer.reply import Reply
from postbearer.sending import draft_of
from postbearer.store import Outbox, OutboxRow
from postbearer.submission.access import Access
from postbearer.submission.enqueue import enqueue, plain
from postbearer.submission.rate_limit import RateLimit
from postbearer.submission.submit_protocol import parse_slip
from postbearer.tasks import defect
from postbearer.wire import compose

AT_ONCE = 100  # messages
BUSY = 10  # so many at once, and it is looked for more without being told
LOOK = 0.02  # seconds between such looks …
CALM = 1.0  # … which go on for so long
RETRY = 5.0  # seconds before what could not be taken is tried again
LATE_RETRY = 300.0  # … if a defect of ours was in the way
MOST_WAITING = 1000  # such messages that are remembered
MOST_TOLD = 20  # of refused messages, at once
KEPT = 14 * 86_400.0  # seconds that a refused message is kept
FORGETTING = 3600.0  # seconds between looks for older ones
BLOCK = 64 * 1024
_DEFECT = compose(451, "It met a defect in postbearer", enhanced="4.3.0")
_LATER = compose(450, "The client has had its messages of this minute", enhanced="4.7.1")


class OutboxCollector:
    """Brings in what is handed over; `run` does so again and again."""

    def __init__(
        self,
        outbox: Outbox,
        intake: Intake,
        access: Access,
        rate_limit: RateLimit,
        *,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._outbox = outbox
        self._intake = intake
        self._access = access
        self._rate_limit = rate_limit
        self._clock = clock
        self._observer = observer
        self._waiting: dict[str, float] = {}  # ids that are to be tried again, and when …
        self._full: dict[str, float] = {}  # … and roles
        self._awake = self._forget_at = -math.inf  # monotonic
        self._failed = False

    def use(self, access: Access) -> None:
        """Go by other clients from the next message on."""
        self._access = access

    async def run(self) -> None:
        """Bring in what is there, and what comes, until cancelled."""
        busy = self._clock.monotonic() + CALM  # an earlier run may have said that nobody need wake it
        while True:
            try:
                found = await self.collect()
                if found >= BUSY:
                    busy = self._clock.monotonic() + CALM
                    await self._stay_awake()
                if found < AT_ONCE and self._clock.monotonic() < busy:
                    await self._clock.sleep(LOOK)
                elif found < AT_ONCE:
                    while not await self._outbox.wait() and await self._outbox.is_empty():
                        await self._forget()
                self._failed = False
            except StoreError as error:
                if not self._failed:  # once, until it works again
                    self._observer.notice(Warned("", f"The outbox cannot be read: {error}"))
                self._failed = True
                await self._clock.sleep(CALM)

    async def _stay_awake(self) -> None:
        """Whoever reads of it commits soon after, mostly: we look for longer than we say."""
        now = self._clock.monotonic()
        if now >= self._awake:
            self._awake = now + CALM / 4
            await self._outbox.stay_awake(CALM / 2)

    async def _forget(self) -> None:
        now = self._clock.monotonic()
        if now >= self._forget_at:
            self._forget_at = now + FORGETTING
            await self._outbox.forget(KEPT)

    async def collect(self) -> int:
        """Bring in what is there now, up to a bound; how many rows that were. Raises `StoreError`."""
        now = self._clock.monotonic()
        self._waiting = {each: until for each, until in self._waiting.items() if until > now}
        self._full = {role: until for role, until in self._full.items() if until > now}
        async with self._outbox.taken(AT_ONCE, [*self._waiting], [*self._full]) as taken:
            answers = await asyncio.gather(*map(self._answer, taken.rows))
            for row, answer in zip(taken.rows, answers, strict=True):
                if not isinstance(answer, Reply):
                    taken.done.append(row.id)
                elif answer.permanent:
                    taken.refused[row.id] = str(answer)
                elif answer is _LATER:
                    self._full[row.role] = now + CALM
                elif len(self._waiting) < MOST_WAITING:
                    self._waiting[row.id] = now + (LATE_RETRY if answer is _DEFECT else RETRY)
        for identifier, why in islice(taken.refused.items(), MOST_TOLD):
            self._observer.notice(Warned("", f"The message {identifier} of the outbox is put aside: {why}"))
        if len(taken.refused) > MOST_TOLD:
            self._observer.notice(
                Warned("", f"{len(taken.refused) - MOST_TOLD} more messages of the outbox are put aside.")
            )
        return len(taken.rows)

    async def _answer(self, row: OutboxRow) -> str | Reply:
        """One message, whatever it is: the id it has in the queue, or why it is not there."""
        try:
            return await self._enter(row)
        except UsageError as error:
            return compose(554, plain(error.message), enhanced="5.6.0")
        except StoreError:
            raise
        except Exception as error:  # any: what one program wrote must not keep the mail of others waiting
            self._observer.notice(defect(error, "outbox", id=row.id))
            return _DEFECT

    async def _enter(self, row: OutboxRow) -> str | Reply:
        client = self._access.by_role(row.role)
        if client is None:
            return compose(550, f"No client has the database role {plain(row.role)}", enhanced="5.7.1")
        slip = parse_slip(row.request.encode())
        if not self._rate_limit.admit(client):
            return _LATER
        content = await asyncio.to_thread(_content, row, slip.from_, slip.to)
        blocks = _blocks(content)
        return await enqueue(self._intake, client, slip, len(content), blocks, id=row.id)


def _content(row: OutboxRow, sender: str, recipients: tuple[str, ...]) -> bytes:
    """The message with CRLF. Raises `UsageError`."""
    if row.parts is not None:
        try:
            parts = {name: each for name, each in json.decode(row.parts).items() if each is not None}
        except (DecodeError, AttributeError):
            raise UsageError("The parts of the message cannot be read.") from None
        return draft_of({**parts, "sender": sender, "to": list(recipients)}, sender).octets()
    content = row.content or b""
    if b"\r" not in content:
        content = content.replace(b"\n", b"\r\n")
    return content if content.endswith(b"\r\n") else content + b"\r\n"


async def _blocks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), BLOCK):
        yield content[start : start + BLOCK]
