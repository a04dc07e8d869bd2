"""What a mailbox was charged with, by all nodes: counted in the database, and mirrored here.

A charge locks the mailbox's row, reads what others were charged with since the last look, and adds one row.
So it costs the same however many charges there are, and no two nodes ever decide at once.

Not synced, so that no message waits for the disk twice. A database that crashes may lose the last moment of
it; every node that charged, or looked, since then still knows that, and puts back what is missing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from postbearer.clock import Clock
from postbearer.state import KEEP, Charge, ChargeHistory, Charges, Decide, Turns, next_turn
from postbearer.store.postgres.transaction_runner import TransactionRunner
from postbearer.store.queries import queries

T = TypeVar("T")

SQL = queries("accounts", "postgres")
SPARE = 4096  # charges after which old ones are removed
MAY_COME_BACK = 10_000  # charges of ours that are known by their numbers
MAY_BE_LOST = 1000  # the last rows, of which a crash of the database may lose some


class _Row(NamedTuple):
    number: int
    at: float
    recipients: int
    undoes: int


class Mirror:
    """The charges of one mailbox, as far as they were read. Times are on the database's clock."""

    def __init__(self) -> None:
        self.charges = Charges()
        self.last = 0
        self.losses = 0  # how often the database lost some: numbers from before say nothing afterwards
        self._known: dict[int, Charge] = {}
        self._latest: deque[_Row] = deque(maxlen=MAY_BE_LOST)

    async def renew(self, connection: Any, mailbox: str, now: float) -> Any:
        """Lock the mailbox, and read what is new; its turns."""
        await connection.execute(SQL["make-budget"], mailbox)
        newest = self._latest[-1] if self._latest else None
        row = await connection.fetchrow(SQL["lock-budget"], mailbox, newest.number if newest else 0)
        if newest is not None and row["made"] != newest.at > now - KEEP:
            await self._put_back(connection, mailbox, row, now)
        elif row["last"] != self.last:
            oldest = now - KEEP if self.last == 0 else float("-inf")
            for new in await connection.fetch(SQL["charges"], mailbox, self.last, oldest):
                self.take(*new)
            self.last = max(self.last, row["last"])
        self.charges.settle(now)
        return row["turns"]

    async def _put_back(self, connection: Any, mailbox: str, budget: Any, now: float) -> None:
        """Read all anew, and charge again what the database has lost, unless another node did."""
        known = tuple(self._latest)
        self.charges, self.last, self.losses = Charges(), 0, self.losses + 1
        self._known.clear()
        self._latest.clear()
        there = set()
        for row in await connection.fetch(SQL["charges"], mailbox, 0, now - KEEP):
            self.take(*row)
            there.add(row["at"])
        self.last = max(self.last, budget["last"])
        undone = {each.undoes for each in known}
        for each in known:
            if each.at not in there and not each.undoes and each.number not in undone:
                again = each._replace(number=self.last + 1)
                await connection.execute(SQL["add-charge"], mailbox, *again, budget["turns"])
                self.take(*again)  # were that rolled back, it would be missed, and put back, the next time

    def take(self, number: int, at: float, recipients: int, undoes: int) -> None:
        """Add what is committed, once."""
        if number <= self.last:
            return
        self._latest.append(_Row(number, at, recipients, undoes))
        if undoes:
            charge = self._known.pop(undoes, None)
            if charge is not None:
                self.charges.remove(charge)
        else:
            charge = Charge(max(at, self.charges.at(-1)) if len(self.charges) else at, recipients)
            self._known[number] = charge
            self.charges.add(charge)
        self.last = number

    def forget(self, now: float) -> None:
        """What does not matter any more, now and again."""
        before = len(self.charges)
        self.charges.forget(now, SPARE)
        if len(self.charges) < before:
            self._known = {number: charge for number, charge in self._known.items() if charge.at > now - KEEP}


class _Shifted:
    """The past as a clock shows it that is `ahead` of the database's by so much."""

    def __init__(self, past: Charges, ahead: float) -> None:
        self._past = past
        self._ahead = ahead

    def __len__(self) -> int:
        return len(self._past)

    def at(self, index: int) -> float:
        return self._past.at(index) + self._ahead

    def total(self, index: int) -> int:
        return self._past.total(index)

    def since(self, when: float) -> int:
        return self._past.since(when - self._ahead)


class PostgresLedger:
    """A `Ledger`. With `own_clock` the database's is taken to show what `clock` does, in tests."""

    def __init__(
        self, runner: TransactionRunner, mailbox: str, clock: Clock, *, own_clock: bool = False
    ) -> None:
        self._runner = runner
        self._mailbox = mailbox
        self._clock = clock
        self._own_clock = own_clock
        self._mirror = Mirror()
        self._ours: OrderedDict[Charge, list[tuple[int, int]]] = OrderedDict()  # number, and losses before

    async def charge(self, recipients: int, decide: Decide, who: int = 0) -> Charge | float:
        mirror, mailbox, row = self._mirror, self._mailbox, None

        async def charge(connection: Any, time: float) -> Charge | float:
            nonlocal row
            row = None
            now, time = self._times(time)
            kept = await mirror.renew(connection, mailbox, time)
            turns = Turns.parse(kept) if kept else Turns()
            slot = next_turn(turns, who, decide(_Shifted(mirror.charges, now - time), now), now)
            if slot > now:
                await connection.execute(SQL["keep-turns"], mailbox, turns.render())
                return slot
            keeps = turns.take(who, now)
            row = (mirror.last + 1, time, recipients, 0)
            await connection.execute(SQL["add-charge"], mailbox, *row, turns.render() if keeps else kept)
            if row[0] % SPARE == 0:
                await connection.execute(SQL["forget-charges"], mailbox, time - KEEP)
            return Charge(now, recipients)

        def committed(made: Charge | float) -> None:
            if row is not None and isinstance(made, Charge):
                mirror.take(*row)
                mirror.forget(row[1])
                self._remember(made, row[0])

        return await self._runner.run(charge, synced=False, then=committed)

    def _remember(self, made: Charge, number: int) -> None:
        self._ours.setdefault(made, []).append((number, self._mirror.losses))
        if len(self._ours) > MAY_COME_BACK:
            self._ours.popitem(last=False)

    async def give_back(self, charge: Charge) -> None:
        mirror, numbers, row = self._mirror, self._ours.get(charge), None
        if not numbers:
            return
        undone, losses = numbers.pop()
        if not numbers:
            del self._ours[charge]

        async def give_back(connection: Any, time: float) -> None:
            nonlocal row
            row = None
            _, time = self._times(time)
            turns = await mirror.renew(connection, self._mailbox, time)
            if mirror.losses != losses:
                return
            row = (mirror.last + 1, time, charge.recipients, undone)
            await connection.execute(SQL["add-charge"], self._mailbox, *row, turns)

        def committed(_: None) -> None:
            if row is not None:
                mirror.take(*row)

        await self._runner.run(give_back, synced=False, then=committed)

    async def look(self, read: Callable[[ChargeHistory, float], T]) -> T:
        async def look(connection: Any, time: float) -> T:
            now, time = self._times(time)
            await self._mirror.renew(connection, self._mailbox, time)
            return read(_Shifted(self._mirror.charges, now - time), now)

        return await self._runner.run(look, synced=False)

    def _times(self, time: float) -> tuple[float, float]:
        """The time here, and there."""
        now = self._clock.now()
        return now, now if self._own_clock else time
