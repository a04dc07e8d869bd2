"""What metrics cost: the page of a thousand accounts for who asks, its making, and each message.

    ./dev bench metrics [--accounts 1000]

Who asks gets a page that is made already; making one goes on beside, in a thread, for a fiftieth of the time
at most. `series` are those of the account that has most. `per message` is what an acceptance, a commit and a
delivery take to be counted.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from postbearer.clock import SystemClock
from postbearer.events import Accepted, Committed, DeliveryEnded, Event, Silent, TokenRequested
from postbearer.metrics import Exposition, ReadingSources
from postbearer.outcome import RecipientFate
from postbearer.store import SqliteSpool

REPLIES = ("250 2.0.0 Ok", "451 4.7.0 Later", "550 5.7.1 Never")


def happened(account: str, reply: str = REPLIES[0]) -> Sequence[Event]:
    status = {"2": "delivered", "4": "deferred", "5": "failed"}[reply[0]]
    fates = (RecipientFate(recipient="you@example.net", status=status, reply=reply),)
    return (
        Accepted(account, id="m", client="app", size=4096, recipients=1, seconds=0.001),
        Committed("", jobs=1, pages=4, seconds=0.001),
        DeliveryEnded(account, id="m", attempt=1, fates=fates, age=2.0),
    )


async def nothing_ahead() -> Mapping[str, Sequence[Any]]:
    return {}


async def measure(names: Sequence[str], folder: Path) -> None:
    clock = SystemClock()
    spool = SqliteSpool(folder / "spool.db", clock=clock, reserve=0, allow_ephemeral=True)
    await spool.open()
    states: dict[str, Any] = {}
    sources = ReadingSources(
        spool=spool, states=lambda: states, foresee=nothing_ahead, certificates={}, folder=folder
    )
    exposition = Exposition(sources, clock, Silent())
    counters = exposition.counters
    for name in names:
        for reply in REPLIES:
            for event in happened(name, reply):
                counters.notice(event)
        for error in ("", "TokenUnavailable"):
            counters.notice(TokenRequested(name, grant="client-credentials", seconds=0.2, error=error))
    exposition.start()
    began = time.perf_counter()
    page = await exposition.page()
    made = time.perf_counter() - began
    asked = []
    for _ in range(50):
        began = time.perf_counter()
        await exposition.page()
        asked.append(time.perf_counter() - began)
    events, rounds = happened(names[0]), 20_000
    began = time.perf_counter()
    for _ in range(rounds):
        for event in events:
            counters.notice(event)
    each = (time.perf_counter() - began) / rounds
    await exposition.stop()
    await spool.close()
    series = Counter(re.findall(r'account="([^"]+)"', page.decode()))
    print(f"accounts           {len(names):8}")
    print(f"asked for          {median(asked) * 1000:8.3f} ms")
    print(f"made in            {made * 1000:8.0f} ms")
    print(f"size               {len(page) / 1e6:8.2f} MB")
    print(f"series             {max(series.values()):8}")
    print(f"per message        {each * 1e6:8.1f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    count = parser.parse_args().accounts
    with TemporaryDirectory() as folder:
        asyncio.run(measure([f"account-{number}" for number in range(count)], Path(folder)))


if __name__ == "__main__":
    main()
