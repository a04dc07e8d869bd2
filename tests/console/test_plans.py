"""No page walks through the queue: what SQLite plans for each statement that the console's pages have run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from console.conftest import Person, statements_read
from postbearer.store import Query
from postbearer.store.database import connect
from support.shown_relay import fill

LONG = ("message", "delivery", "recipient", "content", "answer", "attempt", "event", "scheduled", "tag")
FEW = (  # indexes that hold only what the statement asks for, and are read where it is counted to be few
    "delivery_leased",
    "delivery_lane",
)
ALLOWED = {  # a walk that is there all the same: why
    "recipient.state ELSE": "what was delivered, while that is little: as after the first start",
    "octet_length(address)": "a part of an address, after the first 5,000 messages",
}
WALK = re.compile(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?")

Asked = dict[str, Any]


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Each statement that a connection ran which only reads, with its last values."""
    found: Asked = {}
    with statements_read(found.__setitem__):
        yield found


async def test_no_page_walks_through_the_queue(asked: Asked, person: Person) -> None:
    shown = person.shown
    await fill(shown)
    await person.open()
    [message, *_] = [each.message.id for each in await shown.running.spool.search(Query(address="ops@"))]
    asked.clear()
    states = ("scheduled", "ready", "leased", "deferred", "held", "failed", "expired", "cancelled")
    for path in (
        *("/", "/?chart=hour", "/?chart=week", "/accounts", "/accounts/alerts", "/audit", "/jobs"),
        *(
            "/queue",
            "/queue?account=billing",
            f"/queue?after={message}",
            "/queue?accepted=hour",
            f"/queue?q={message}",
            "/queue?q=subject:disk",
            "/queue?q=subject:disk+state:failed",
        ),
        *(f"/queue?state={state}" for state in states),
        f"/messages/{message}",
    ):
        shown.running._http._state.looks.forget()  # type: ignore[union-attr]
        assert (await person.get(path)).status_code == 200, path
    assert len(asked) > 10
    connection = connect(shown.home / "state" / "spool.db")
    walks = []
    for statement, values in dict(asked).items():
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "--")):
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values):
                for table, index in WALK.findall(step):
                    if table in LONG and index not in FEW and not any(each in statement for each in ALLOWED):
                        walks.append((step, statement))
    connection.close()
    assert walks == []
