"""What every `GrantStore` does: the same tests for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.clock import SystemClock
from postbearer.oauth import GrantStore, MemoryStore, StoredGrant, binding
from postbearer.secret import Secret
from support.persisting import EACH, PERSISTENCES

KEPT = StoredGrant(
    access=Secret("access"),
    obtained=1_800_000_000.25,
    expires=1_800_003_600.25,
    fresh_until=1_800_003_540.25,
    scope="smtp.send",
    refresh=Secret("refresh ü \x7f"),
    origin="digest",
)


@pytest.fixture(params=["alone", *EACH])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], GrantStore]:
    """Each call gives a view of the same state."""
    if request.param == "alone":  # what a source has that keeps nothing for others
        store = MemoryStore()
        return lambda: store
    opening = PERSISTENCES[request.param](request, tmp_path)
    return lambda: opening().token_store("alerts", "b", clock=SystemClock())


async def test_nothing_is_kept_at_first(make: Callable[[], GrantStore]) -> None:
    assert await make().load() == StoredGrant()


async def test_what_is_saved_is_loaded(make: Callable[[], GrantStore]) -> None:
    assert await make().save(KEPT)
    assert await make().load() == replace(KEPT, version=1)


async def test_versions_grow(make: Callable[[], GrantStore]) -> None:
    for version in range(5):
        assert await make().save(replace(KEPT, version=version))
        assert (await make().load()).version == version + 1


async def test_o6_newer_is_never_overwritten_by_older(make: Callable[[], GrantStore]) -> None:
    await make().save(KEPT)
    await make().save(replace(KEPT, version=1, refresh=Secret("newer")))
    for version in (0, 1, 3):
        assert not await make().save(replace(KEPT, version=version, refresh=Secret("older")))
    assert (await make().load()).refresh == Secret("newer")


async def test_parts_may_be_missing(make: Callable[[], GrantStore]) -> None:
    await make().save(StoredGrant(refresh=Secret("only")))
    assert await make().load() == StoredGrant(version=1, refresh=Secret("only"))
    await make().save(StoredGrant(version=1))
    assert await make().load() == StoredGrant(version=2)


async def test_the_lock_may_be_taken_again(make: Callable[[], GrantStore]) -> None:
    store = make()
    for _ in range(2):
        async with store.lock():
            await store.save(await store.load())


async def test_a_cancelled_holder_lets_go(make: Callable[[], GrantStore]) -> None:
    held = asyncio.Event()

    async def hold() -> None:
        async with make().lock():
            held.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    holder.cancel()
    await asyncio.wait([holder])
    async with make().lock():
        pass


def test_the_binding_changes_with_everything_it_binds() -> None:
    given: dict[str, object] = {
        "token_url": "https://login.example.org/token",
        "client_id": "relay",
        "grant": "client-credentials",
        "scopes": ("a", "b"),
        "user": "somebody@example.org",
        "login": "alerts@example.org",
        "servers": ("mail.example.org:587",),
    }
    first = binding(**given)  # type: ignore[arg-type]
    assert binding(**{**given, "scopes": ("b", "a")}) == first  # type: ignore[arg-type]
    for name in given:
        assert binding(**{**given, name: "other"}) != first  # type: ignore[arg-type]
