"""Two nodes on one queue, stopped, late and started again: no lease has two owners, and none is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from postbearer.errors import LeaseLost
from postbearer.store import HEARTBEAT, LEASE, Claimed, Entry, MemorySpool, Query, Settlement, Spool, Status
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.spooling import START, accept, beside, claim, ending, postgresql, sqlite

NAMES = ("a", "b")
STANDING_STILL = 4  # processes that were replaced, and may go on

names = some.sampled_from(NAMES)
index = some.integers(0, 50)
ends = some.sampled_from([Status.DELIVERED, Status.FAILED, Status.DEFERRED])


@dataclass
class Work:
    """A delivery as it was claimed, and whose it is by the rules, apart from what the store thinks."""

    claimed: Claimed
    node: str


class TwoNodes(RuleBasedStateMachine):
    """The model: the leases of a node hold for `LEASE` seconds after its last heartbeat; a claim can be one.

    The first other node to look after that has them, and so has a new run of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._clock = ManualClock(START)
        self._spools: dict[str, Spool] = {}
        self._renewed = dict.fromkeys(NAMES, 0.0)
        self._old: list[Spool] = []
        self._work: list[Work] = []  # leased
        self._over: list[Work] = []  # leases that others have taken, or that were finished
        self._ended: dict[str, Status] = {}
        self._count = 0
        self._spools["a"] = self._make(Path(self._folder.name))
        self._run(self._spools["a"].open())
        self._spools["b"] = beside(self._spools["a"], "b", self._clock)
        self._run(self._spools["b"].open())
        self._renewed = dict.fromkeys(NAMES, self._clock.now())

    def _make(self, folder: Path) -> Spool:
        raise NotImplementedError

    def teardown(self) -> None:
        for each in (*self._old, *self._spools.values()):
            self._run(each.close())
        self._runner.close()
        self._folder.cleanup()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def _listed(self) -> Sequence[Entry]:
        """Without their attempts: one question."""
        return self._run(self._spools["a"].search(Query()))  # type: ignore[no-any-return]

    def _entries(self) -> Sequence[Entry]:
        async def whole() -> list[Entry]:
            spool = self._spools["a"]
            found = [await spool.show(each.message.id) for each in await spool.search(Query())]
            return [each for each in found if each is not None]

        return self._run(whole())  # type: ignore[no-any-return]

    def _is_over(self, work: Work) -> bool:
        return self._clock.now() - self._renewed[work.node] >= LEASE

    def _lost(self, taken: Sequence[Work]) -> list[str]:
        """They are not their nodes' any more."""
        self._over += taken
        self._work = [each for each in self._work if each not in taken]
        return sorted(each.claimed.message.id for each in taken)

    # What happens -------------------------------------------------------------------------

    @rule()
    def accept(self) -> None:
        self._count += 1
        self._clock.advance(0.001)
        self._run(accept(self._spools["a"], f"m{self._count}", due=self._clock.now()))

    @rule(name=names, most=some.integers(1, 3))
    def claim(self, name: str, most: int) -> None:
        found = self._run(claim(self._spools[name], self._clock.now(), most))
        if self._clock.now() - self._renewed[name] >= HEARTBEAT:
            self._renewed[name] = self._clock.now()
        taken = {each.claimed.delivery for each in self._work}
        for each in found:
            assert each.delivery not in taken, "it is leased"
            self._work.append(Work(each, name))

    @rule(name=names)
    def heartbeat(self, name: str) -> None:
        self._renewed[name] = self._clock.now()
        over = [each for each in self._work if each.node != name and self._is_over(each)]
        found = self._run(self._spools[name].heartbeat())
        self._run(self._spools[name].told())
        assert sorted(found) == self._lost(over)

    @rule(name=names)
    def start_again(self, name: str) -> None:
        """It was killed: what it had is its new run's, as is what is over."""
        over = [each for each in self._work if each.node == name or self._is_over(each)]
        self._old.append(self._spools[name])
        while len(self._old) > STANDING_STILL:
            self._run(self._old.pop(0).close())  # each has connections of its own
        self._spools[name] = beside(self._spools[name], name, self._clock)
        found = self._run(self._spools[name].open())
        self._run(self._spools[name].told())
        assert sorted(found.doubtful) == self._lost(over)
        self._renewed[name] = self._clock.now()

    @rule(seconds=some.sampled_from([1.0, 40.0, LEASE, 10 * LEASE]))
    def time_passes(self, seconds: float) -> None:
        self._clock.advance(seconds)

    @precondition(lambda self: self._work)
    @rule(which=index, end=ends)
    def settle(self, which: int, end: Status) -> None:
        """Also when its lease is over, as long as nobody else has it."""
        work = self._work[which % len(self._work)]
        self._run(self._spools[work.node].settle(work.claimed, self._ending(work.claimed, end)))
        self._lost([work])

    @precondition(lambda self: self._over)
    @rule(which=index, end=ends, by=names)
    def settle_late(self, which: int, end: Status, by: str) -> None:
        """Whoever comes with a lease that is not its own any more changes nothing."""
        work, before = self._over[which % len(self._over)], self._entries()
        with pytest.raises(LeaseLost):
            self._run(self._spools[by].settle(work.claimed, self._ending(work.claimed, end)))
        assert self._entries() == before

    def _ending(self, claimed: Claimed, end: Status) -> Settlement:
        now = self._clock.now()
        return ending(claimed, end, at=now, due=now)

    # What holds ---------------------------------------------------------------------------

    @invariant()
    def whose_lease_holds_for_certain_has_it(self) -> None:
        for each in self._work:
            assert self._spools[each.node].holds(each.claimed) is not self._is_over(each)

    @invariant()
    def what_is_leased_is_worked_on_and_nothing_is_gone_or_ends_twice(self) -> None:
        entries = self._listed()
        leased = [entry.message.id for entry in entries if entry.rows[0].status is Status.LEASED]
        assert sorted(leased) == sorted(each.claimed.message.id for each in self._work)
        assert len(entries) == self._count
        for entry in entries:
            status = entry.rows[0].status
            assert self._ended.get(entry.message.id, status) is status
            if status.final:
                self._ended[entry.message.id] = status


class InMemory(TwoNodes):
    def _make(self, folder: Path) -> Spool:
        return MemorySpool(self._clock, node="a")


class InAFile(TwoNodes):
    def _make(self, folder: Path) -> Spool:
        return sqlite(folder, self._clock, node="a")


class InADatabase(TwoNodes):
    database: ClassVar[Postgresql]

    def _make(self, folder: Path) -> Spool:
        self._schema = self.database.schema()
        return postgresql(self._schema.__enter__(), self._clock, node="a")

    def teardown(self) -> None:
        super().teardown()
        self._schema.__exit__(None, None, None)


@pytest.mark.once
@pytest.mark.parametrize("machine", [InMemory, InAFile, pytest.param(InADatabase, marks=pytest.mark.servers)])
def test_two_nodes_never_have_the_same(
    machine: type[TwoNodes], long: bool, request: pytest.FixtureRequest
) -> None:
    if issubclass(machine, InADatabase):
        machine.database = request.getfixturevalue("database")
    few = 30 if machine is InMemory else 6
    much = settings(
        max_examples=300 if long else few,
        stateful_step_count=60 if long else 40,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=much)
