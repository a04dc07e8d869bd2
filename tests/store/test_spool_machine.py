"""Whatever happens, in whatever order: a spool tells what lists in memory tell, and nothing goes back."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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

from postbearer.errors import AlreadyAccepted, KeyReused, LeaseLost, StoreError
from postbearer.outcome import RecipientFate
from postbearer.store import (
    Claimed,
    Entry,
    IdempotencyKey,
    Lane,
    MemorySpool,
    NewDelivery,
    Pause,
    Priority,
    Query,
    Report,
    Settlement,
    Spool,
    SqliteSpool,
    Status,
    Waiting,
)
from postbearer.store.lease import INTERRUPTED
from postbearer.store.postgres import tally, upkeep
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.spooling import START, TEXT, in_one_commit, message, postgresql, sqlite

PEOPLE = ("a@example.org", "B@Example.org", "jürgen@example.org")
LONG = b"x" * 300_000  # in two chunks, one of which is staged
ENDS = (Status.DEFERRED, Status.DEFERRED, Status.HELD, Status.DELIVERED, Status.FAILED, Status.EXPIRED)

accounts = some.sampled_from(["work", "alerts"])
clients = some.sampled_from(["app", "shop"])
priorities = some.sampled_from([Priority.URGENT, Priority.NORMAL])
seconds = some.sampled_from([0.0, 1.0, 60.0])
index = some.integers(0, 50)


@dataclass(frozen=True)
class Plan:
    """One delivery of a message to come."""

    account: str
    people: int
    priority: Priority
    client: str
    wait: float
    at_once: bool


@dataclass(frozen=True)
class Work:
    """One delivery, as each of the two has leased it."""

    file: Claimed
    lists: Claimed


plans = some.builds(
    Plan,
    account=accounts,
    people=some.integers(1, len(PEOPLE)),
    priority=priorities,
    client=clients,
    wait=seconds,
    at_once=some.booleans(),
)


class TwoSpools(RuleBasedStateMachine):
    """The same is done to a spool in a file, or in a database, and to one in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._clock = ManualClock(START)
        self._file = self._make(Path(self._folder.name))
        self._lists = MemorySpool(self._clock)
        self._contents: dict[str, bytes] = {}  # of what was accepted and is not retired
        self._leased: list[Work] = []
        self._over: list[Work] = []  # leases that are no more
        self._keys: list[str] = []
        self._ends: dict[tuple[str, int], Status] = {}  # of recipients
        self._count = 0
        self._run(self._file.open())

    def _make(self, folder: Path) -> SqliteSpool | PostgresSpool:
        return sqlite(folder, self._clock)

    def teardown(self) -> None:
        self._run(self._file.close())
        self._runner.close()
        self._folder.cleanup()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def _both(self, do: Any, *arguments: Any) -> tuple[Any, Any]:
        """What `do` gives with each."""
        return self._run(do(self._file, *arguments)), self._run(do(self._lists, *arguments))

    def _same(self, do: Any, *arguments: Any) -> Any:
        file, lists = self._both(do, *arguments)
        assert file == lists
        return file

    # What programs do ---------------------------------------------------------------------

    @rule(each=some.lists(plans, min_size=1, max_size=2), long=some.booleans(), key=some.booleans())
    def accept(self, each: list[Plan], long: bool, key: bool) -> None:
        name = self._new(long=long)
        if key:
            self._keys.append(name)
        self._take(*self._both(self._accepting, name, each, key))

    @rule(each=plans, late=some.booleans())
    def accept_and_go_away(self, each: Plan, late: bool) -> None:
        """It is there all the same, and waits."""
        name = self._new()
        self._run(self._left_alone(self._accepting(self._file, name, [each]), late=late))
        for claimed in self._run(self._accepting(self._lists, name, [each])):
            self._run(self._lists.settle(claimed, self._untouched()))

    @precondition(lambda self: self._contents)
    @rule(which=index)
    def accept_the_same_again(self, which: int) -> None:
        name = self._name(which)
        assert self._same(_refusal, lambda spool: self._accepting(spool, name, [], fresh=True)) is StoreError

    @precondition(lambda self: self._keys)
    @rule(which=index, digest=some.sampled_from(["same", "other"]))
    def submit_again_under_its_key(self, which: int, digest: str) -> None:
        """Also when it is gone already."""
        key = IdempotencyKey(client="app", key=self._keys[which % len(self._keys)], digest=digest)

        async def again(spool: Spool) -> object:
            content = spool.stage("again")
            made = message("again", content)
            return await spool.accept(made, content, [], key=key)

        refused = AlreadyAccepted if digest == "same" else KeyReused
        assert self._same(_refusal, again) is refused

    # What the worker does -----------------------------------------------------------------

    @rule(which=index, most=some.integers(1, 3))
    def claim(self, which: int, most: int) -> None:
        self._take(*self._both(_claim, self._lane(which), most, self._clock.now()))

    @rule(which=index, late=some.booleans())
    def claim_and_go_away(self, which: int, late: bool) -> None:
        """Nobody holds what nobody waited for."""
        lane, now = self._lane(which), self._clock.now()
        self._run(self._left_alone(_claim(self._file, lane, 2, now), late=late))
        for claimed in self._run(self._lists.claim({lane: 2}, now)):
            self._run(self._lists.settle(claimed, self._untouched()))

    @precondition(lambda self: self._leased)
    @rule(
        which=index,
        ends=some.lists(some.sampled_from(ENDS), min_size=len(PEOPLE), max_size=len(PEOPLE)),
        said=some.sampled_from(["", "250 2.0.0 taken", "450 4.0.0 later"]),
        unknown=some.booleans(),
        counted=some.booleans(),
        moved=some.sampled_from(["", "", "alerts"]),
        due=some.sampled_from([None, 0.0, 60.0]),
        report=some.booleans(),
        gone=some.booleans(),
    )
    def settle(
        self,
        which: int,
        ends: list[Status],
        said: str,
        gone: bool,
        report: bool,
        due: float | None,
        **how: Any,
    ) -> None:
        work, now = self._pop(which), self._clock.now()
        name = self._new(report_of=work.file.message.id) if report else ""

        async def settle(spool: Spool, claimed: Claimed) -> None:
            settlement = Settlement(
                results=_results(claimed, ends, said),
                ended=now,
                due=None if due is None else now + due,
                unknown=how["unknown"],
                counted=how["counted"],
                account=how["moved"],
                server="mx.example.org",
                error=said,
                reports=(await self._report(spool, name),) if report else (),
                warned=report,
            )
            if gone and spool is self._file:
                await self._left_alone(spool.settle(claimed, settlement))
            else:
                await spool.settle(claimed, settlement)

        self._run(settle(self._file, work.file))
        self._run(settle(self._lists, work.lists))

    @precondition(lambda self: self._over)
    @rule(which=index)
    def settle_what_is_over(self, which: int) -> None:
        """The lease fences."""
        work = self._over[which % len(self._over)]
        lost = Settlement(results=(), ended=self._clock.now())
        assert self._run(_refusal(self._file, lambda spool: spool.settle(work.file, lost))) is LeaseLost
        assert self._run(_refusal(self._lists, lambda spool: spool.settle(work.lists, lost))) is LeaseLost

    @precondition(lambda self: self._leased and self._over)
    @rule(which=index, each=plans, end=some.sampled_from(ENDS))
    def much_at_once_and_some_of_it_fails(self, which: int, each: Plan, end: Status) -> None:
        """One commit for all of it; what fails undoes itself and nothing else."""
        work, over, name, now = self._pop(which), self._over[0], self._new(), self._clock.now()
        known = next(iter(self._contents))
        lost = Settlement(results=(), ended=now)
        lane = self._lane(which)

        async def all_of_it(spool: Spool, mine: Claimed, late: Claimed) -> Sequence[Any]:
            settlement = Settlement(results=_results(mine, [end] * len(PEOPLE)), ended=now, due=now + 1)
            return await asyncio.gather(
                spool.settle(mine, settlement),
                spool.settle(late, lost),
                self._accepting(spool, name, [replace(each, at_once=False)]),
                self._accepting(spool, known, [each], fresh=True),
                spool.claim({lane: 1}, now),
                return_exceptions=True,
            )

        marked, fenced, accepted, refused, claimed = self._run(all_of_it(self._file, work.file, over.file))
        assert (marked, accepted) == (None, [])
        assert (type(fenced), type(refused)) == (LeaseLost, StoreError)
        *_, as_well = self._run(all_of_it(self._lists, work.lists, over.lists))
        self._take(claimed, as_well)

    @rule(account=accounts, age=seconds)
    def warn(self, account: str, age: float) -> None:
        before = self._clock.now() - age

        async def warn(spool: Spool) -> list[tuple[object, bool]]:
            late = await spool.late(account, before, 0, 2)
            return [(_seen(each), await spool.warn(each, None)) for each in late]

        self._same(warn)

    @rule(account=accounts, probe=some.sampled_from([None, START]))
    def pause(self, account: str, probe: float | None) -> None:
        pause = Pause(account=account, since=self._clock.now(), reason="refused", probe=probe)
        self._same(lambda spool: spool.pause(pause))

    @rule(account=accounts)
    def resume(self, account: str) -> None:
        self._same(lambda spool: spool.resume(account))

    # What people, time and the system do ---------------------------------------------------

    @precondition(lambda self: self._contents)
    @rule(
        which=index,
        status=some.sampled_from([Status.HELD, Status.READY, Status.CANCELLED]),
        address=some.sampled_from(["", "", *PEOPLE, "b@example.org", "nobody@example.org"]),
    )
    def change(self, which: int, status: Status, address: str) -> None:
        self._same(lambda spool: spool.change(self._name(which), status, self._clock.now(), address))

    @rule(wait=seconds)
    def time_passes(self, wait: float) -> None:
        self._clock.advance(wait)

    @rule(age=seconds)
    def retire(self, age: float) -> None:
        before = self._clock.now() - age
        open_ones = {
            entry.message.id
            for entry in self._run(self._lists.search(Query()))
            if not all(row.status.final for row in entry.rows)
        }
        self._same(lambda spool: spool.retire(before))
        left = {entry.message.id for entry in self._run(self._lists.search(Query()))}
        assert open_ones <= left
        self._contents = {name: text for name, text in self._contents.items() if name in left}

    @rule()
    def start_again(self) -> None:
        """What was under way may have arrived."""
        self._run(self._file.close())
        found = self._run(self._file.open())
        self._run(self._file.told())
        assert (found.clean, found.unknown) == (True, len(self._leased))
        for work in tuple(self._leased):
            self._pop(0)
            now = self._clock.now()
            deferred = _results(work.lists, [Status.DEFERRED] * len(PEOPLE))
            self._run(
                self._lists.settle(
                    work.lists,
                    Settlement(results=deferred, ended=now, due=now, unknown=True, error=INTERRUPTED),
                )
            )

    # What holds ---------------------------------------------------------------------------

    @invariant()
    def both_tell_the_same(self) -> None:
        entries = self._same(_found, Query())
        assert {entry.message.id for entry in entries} == set(self._contents)
        for name in self._contents:
            self._same(_shown, name)
        self._same(_lanes, self._clock.now())
        self._same(lambda spool: spool.statistics())
        self._same(_waiting)
        self._same(_pauses)

    @invariant()
    def searches_find_the_same(self) -> None:
        for query in (
            *(Query(statuses=(status,)) for status in Status),
            Query(account="alerts"),
            Query(address="b@example"),
            Query(address="app@"),
            Query(after=next(iter(self._contents), "")),
            Query(newer_than=START, older_than=self._clock.now()),
        ):
            self._same(_found, query)

    @invariant()
    def nothing_that_has_ended_begins_again(self) -> None:
        for entry in self._run(self._file.search(Query())):
            for place, row in enumerate(entry.rows):
                ended = self._ends.get((entry.message.id, place))
                assert ended in (None, row.status)
                if row.status.final:
                    self._ends[entry.message.id, place] = row.status

    @invariant()
    def the_accepted_octets_are_there(self) -> None:
        for entry in self._run(self._file.search(Query())):
            content = self._run(self._file.content(entry.message))
            assert b"".join(content.blocks()) == self._contents[entry.message.id]

    # Helpers ------------------------------------------------------------------------------

    def _new(self, *, long: bool = False, report_of: str = "") -> str:
        self._count += 1
        self._clock.advance(0.001)  # so that they have an order
        name = f"m{self._count}"
        self._contents[name] = TEXT + LONG if long else TEXT
        return name

    def _name(self, which: int) -> str:
        return list(self._contents)[which % len(self._contents)]

    def _lane(self, which: int) -> Lane:
        """One with something in it, if there is any."""
        lanes = self._run(self._lists.lanes(self._clock.now()))
        return (
            lanes[which % len(lanes)]
            if lanes
            else Lane(account="", priority=Priority.BULK, client="", due=0.0)
        )

    def _pop(self, which: int) -> Work:
        work = self._leased.pop(which % len(self._leased))
        self._over.append(work)
        return work

    def _take(self, file: Sequence[Claimed], lists: Sequence[Claimed]) -> None:
        assert [_seen(each) for each in file] == [_seen(each) for each in lists]
        self._leased += [Work(*pair) for pair in zip(file, lists, strict=True)]

    def _untouched(self) -> Settlement:
        return Settlement(results=(), ended=self._clock.now(), counted=False)

    async def _accepting(
        self, spool: Spool, name: str, each: Sequence[Plan], key: bool = False, *, fresh: bool = False
    ) -> Sequence[Claimed]:
        content = spool.stage(name)
        await content.write(TEXT if fresh else self._contents[name])
        people = PEOPLE[: max((plan.people for plan in each), default=1)]
        made = message(name, content, people, self._clock.now())
        deliveries = [
            NewDelivery(
                account=plan.account,
                recipients=made.envelope.recipients[: plan.people],
                priority=plan.priority,
                client=plan.client,
                due=self._clock.now() + (0 if plan.at_once else plan.wait),
                at_once=plan.at_once,
            )
            for plan in each
        ]
        known = IdempotencyKey(client="app", key=name, digest="same") if key else None
        return await spool.accept(made, content, deliveries, key=known)

    async def _report(self, spool: Spool, name: str) -> Report:
        content = spool.stage(name)
        await content.write(self._contents[name])
        made = message(name, content, ["app@example.org"], self._clock.now())
        delivery = NewDelivery(account="work", recipients=made.envelope.recipients, due=self._clock.now())
        return Report(message=made, content=content, delivery=delivery)

    async def _left_alone(self, work: Coroutine[Any, Any, Any], *, late: bool = False) -> None:
        """Begin, and stop waiting for it: at once, or in the moment in which it is done."""
        task = asyncio.ensure_future(work)
        if late:  # this is in the same commit, and heard of first
            in_one_commit(self._file).add_done_callback(lambda _: task.cancel())
        else:
            await asyncio.sleep(0)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for _ in range(3):  # what has to be put right now, is
            await self._file.resume("nobody")


async def _claim(spool: Spool, lane: Lane, most: int, now: float) -> Sequence[Claimed]:
    return await spool.claim({lane: most}, now)


async def _refusal(spool: Spool, do: Any) -> type[Exception] | None:
    try:
        await do(spool)
    except (AlreadyAccepted, KeyReused, StoreError) as error:
        return type(error)
    return None


async def _lanes(spool: Spool, now: float) -> list[Lane]:
    found = [replace(lane, waiting=0) for lane in await spool.lanes(now)]
    one_by_one = await spool.lanes(now, [*(lane.key for lane in found), ("nobody", Priority.BULK, "")])
    assert [replace(lane, waiting=0) for lane in one_by_one] == found
    return found


async def _waiting(spool: Spool) -> list[Waiting]:
    return sorted(await spool.waiting(), key=lambda each: each.account)


async def _pauses(spool: Spool) -> list[Pause]:
    return sorted(await spool.pauses(), key=lambda each: each.account)


def _results(claimed: Claimed, ends: Sequence[Status], said: str = "") -> tuple[RecipientFate, ...]:
    return tuple(
        RecipientFate(recipient=each.recipient.address, status=status, reply=said)
        for each, status in zip(claimed.targets, ends, strict=False)
    )


async def _found(spool: Spool, query: Query) -> list[Entry]:
    return [_told(entry) for entry in await spool.search(query)]


async def _shown(spool: Spool, name: str) -> Entry | None:
    entry = await spool.show(name)
    return None if entry is None else _told(entry)


def _told(entry: Entry) -> Entry:
    """With deliveries numbered as they come: each spool has numbers of its own."""
    numbers = {each.delivery: place for place, each in enumerate((*entry.rows, *entry.attempts))}
    return replace(
        entry,
        rows=tuple(replace(each, delivery=numbers[each.delivery]) for each in entry.rows),
        attempts=tuple(replace(each, delivery=numbers[each.delivery]) for each in entry.attempts),
    )


def _seen(claimed: Claimed) -> Claimed:
    """Without the numbers each spool gives as it likes."""
    targets = tuple(replace(each, row=0) for each in claimed.targets)
    return replace(claimed, delivery=0, lease=0, targets=targets)


class WithADatabase(TwoSpools):
    database: ClassVar[Postgresql]

    def _make(self, folder: Path) -> SqliteSpool | PostgresSpool:
        self._schema = self.database.schema()
        return postgresql(self._schema.__enter__(), self._clock)

    @rule()
    def keep_house(self) -> None:
        """Parts are emptied, what is counted is added up, and new rows go elsewhere."""
        assert isinstance(self._file, PostgresSpool)
        self._run(upkeep.upkeep(self._file._pool, retire=True))
        self._run(self._file.heartbeat())

    def teardown(self) -> None:
        super().teardown()
        self._schema.__exit__(None, None, None)


@pytest.mark.parametrize("machine", [TwoSpools, pytest.param(WithADatabase, marks=pytest.mark.servers)])
def test_whatever_happens_both_tell_the_same(
    machine: type[TwoSpools], long: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if issubclass(machine, WithADatabase):
        machine.database = request.getfixturevalue("database")
        monkeypatch.setattr(tally, "PART_FULL", 1)
        monkeypatch.setattr(upkeep, "SLOT_AGE", 0.0)
    much = settings(
        max_examples=300 if long else 6,
        stateful_step_count=60 if long else 40,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=much)
