"""What grows, and what a message then costs: work must not depend on how much there is or was.

./dev bench growth [MOST [NAME…]]

Each row is processor time of this process: µs for a message from its acceptance to its mark, unless it says
otherwise, at each size; behind them the ratio of the last to the first. MOST bounds the sizes (1,000,000);
NAMEs choose rows.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apsw
import msgspec

from postbearer.account import Account
from postbearer.clock import SystemClock
from postbearer.engine import (
    AttemptSettings,
    Budget,
    Channel,
    Dispatcher,
    Intake,
    IntakeSettings,
    Reporter,
    RetryPolicy,
    Route,
    Router,
    RouteRule,
    Submission,
    Submitter,
)
from postbearer.envelope import Envelope
from postbearer.events import DeliveryEnded, Event
from postbearer.message import Content
from postbearer.oauth import StaticToken
from postbearer.outcome import Outcome, Receipt, State
from postbearer.providers import preset
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.settings import Limits
from postbearer.state import Charge, Charges, FileLedger
from postbearer.state.ledger import _write_whole
from postbearer.store import Query, SqliteSpool, Status, WaitingEvent, WebhookRow

TEXT = b"From: a0@example.org\r\nSubject: hello\r\n\r\n" + (b"x" * 70 + b"\r\n") * 50
MESSAGES = 400
ROUNDS = 3  # the quickest counts: others may use the machine, too
OK = Reply(250, (b"2.0.0 Ok: queued as Q1",))
DAY = 86_400.0
MUCH = Limits(messages_per_minute=10**9, messages_per_day=10**9, recipients_per_day=10**9)


class Swallow:
    """A provider that takes everything at once."""

    async def deliver(self, envelope: Envelope, content: Content) -> Receipt:
        for _ in content.blocks():
            pass
        outcomes = tuple(Outcome(each, State.DELIVERED, OK) for each in envelope.addresses)
        return Receipt(outcomes, server="mail.example.org:587", works=True)

    async def forgive(self) -> None:
        pass

    async def close(self) -> None:
        pass


@dataclass
class Count:
    """An observer that counts what ended."""

    ended: int = 0
    awaited: int = -1
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def notice(self, event: Event) -> None:
        self.ended += isinstance(event, DeliveryEnded)
        if self.ended == self.awaited:
            self.reached.set()


@dataclass
class World:
    """A relay without sockets."""

    spool: SqliteSpool
    intake: Intake
    count: Count

    async def submit(self, number: int, clients: Sequence[Submitter], accounts: int, recipients: int) -> None:
        to = [f"you{one}@example.net" for one in range(recipients)]
        envelope = Envelope.of(f"a{number % accounts}@example.org", to)
        client = clients[number % len(clients)]
        taking = await self.intake.begin(Submission(client=client, envelope=envelope))
        assert not isinstance(taking, Reply), str(taking)
        await taking.write(TEXT)
        answer = await taking.finish()
        assert isinstance(answer, str), str(answer)


def account(name: str) -> Account:
    made = Account.of(
        preset("smtp"),
        f"{name}@example.org",
        StaticToken(Secret("token")),
        name=name,
        servers=["mail.example.org:587"],
        sender="allow",
        limits=Limits(connections=10),
    )
    return replace(made, limits=Limits(connections=10))


@asynccontextmanager
async def world(folder: Path, *, accounts: int = 1, routes: int = 0, ledger: FileLedger | None = None) -> Any:
    clock, count = SystemClock(), Count()
    spool = SqliteSpool(folder / "spool.db", clock=clock, reserve=0, allow_ephemeral=True)
    found = await spool.open()
    assert not found.restored
    await spool.told()
    named = {f"a{number}": account(f"a{number}") for number in range(accounts)}
    if ledger is not None:
        named["a0"] = replace(named["a0"], limits=MUCH)
    channels = {
        name: Channel(each, Swallow(), ledger if each.limits.budgeted else None)
        for name, each in named.items()
    }
    retry = RetryPolicy()
    rules = AttemptSettings(retry, Reporter(hostname="relay.example.org", retry=retry), lambda: 0.5)
    dispatcher = Dispatcher(spool, channels, clock=clock, observer=count, rules=rules)
    rows = [
        RouteRule(from_=f"a{number}@example.org", route=Route(account=f"a{number % accounts}"))
        for number in range(max(routes, accounts))
    ]
    intake = Intake(
        spool,
        Router(rows, "a0"),
        named,
        clock=clock,
        observer=count,
        settings=IntakeSettings(hostname="relay.example.org"),
        starter=dispatcher,
    )
    running = asyncio.create_task(dispatcher.run())
    try:
        yield World(spool, intake, count)
    finally:
        await dispatcher.drain(5.0)
        await running
        await spool.close()


async def cost(
    made: World, *, clients: int = 1, accounts: int = 1, recipients: int = 1, messages: int = MESSAGES
) -> float:
    """Seconds of processor time a message, from its acceptance to its mark, with ten sessions."""
    named = [Submitter(name=f"c{number}") for number in range(clients)]
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        made.count.awaited = made.count.ended + messages
        made.count.reached.clear()

        async def session(first: int) -> None:
            for number in range(first, messages, 10):
                await made.submit(number, named, accounts, recipients)

        await asyncio.gather(*(session(first) for first in range(10)))
        await made.count.reached.wait()
        best = min(best, (time.process_time() - began) / messages)
    return best


FILL = """
WITH RECURSIVE up (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM up WHERE n < :last)
INSERT INTO {table} ({names}) SELECT {columns} FROM up
"""
TABLES = {
    "message": {
        "number": "n",
        "id": "'id' || n",
        "accepted": ":now - n * 0.001",
        "client": "'app'",
        "envelope": ":envelope",
        "received": "''",
        "size": "10",
        "sha256": "''",
        "eight_bit": "0",
        "binary": "0",
        "expires": ":now + 400000",
        "message_id": "'<' || n || '@example.org>'",
        "author": "'app@example.org'",
        "subject": "'hello'",
        "report_of": "''",
    },
    "delivery": {
        "id": "n",
        "message": "n",
        "account": "{account}",
        "priority": "1",
        "client": "'app'",
        "due": ":due",
        "state": ":state",
        "since": "iif(:timed, :due, :now - n * 0.001)",
        "timed": ":timed",
        "ended": ":ended",
    },
    "recipient": {
        "id": "n",
        "delivery": "n",
        "state": ":letter",
        "address": "'user' || n || '@example.net'",
        "notify": "''",
        "orcpt": "''",
    },
}


def fill(
    folder: Path,
    rows: int,
    *,
    finished: bool,
    account: str = "'other'",
    wait: float = 0,
    timed: bool = False,
) -> None:
    """So many messages of another account, which is not there, that wait; or that are finished and kept.

    `timed`: they wait for the time that their client named, in `wait` seconds.
    """
    connection = apsw.Connection(str(folder / "spool.db"))
    now = time.time()
    values = {
        "now": now,
        "due": now + wait,
        "state": "x" if finished else "w",
        "ended": now if finished else 0,
        "timed": timed,
    }
    values |= {"envelope": msgspec.json.encode(Envelope.of("app@example.org", ["you@example.net"])).decode()}
    values |= {"letter": "o" if finished else "r", "first": 1, "last": rows}
    if rows:
        for table, filled in TABLES.items():
            names, columns = ", ".join(filled), ", ".join(filled.values()).format(account=account)
            connection.execute(FILL.format(table=table, names=names, columns=columns), values)
        if timed:
            named = {"table": "scheduled", "names": "message, send_at", "columns": "n, :due"}
            connection.execute(FILL.format(**named), values)
    connection.close()


async def with_rows(folder: Path, rows: int, *, finished: bool) -> float:
    async with world(folder):
        pass
    fill(folder, rows, finished=finished)
    async with world(folder) as made:
        return await cost(made)


async def searches(folder: Path, rows: int) -> float:
    """Seconds for the slowest of what `queue list` may ask."""
    async with world(folder):
        pass
    fill(folder, rows, finished=False)
    async with world(folder) as made:
        slowest = 0.0
        for query in (
            Query(statuses=(Status.READY, Status.DEFERRED, Status.HELD, Status.LEASED)),
            Query(account="other"),
            Query(account="nobody"),
            Query(address=f"user{rows}@"),
            Query(address="nobody@example.com"),
            Query(message_id="nothing"),
            Query(statuses=(Status.HELD,)),
            Query(client="nobody"),
        ):
            began = time.process_time()
            await made.spool.search(query)
            took = time.process_time() - began
            if "-v" in sys.argv:
                print(f"    {took:7.3f} s  {query}")
            slowest = max(slowest, took)
        return slowest


def ledger_with(folder: Path, charges: int) -> FileLedger:
    now = time.time()
    gap = (DAY - 120) / charges
    past = Charges([Charge(now - DAY + 60 + gap * number, 1) for number in range(charges)])
    _write_whole(folder / "ledger", past)
    return FileLedger(folder / "ledger", SystemClock())


async def charge(folder: Path, charges: int) -> float:
    budget = Budget(ledger_with(folder, charges), MUCH, SystemClock())
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(200):
            assert isinstance(await budget.take(1), Charge)
        best = min(best, (time.process_time() - began) / 200)
    return best


async def with_charges(folder: Path, charges: int) -> float:
    async with world(folder, ledger=ledger_with(folder, charges)) as made:
        return await cost(made)


async def with_accounts(folder: Path, accounts: int) -> float:
    async with world(folder, accounts=accounts) as made:
        return await cost(made, accounts=accounts)


async def with_routes(folder: Path, routes: int) -> float:
    async with world(folder, routes=routes) as made:
        return await cost(made, clients=routes, accounts=routes)


async def with_recipients(folder: Path, recipients: int) -> float:
    """For a recipient."""
    async with world(folder) as made:
        return await cost(made, recipients=recipients, messages=max(10, 1000 // recipients)) / recipients


async def with_lanes(folder: Path, lanes: int) -> float:
    """Beside accounts whose mail waits for another time."""
    async with world(folder):
        pass
    fill(folder, lanes, finished=False, account="'a' || n", wait=50_000)
    async with world(folder, accounts=lanes + 1) as made:
        return await cost(made)


async def with_scheduled(folder: Path, rows: int) -> float:
    """Beside messages that their clients want to leave later, by the same account."""
    async with world(folder):
        pass
    fill(folder, rows, finished=False, account="'a0'", wait=50_000, timed=True)
    async with world(folder) as made:
        return await cost(made)


async def with_webhooks(folder: Path, webhooks: int) -> float:
    """While each change is kept for webhooks, each of which waits for calls to be made again."""
    async with world(folder) as made:
        await made.spool.keep_history()
        for number in range(webhooks):
            row, now = WebhookRow(f"w{number}", 0), time.time()
            await made.spool.keep_webhook(row, [WaitingEvent(1, "id1", now, now + DAY, 1)])
        return await cost(made)


ROWS: dict[str, tuple[str, float, Callable[[Path, int], Awaitable[float]], tuple[int, ...]]] = {
    "charge": ("past charges: one more, µs", 1e6, charge, (1, 1_000, 10_000, 100_000)),
    "charges": ("past charges, three limits set", 1e6, with_charges, (1, 1_000, 100_000)),
    "waiting": (
        "waiting",
        1e6,
        lambda folder, rows: with_rows(folder, rows, finished=False),
        (1_000, 10_000, 100_000, 1_000_000),
    ),
    "finished": (
        "finished and kept",
        1e6,
        lambda folder, rows: with_rows(folder, rows, finished=True),
        (0, 10_000, 100_000, 1_000_000),
    ),
    "accounts": ("accounts, with a route each", 1e6, with_accounts, (10, 300, 1_500, 5_000)),
    "lanes": ("accounts whose mail waits", 1e6, with_lanes, (10, 300, 1_500, 5_000)),
    "scheduled": ("scheduled, of the same account", 1e6, with_scheduled, (10, 1_000, 10_000, 100_000)),
    "webhooks": ("webhooks, changes being kept", 1e6, with_webhooks, (0, 1, 10, 100)),
    "routes": ("clients, and routes", 1e6, with_routes, (10, 100, 1_000, 10_000)),
    "recipients": ("recipients: µs for one of them", 1e6, with_recipients, (1, 10, 100, 1_000)),
    "searches": ("waiting: the slowest search, s", 1, searches, (1_000, 10_000, 100_000, 1_000_000)),
}


async def main(most: int, names: Sequence[str]) -> None:
    for name, (title, scale, measure, sizes) in ROWS.items():
        if names and name not in names:
            continue
        costs = []
        for size in sizes:
            if size <= most:
                with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="bench-") as folder:
                    costs.append((size, await measure(Path(folder), size) * scale))
        shown = "  ".join(f"{size:,}: {value:,.{0 if value > 20 else 3}f}" for size, value in costs)
        print(f"{title:32} {shown}  ratio {costs[-1][1] / max(costs[0][1], 1e-9):.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What grows, and what a message then costs.")
    parser.add_argument("most", nargs="?", type=lambda text: int(text.replace(",", "")), default=1_000_000)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(ROWS))
    parser.add_argument("-v", action="store_true", help="with what each step of a row took")
    chosen = parser.parse_args()
    if unknown := [each for each in chosen.names if each not in ROWS]:
        parser.error(f"there is no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    asyncio.run(main(chosen.most, chosen.names))
