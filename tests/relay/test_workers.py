"""`serve --workers`: several relays under one supervisor, which are killed, stopped and read anew."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from postbearer.clock import SystemClock
from postbearer.store import Entry, Query
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl
from relay.campaign import Row, compared
from relay.load import REFUSED, Load
from relay.running import Relay, eventually, plain_account, relay_table
from servers.sink import Sink
from support.persisting import KEY

COUNT = 3


def workers(relay: Relay) -> list[int]:
    found = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text()
    return [int(each) for each in found.split()]


def configured(home: Path, spool: str, port: int) -> Relay:
    home.mkdir()
    key = home / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    text = plain_account(port) + relay_table(f'spool = "{spool}"') + f'[vault]\nkey = "file:{key}"\n'
    return Relay(home, text)


async def entries(url: str) -> Sequence[Entry]:
    spool = PostgresSpool(PostgresUrl.parse(url), clock=SystemClock(), node="")
    await spool.open()
    try:
        return await spool.search(Query(limit=1_000_000))
    finally:
        await spool.close()


@pytest.mark.servers
def test_workers_are_begun_anew_and_lose_nothing(
    home: Path, schema: str, tell: Callable[[Row], None], long: bool
) -> None:
    sink, load = Sink({REFUSED: "550 5.1.1 No such user"}), Load(400, refused=0.02, large=0.01)
    with configured(home / "w", schema, sink.port) as relay:
        kills = 50 if long else 3
        assert relay.start(options=["--workers", str(COUNT)]), relay.log
        eventually(lambda: len(relay.said("Started")) == COUNT)
        assert len({each["addresses"] for each in relay.said("Started")}) == 1, "they share the port"
        for number in range(kills):
            load.start(relay.port)
            time.sleep(0.4)
            os.kill(workers(relay)[number % COUNT], signal.SIGKILL)
            load.finish()
            eventually(lambda n=number: len(relay.said("Started")) == COUNT + n + 1)  # type: ignore[misc]
        relay.signal(signal.SIGHUP)
        eventually(lambda: len(relay.said("Reloaded")) == COUNT)
        assert len(relay.ask("nodes.list").nodes) == COUNT
        relay.drain()
        assert relay.stop() == 0, relay.log
        found = compared(asyncio.run(entries(schema)), relay.said("PossibleDuplicate"), load, sink)
        row = Row.of(
            "nodes on PostgreSQL",
            found,
            variant="one of serve --workers killed",
            kills=kills,
            starts=relay.starts,
            seed=400,
        )
        tell(row)
        assert found.bad == {}
        assert found.accepted > 0
    sink.close()


@pytest.mark.servers
def test_workers_end_with_their_supervisor(home: Path, schema: str) -> None:
    with configured(home / "w", schema, 9) as relay:
        assert relay.start(options=["--workers", "2"]), relay.log
        eventually(lambda: len(relay.said("Started")) == 2)
        left = workers(relay)
        os.kill(relay.pid, signal.SIGKILL)
        eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in left))


def test_a_queue_in_a_file_has_one_worker(home: Path) -> None:
    with Relay(home, plain_account(9) + relay_table()) as relay:
        assert not relay.start(options=["--workers", "2"])
        assert relay.ended() == 78
        assert "workers cannot share a queue in a file" in relay.log
