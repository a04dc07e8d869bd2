"""The pool as a table: what is there and what time it is, and what to use, open and close."""

from __future__ import annotations

import pytest

from postbearer.transport import PoolLimits
from postbearer.transport.pool import Pool, Pooled

LIMITS = PoolLimits(connections=2, idle=30, age=600)


def pool_with(*connections: str, idle_since: float = 100.0, retire_at: float = 700.0) -> Pool[str]:
    pool: Pool[str] = Pool(LIMITS)
    taken = []
    for connection in connections:
        assert pool.request(0.0).open
        taken.append(Pooled(connection, retire_at))
        pool.opened(taken[-1])
    for entry in taken:
        assert pool.release(entry, idle_since)
    return pool


@pytest.mark.parametrize(
    ("connections", "now", "use", "opens", "closes"),
    [
        ((), 100.0, None, True, []),
        (("a",), 110.0, "a", False, []),
        (("a", "b"), 110.0, "b", False, []),  # the one used last; the others may grow old and go
        (("a",), 129.9, "a", False, []),
        (("a",), 130.0, None, True, ["a"]),  # idle for too long
        (("a", "b"), 130.0, None, True, ["a", "b"]),
    ],
)
def test_a_request(
    connections: tuple[str, ...], now: float, use: str | None, opens: bool, closes: list[str]
) -> None:
    decision = pool_with(*connections).request(now)
    assert (decision.use.connection if decision.use else None) == use
    assert decision.open is opens
    assert [entry.connection for entry in decision.close] == closes


@pytest.mark.parametrize(
    ("limits", "rank", "token_obtained", "retire_at"),
    [
        (PoolLimits(), 0, None, 700.0),
        (PoolLimits(), 1, None, 400.0),  # a lower server is given up after five minutes
        (PoolLimits(age=60), 1, None, 160.0),
        (PoolLimits(token_lifetime=30), 0, 90.0, 120.0),
        (PoolLimits(token_lifetime=1), 0, 99.0, 100.0),  # a new token for every message
        (PoolLimits(), 0, 90.0, 700.0),
        (PoolLimits(token_lifetime=30), 0, None, 700.0),
    ],
)
def test_when_a_connection_must_go(
    limits: PoolLimits, rank: int, token_obtained: float | None, retire_at: float
) -> None:
    assert limits.retire_at(100.0, rank, token_obtained) == retire_at


def test_no_more_than_the_account_may_hold() -> None:
    pool: Pool[str] = Pool(LIMITS)
    assert pool.request(0.0).open
    assert pool.request(0.0).open
    full = pool.request(0.0)
    assert not full.open
    assert full.use is None
    pool.failed()
    assert pool.request(0.0).open


def test_a_spent_connection_is_not_kept() -> None:
    pool: Pool[str] = Pool(LIMITS)
    pool.request(0.0)
    entry = Pooled("a", retire_at=50.0)
    pool.opened(entry)
    assert not pool.release(entry, 50.0)
    assert pool.size == 0


def test_a_broken_connection_is_exchanged_in_its_place() -> None:
    pool: Pool[str] = Pool(PoolLimits(connections=1))
    pool.request(0.0)
    entry = Pooled("a", 600.0)
    pool.opened(entry)
    pool.exchange(entry)
    assert not pool.request(0.0).open
    pool.opened(Pooled("b", 600.0))
    assert pool.size == 1


def test_a_child_process_leaves_its_parents_connections_alone() -> None:
    pool = pool_with("a", "b")
    decision = pool.request(110.0, home="child")
    assert decision.open
    assert decision.use is None
    assert decision.close == ()
    assert pool.size == 1
    assert pool_with("a", "b").drain(home="child") == ()


def test_when_to_look_again() -> None:
    assert pool_with().next_expiry() is None
    assert pool_with("a").next_expiry() == 130.0
    assert pool_with("a", retire_at=120.0).next_expiry() == 120.0
