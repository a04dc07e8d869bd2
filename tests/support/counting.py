"""What a spool counts along, beside what there is."""

from __future__ import annotations

from collections import Counter

from postbearer.store import Query, Spool, Status

PAGE = 500
AWAY = (Status.READY, Status.DEFERRED, Status.LEASED)  # of what has not left and waits for no time


async def counts_are_right(spool: Spool) -> None:
    """Every count is what a walk through all messages finds."""
    found: dict[str, Counter[Status]] = {}
    waiting: dict[str, list[float]] = {}
    since: list[float] = []
    last = ""
    while entries := await spool.search(Query(after=last, limit=PAGE)):
        last = entries[-1].message.id
        for entry in entries:
            began = float(int(max(entry.message.accepted, entry.message.send_at or 0.0)))
            for row in entry.rows:
                found.setdefault(row.account, Counter())[row.status] += 1
            for account in {row.account for row in entry.rows if row.status in AWAY}:
                waiting.setdefault(account, []).append(began)
            if any(row.status in (*AWAY, Status.HELD) for row in entry.rows):
                since.append(began)
    kept = await spool.statistics()
    assert kept.by_account == found
    assert kept.counts == sum(found.values(), Counter())
    assert kept.oldest == (min(since) if since else None)
    told = {each.account: (each.messages, each.oldest) for each in await spool.waiting()}
    assert told == {account: (len(each), min(each)) for account, each in waiting.items()}
