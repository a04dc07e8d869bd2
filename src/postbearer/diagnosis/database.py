"""The database of a queue that relays share: whether it can keep the promise, and how it fares."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from postbearer.clock import Clock
from postbearer.diagnosis.finding import Failure, Finding, Step
from postbearer.errors import StoreError
from postbearer.secret import SecretSource
from postbearer.state import Persistence
from postbearer.store import PostgresUrl, inspect_database

if TYPE_CHECKING:  # it comes with asyncpg, which a relay with a file needs not have
    from postbearer.store import DatabaseInfo


async def examine_database(
    url: PostgresUrl, password: SecretSource | None, state: Persistence, clock: Clock
) -> tuple[Finding, ...]:
    """What is found of the database at `url`; nothing in it is changed."""
    try:
        info = await inspect_database(url, clock, password)
        if info.version == info.wanted:
            await state.verify()
    except StoreError as error:
        return (_failed(error),)
    names = {name: value for name, value in asdict(info).items() if name != "remarks"}
    server = Finding(
        step=Step.DATABASE,
        ok=True,
        text=f"{info.place}, as {info.role}: PostgreSQL {info.server}, "
        f"{'with' if info.encrypted else 'without'} TLS",
        details=names,
    )
    return server, _durability(info), _queue(info)


def _failed(error: StoreError) -> Finding:
    return Finding(
        step=Step.DATABASE,
        ok=False,
        text=error.message,
        cause="Nothing is accepted and nothing is sent without the database.",
        fix=error.hint or "Look at the log of the database.",
        who="host operator",
        failure=Failure.CONFIGURATION if error.configuration else Failure.TRANSIENT,
    )


def _durability(info: DatabaseInfo) -> Finding:
    standbys = f"{info.synchronous} of them there: {info.standbys}" if info.standbys else "none"
    weak = info.synchronous_commit not in ("on", "remote_apply")
    beside = f" (the role has {info.synchronous_commit}, which counts for others)" if weak else ""
    return Finding(
        step=Step.DATABASE,
        ok=True,
        text=f"commits are synced{beside}; synchronous standbys: {standbys}",
        notes=info.remarks,
    )


def _queue(info: DatabaseInfo) -> Finding:
    if info.version is None:
        return Finding(step=Step.DATABASE, ok=None, text="there is no queue yet: the first relay makes it")
    behind = (
        "" if info.version == info.wanted else f" (this postbearer makes it {info.wanted} when it starts)"
    )
    looked = "not yet" if info.vacuumed is None else f"{info.vacuumed / 60:.0f} min ago"
    return Finding(
        step=Step.DATABASE,
        ok=True,
        text=f"queue of version {info.version}{behind}, {_size(info.size)} of {_size(info.database_size)}; "
        f"relays: {info.nodes}; autovacuum {info.autovacuum}, last {looked}, {info.dead_rows} of "
        f"{info.live_rows + info.dead_rows} rows dead; oldest snapshot {info.snapshot:.0f} s",
    )


def _size(octets: int) -> str:
    return f"{octets / 1024 / 1024:.1f} MiB"
