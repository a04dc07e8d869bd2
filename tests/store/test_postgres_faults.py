"""A database that fails while it is used: nothing that was accepted is lost, and nothing is there twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from postbearer.clock import SystemClock
from postbearer.errors import LeaseLost, OutcomeUnknown, StoreError
from postbearer.secret import Secret
from postbearer.store import Pause, Query, Status
from postbearer.store.postgres import connection_pool, upkeep, writer
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from servers.postgresql import Postgresql
from store.test_spool_crashes import POINTS, check, run
from support.counting import counts_are_right
from support.cutting import Cutting
from support.persisting import GivenKey
from support.spooling import accept, claim, ending, statuses

pytestmark = pytest.mark.servers

WORKERS = 6


@asynccontextmanager
async def opened(url: str, node: str = "a") -> AsyncIterator[PostgresSpool]:
    spool = PostgresSpool(PostgresUrl.parse(url), clock=SystemClock(), node=node)
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


@asynccontextmanager
async def through_proxy(database: Postgresql) -> AsyncIterator[tuple[PostgresSpool, Cutting]]:
    """A spool behind a proxy that cuts where it is told to."""
    with database.schema() as url:
        async with (
            Cutting(database.port).serving() as proxy,
            opened(url.replace(str(database.port), str(proxy.port))) as spool,
        ):
            yield spool, proxy


class Load:
    """Programs that hand in messages, and workers that send them: what each was told, and what was sent."""

    def __init__(self, spool: PostgresSpool, name: str = "m") -> None:
        self._spool = spool
        self._name = name
        self._ending = False
        self.accepted: list[str] = []
        self.sent: Counter[str] = Counter()
        self.doubtful: set[str] = set()
        self.troubles = 0

    async def run(self, faults: asyncio.Future[None] | asyncio.Task[None], messages: int) -> None:
        """Until the faults are over, and so many messages were taken."""
        workers = [asyncio.ensure_future(self._program(number)) for number in range(WORKERS)]
        senders = [asyncio.ensure_future(self._sender()) for _ in range(WORKERS)]
        await faults
        before = len(self.accepted)
        async with asyncio.timeout(60.0):
            while len(self.accepted) < before + messages:  # noqa: ASYNC110 - it goes on by itself
                await asyncio.sleep(0.05)
            self._ending = True
            await asyncio.gather(*workers)
            await self._spool.heartbeat()  # gives back what nobody was told that it is leased
            await asyncio.gather(*senders)

    async def _program(self, number: int) -> None:
        count = 0
        while not self._ending:
            name, count = f"{self._name}{number}-{count}", count + 1
            try:
                await accept(self._spool, name)
            except StoreError:
                self.troubles += 1  # 451: its client would send it again
                await asyncio.sleep(0.01)
            else:
                self.accepted.append(name)

    async def _sender(self) -> None:
        while not self._ending or await self._something_waits():
            try:
                taken = await claim(self._spool, most=4)
            except StoreError:
                self.troubles += 1
                await asyncio.sleep(0.05)
                continue
            for each in taken:
                self.sent[each.message.id] += 1
                await self._settle(each)
            if not taken:
                await asyncio.sleep(0.02)

    async def _something_waits(self) -> bool:
        """Also what a claim has leased of which nobody heard: it comes back."""
        try:
            counts = (await self._spool.statistics()).counts
        except StoreError:
            return True
        return any(counts.get(status) for status in (Status.READY, Status.LEASED, Status.DEFERRED))

    async def _settle(self, claimed: object) -> None:
        while True:
            try:
                await self._spool.settle(claimed, ending(claimed, Status.DELIVERED))  # type: ignore[arg-type]
            except LeaseLost:
                return
            except StoreError:
                self.troubles += 1
                await asyncio.sleep(0.05)
            else:
                return


async def judged(load: Load, spool: PostgresSpool) -> None:
    """All that was accepted was sent, once; what is there was handed in."""
    entries = {entry.message.id: entry for entry in await spool.search(Query(limit=100_000))}
    assert set(load.accepted) <= set(entries), "lost"
    for name in load.accepted:
        [row] = entries[name].rows
        assert row.status is Status.DELIVERED, name
        assert load.sent[name] == 1, f"{name} was sent {load.sent[name]} times"
    for name, entry in entries.items():  # also what was answered 451 and is there all the same
        assert entry.rows[0].status is Status.DELIVERED, name
    assert max(load.sent.values()) == 1
    await counts_are_right(spool)


async def test_a_database_that_crashes_and_comes_back_loses_nothing(fragile: Postgresql) -> None:
    with fragile.schema() as url:
        async with opened(url) as spool:
            load = Load(spool)

            async def faults() -> None:
                for _ in range(3):
                    await asyncio.sleep(0.5)
                    await asyncio.to_thread(fragile.stop, "immediate")
                    await asyncio.sleep(0.2)
                    await asyncio.to_thread(fragile.start)

            await load.run(asyncio.ensure_future(faults()), 100)
            await judged(load, spool)


async def test_connections_that_are_ended_in_the_middle_lose_nothing(fragile: Postgresql) -> None:
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postbearer'"
    with fragile.schema() as url:
        async with opened(url) as spool:
            load = Load(spool)

            async def faults() -> None:
                for _ in range(20):
                    await asyncio.sleep(0.1)
                    await asyncio.to_thread(fragile.sql, kill)

            await load.run(asyncio.ensure_future(faults()), 100)
            await judged(load, spool)


async def test_a_commit_is_not_known_by_a_number_that_was_given_again(fragile: Postgresql) -> None:
    """The database loses it in a crash, and that its number was given: another commit has it next."""
    async with through_proxy(fragile) as (spool, _):
        execute = asyncpg.Connection.execute
        crashed: list[int] = []

        async def crashing(connection: asyncpg.Connection, query: str, *given: Any, **how: Any) -> str:
            if query == "COMMIT" and connection is spool._writer._connection and not crashed:
                crashed.append(await connection.fetchval("SELECT pg_current_xact_id()::text::bigint"))
                fragile.stop("immediate")
                fragile.start()
                crashed.extend(int(fragile.sql("SELECT pg_current_xact_id()")) for _ in range(50))
                raise ConnectionResetError
            return await execute(connection, query, *given, **how)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncpg.Connection, "execute", crashing)
            await spool.pause(Pause(account="work", since=1.0, reason="told"))
        assert crashed[0] in crashed[1:], "its number was not given again"
        assert [each.reason for each in await spool.pauses()] == ["told"]


@pytest.mark.parametrize("where", ["before", "behind"])
async def test_an_answer_to_a_commit_that_is_cut_is_looked_up(fragile: Postgresql, where: str) -> None:
    async with through_proxy(fragile) as (spool, proxy):
        for number in range(5):
            proxy.cut.append(where)
            await accept(spool, f"m{number}")
        assert proxy.cuts == 5
        [claimed, *_] = await claim(spool, most=5)
        proxy.cut.append(where)
        await spool.settle(claimed, ending(claimed, Status.DELIVERED))
        entries = await spool.search(Query())
        assert sorted(entry.message.id for entry in entries) == [f"m{number}" for number in range(5)]
        assert await statuses(spool, claimed.message.id) == [Status.DELIVERED]


async def test_what_a_cut_claim_leased_is_known_or_given_back(fragile: Postgresql) -> None:
    async with through_proxy(fragile) as (spool, proxy):
        for number in range(4):
            await accept(spool, f"m{number}")
        proxy.cut.append("behind")
        taken = await claim(spool, most=4)
        assert len(taken) == 4
        for each in taken:
            await spool.settle(each, ending(each, Status.DELIVERED))
        assert (await spool.statistics()).counts == {Status.DELIVERED: 4}


async def test_load_through_a_proxy_that_cuts_commits_loses_nothing(fragile: Postgresql) -> None:
    async with through_proxy(fragile) as (spool, proxy):
        load = Load(spool)

        async def faults() -> None:
            for number in range(30):
                await asyncio.sleep(0.05)
                proxy.cut.append("before" if number % 2 else "behind")

        await load.run(asyncio.ensure_future(faults()), 100)
        await judged(load, spool)
        assert proxy.cuts >= 25


async def test_a_commit_of_unknown_fate_is_no_success(
    fragile: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is gone right behind the COMMIT, and stays away for longer than anybody waits."""
    monkeypatch.setattr(writer, "DOUBT", 0.5)
    async with through_proxy(fragile) as (spool, proxy):
        await accept(spool, "m1")
        proxy.cut += ["behind"] + ["before"] * 20
        with pytest.raises(OutcomeUnknown):
            await accept(spool, "m2")
        proxy.cut.clear()
        await accept(spool, "m3")
        assert {entry.message.id for entry in await spool.search(Query())} == {"m1", "m2", "m3"}


async def test_a_standby_that_was_not_waited_for_is_no_success(
    fragile: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody cancels the wait: the commit stands here alone, and a failover would lose it."""
    monkeypatch.setattr(writer, "DOUBT", 0.5)
    monkeypatch.setattr(connection_pool, "COMMIT", 0.5)
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with fragile.schema() as url:
        async with opened(url) as spool:
            await accept(spool, "m1")
            fragile.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
            try:
                waiting = asyncio.ensure_future(accept(spool, "m2"))
                while "t" not in await asyncio.to_thread(fragile.sql, cancel):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                with pytest.raises(OutcomeUnknown):
                    await waiting
            finally:
                fragile.sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
            await accept(spool, "m3")
            assert {"m1", "m3"} <= {entry.message.id for entry in await spool.search(Query())}


@asynccontextmanager
async def unwatched(database: Postgresql) -> AsyncIterator[None]:
    """Commits have to wait for a standby that is not there, and somebody ends each wait."""
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    async def cancels() -> None:
        while True:
            await asyncio.to_thread(database.sql, cancel)
            await asyncio.sleep(0.05)

    database.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    cancelling = asyncio.ensure_future(cancels())
    try:
        yield
    finally:
        database.sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        cancelling.cancel()


async def _renewed_token(url: str, spool: PostgresSpool) -> None:
    state = PostgresState(PostgresUrl.parse(url), GivenKey())
    try:
        store = state.token_store("work", "binding", clock=SystemClock())
        await store.save(replace(await store.load(), refresh=Secret("next")))
    finally:
        state.close()


async def _another_node(url: str, spool: PostgresSpool) -> None:
    async with opened(url, "b"):
        pass


async def _upkeep(url: str, spool: PostgresSpool) -> None:
    await upkeep.upkeep(spool._pool, retire=True)


@pytest.mark.parametrize("write", [_renewed_token, _another_node, _upkeep])
async def test_no_other_writer_takes_it_for_success_either(
    fragile: Postgresql, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, PostgresSpool], Any]
) -> None:
    monkeypatch.setattr(connection_pool, "DOUBT", 0.5)
    monkeypatch.setattr(connection_pool, "COMMIT", 5.0)
    with fragile.schema() as url:
        async with opened(url) as spool:
            await accept(spool, "m1")
            await _renewed_token(url, spool)
            fragile.sql("CHECKPOINT")  # the next number of a sequence is written down behind one
            async with unwatched(fragile):
                with pytest.raises(OutcomeUnknown, match="not on a standby that it has to wait for"):
                    await write(url, spool)
            await write(url, spool)


async def test_who_waits_anew_for_a_standby_that_comes_back_succeeds(fragile: Postgresql) -> None:
    """What is committed later stands on a standby only with all that was before it."""
    with fragile.schema() as url:
        async with opened(url) as spool:
            await accept(spool, "m1")
            async with unwatched(fragile):
                saving = asyncio.ensure_future(_renewed_token(url, spool))
                await asyncio.sleep(0.5)
                assert not saving.done()
            await saving


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_named_point(schema: str, point: str) -> None:
    said = run(schema, point=point)
    async with opened(schema, "local") as spool:
        entries = {entry.message.id: entry for entry in await spool.search(Query())}
    check(said, entries)
