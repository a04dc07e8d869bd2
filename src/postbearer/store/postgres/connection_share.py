"""The connections of mailboxes, shared out in the database among all relays and mailers.

Opening one is seldom: it locks the mailbox's row and writes how many its process holds. For how long that
holds is said once for all of a process, in its own row, which is renewed; a message costs nothing. A process
that finds its time over closes what it has, as others may have been given it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.state import PATIENCE, Claimant, allotted
from postbearer.store.lease import HEARTBEAT, LEASE
from postbearer.store.postgres.ledger import SQL as ACCOUNTS
from postbearer.store.postgres.numbers import RenewalClock
from postbearer.store.postgres.transaction_runner import TransactionRunner
from postbearer.store.queries import queries

SQL = queries("connections", "postgres")

LOOK = 1.0  # seconds between looks who waits
REVIEW = 10.0  # seconds after which it is decided anew whose turn it is
LONGEST_PAUSE = 15.0  # seconds until who was given none asks again


class _Held(NamedTuple):
    holder: str
    most: int
    target: int  # the rest is to go to others


class PostgresShares:
    """What this process holds, of all mailboxes; with the name of its `node`, if others send the same mail.

    With `own_clock` the database's shows what `clock` does, in tests.
    """

    def __init__(
        self, runner: TransactionRunner, clock: Clock, *, node: str = "", own_clock: bool = False
    ) -> None:
        self.runner = runner
        self.clock = clock
        self.wanted: Mapping[str, bool] = {}  # mailboxes that others wait for; True: with mail of their own
        self.node = node
        self._own_clock = own_clock
        self._renewal = RenewalClock(clock)
        self._entered = False  # the database knows its name
        self._looked = float("-inf")
        self._numbers = 0
        self._begin()

    def _begin(self) -> None:
        self._renewal.renewed(None)
        self._entered = False
        self._process = os.getpid()
        self._name = secrets.token_hex(8)

    @property
    def holder(self) -> str:
        """Its name; empty while nothing that it holds is certain."""
        certain = self._renewal.passed < LEASE and self._process == os.getpid()
        return self._name if certain else ""

    def share(self, mailbox: str, most: int) -> PostgresShare:
        self._numbers += 1
        return PostgresShare(self, mailbox, most, self._numbers)

    def time(self, time: float) -> float:
        return self.clock.now() if self._own_clock else time

    def moment(self) -> tuple[float, float]:
        return self._renewal.moment()

    async def hold(self, connection: Any, time: float) -> str:
        """Renew, within a transaction, or begin anew; the name under which it holds then."""
        if not self.holder and (self._entered or self._process != os.getpid()):
            self._begin()
        for _ in range(2):
            row = (self._name, self.node, time + LEASE, time)
            found = await connection.fetchval(SQL["hold"], *row)
            if found is not None and not (found and self._entered):
                return self._name
            self._begin()
        raise StoreError("The clock of the database does not go on.")

    def held(self, holder: str, moment: tuple[float, float]) -> None:
        """It is committed."""
        if holder == self._name:
            self._entered = True
            self._renewal.renewed(moment)

    async def look(self) -> None:
        """See who waits, and renew if that is due; once a second, whoever of the process asks."""
        now = self.clock.monotonic()
        if now - self._looked < LOOK or not self.holder:
            return
        self._looked = now
        due, moment = self._renewal.passed >= HEARTBEAT, self.moment()

        async def look(connection: Any, time: float) -> tuple[str, Mapping[str, bool]]:
            time = self.time(time)
            holder = self._name
            if due:
                holder = await self.hold(connection, time)
                await connection.execute(SQL["drop-ended"], time)
            found = await connection.fetch(SQL["wanted"], holder, time - PATIENCE, time)
            return holder, {row["mailbox"]: row["alone"] for row in found}

        holder, self.wanted = await self.runner.run(look, writes=due)
        if due:
            self.held(holder, moment)


class PostgresShare:
    """A `ConnectionShare`, for one event loop at a time."""

    def __init__(self, shares: PostgresShares, mailbox: str, most: int, number: int) -> None:
        self._shares = shares
        self._mailbox = mailbox
        self._most = most
        self._number = number
        self._given = _Held("", 0, 0)  # by the database
        self._used = 0
        self._surplus = False  # at the last look
        self._unsure = False  # whether the database thinks the same
        self._pause = 0.0
        self._ask_at = self._review_at = float("-inf")  # monotonic
        self._alone = asyncio.Lock()
        self._changed: Callable[[], None] = lambda: None

    @property
    def held(self) -> int:
        return self._given.most if self._given.holder and self._given.holder == self._shares.holder else 0

    @property
    def over(self) -> int:
        return max(0, self._used - min(self._given.target, self.held))

    @property
    def may_ask(self) -> float:
        return max(0.0, self._ask_at - self._shares.clock.monotonic())

    def take(self) -> bool:
        if self._used >= self.held:
            return False
        self._used += 1
        return True

    def free(self) -> None:
        self._used = max(0, self._used - 1)

    def forget(self) -> None:
        self._unsure = self._unsure or self._used > 0 or self._given.most > 0
        self._used = 0
        self._given = _Held("", 0, 0)
        self._alone = asyncio.Lock()

    def watch(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    async def ask(self, wanted: int) -> None:
        if wanted <= 0 and not self._given.most and not self._unsure:
            return
        async with self._alone:
            await self._ask(max(0, min(wanted, self._most)))
        if self.held:
            self._changed()

    async def look(self, wanted: int) -> None:
        await self._shares.look()
        wanted = min(wanted, self._most)
        now = self._shares.clock.monotonic()
        surplus = self.held > max(wanted, self._used)
        crowded = self._shares.wanted.get(self._mailbox)
        review = crowded is not None and (now >= self._review_at or self.held > self._used)
        more = wanted > self.held and not self.may_ask
        if self._unsure or review or more or (surplus and self._surplus):
            await self.ask(wanted)
            self._review_at = now + (LOOK if crowded else REVIEW)
        self._surplus = surplus

    async def _ask(self, wanted: int) -> None:
        before, shares, moment = self._given, self._shares, self._shares.moment()
        # What goes back is gone here before it is gone there.
        keep = max(self._used, min(self.held, wanted, before.target)) if self.held else 0
        self._given = before._replace(most=min(keep, before.most))
        self._unsure = True

        async def ask(connection: Any, time: float) -> _Held:
            time = shares.time(time)
            await connection.execute(ACCOUNTS["make-budget"], self._mailbox)
            await connection.execute(SQL["lock"], self._mailbox)
            holder = await shares.hold(connection, time)
            held = keep if holder == before.holder else 0
            return await self._decide(connection, time, holder, held, wanted)

        self._given = await shares.runner.run(ask)
        shares.held(self._given.holder, moment)
        self._unsure = False
        refused = self._given.most < wanted
        self._pause = min(max(1.0, 2 * self._pause), LONGEST_PAUSE) if refused else 0.0
        self._ask_at = shares.clock.monotonic() + self._pause

    async def _decide(self, connection: Any, time: float, holder: str, held: int, wanted: int) -> _Held:
        """How many of the mailbox's are for us, written down; its row is locked."""
        rows = await connection.fetch(SQL["claimants"], self._mailbox, time - PATIENCE, time)
        us = (holder, self._number)
        others = [row for row in rows if (row["holder"], row["number"]) != us]
        ours = [row for row in rows if row not in others]
        same = ours and (ours[0]["held"] > 0) == (held > 0) and (held > 0 or ours[0]["wanted"] > 0)
        since = ours[0]["since"] if same else time
        claimants = {
            (row["holder"], row["number"]): Claimant(
                held=row["held"], wanted=row["wanted"], since=row["since"], alone=row["alone"]
            )
            for row in others
        }
        claimants[us] = Claimant(held=held, wanted=wanted, since=since, alone=not self._shares.node)
        order = sorted(claimants)  # all see the same one
        targets = allotted([claimants[each] for each in order], self._most, time)
        target = targets[order.index(us)]
        free = self._most - held - sum(row["held"] for row in others)
        count = held + max(0, min(free, target - held))
        if (count > 0) != (held > 0):
            since = time
        place = (self._mailbox, holder, self._number)
        if count or wanted:
            await connection.execute(SQL["keep"], *place, count, wanted, since, time)
        else:
            await connection.execute(SQL["drop"], *place)
        return _Held(holder, count, target)
