"""What a client submits again under the same key is one message, in every spool."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.errors import AlreadyAccepted, KeyReused
from postbearer.store import IdempotencyKey, Incoming, Query, Spool, Status
from postbearer.testing import ManualClock
from support.spooling import START, TEXT, claim, delivery, ending, message, sqlite

KEY = IdempotencyKey(client="shop", key="order-17", digest="d1")
DAY = 86_400.0


async def submit(
    spool: Spool, name: str, key: IdempotencyKey = KEY, *, text: bytes = TEXT, at: float = START
) -> str:
    """Submit something under a key, as an HTTP client would; the id it is told."""
    content = spool.stage(name)
    await content.write(text)
    made = message(name, content, accepted=at)
    try:
        await spool.accept(made, content, [delivery(made)], key=key)
    except AlreadyAccepted as known:
        await content.discard()
        return known.id
    return name


async def kept(spool: Spool) -> list[str]:
    return [entry.message.id for entry in await spool.search(Query())]


async def test_the_second_time_the_first_id_is_told_and_nothing_is_kept(spool: Spool) -> None:
    assert await submit(spool, "m1") == "m1"
    assert await submit(spool, "m2", text=b"built anew, with another Date\r\n" * 20_000) == "m1"
    assert await kept(spool) == ["m1"]


async def test_of_many_at_the_same_time_one_is_kept(spool: Spool) -> None:
    told = await asyncio.gather(*(submit(spool, f"m{number}") for number in range(20)))
    assert [*set(told)] == await kept(spool)


async def test_the_same_key_for_something_else_is_refused(spool: Spool) -> None:
    await submit(spool, "m1")
    with pytest.raises(KeyReused, match="'order-17' was used for another message, m1"):
        await submit(spool, "m2", replace(KEY, digest="d2"))
    assert await kept(spool) == ["m1"]


async def test_each_client_has_keys_of_its_own(spool: Spool) -> None:
    await submit(spool, "m1")
    assert await submit(spool, "m2", replace(KEY, client="blog")) == "m2"
    assert await submit(spool, "m3", replace(KEY, key="order-18")) == "m3"


async def test_what_was_not_accepted_uses_up_no_key(spool: Spool) -> None:
    await submit(spool, "m1", replace(KEY, key="another"))
    with pytest.raises(Exception, match="m1 already"):
        await submit(spool, "m1")
    assert await submit(spool, "m2") == "m2"


@pytest.mark.parametrize(
    ("age", "known"),
    [
        pytest.param(DAY - 1, True, id="a day"),
        pytest.param(DAY + 1, False, id="and not for ever"),
    ],
)
async def test_a_key_outlives_its_message(spool: Spool, age: float, known: bool) -> None:
    await submit(spool, "m1")
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert await spool.retire(START + age) == 1
    assert await submit(spool, "m2") == ("m1" if known else "m2")


async def test_a_key_lives_as_long_as_its_message(spool: Spool) -> None:
    await submit(spool, "m1")
    assert await spool.change("m1", Status.HELD, START) == 1
    await spool.retire(START + 100 * DAY)
    assert await submit(spool, "m2", at=START + 100 * DAY) == "m1"


async def test_a_key_is_known_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        spool = sqlite(tmp_path, ManualClock(START))
        await spool.open()
        assert await submit(spool, "m1") == "m1"
        await spool.close()


async def test_of_several_at_once_all_are_kept_or_none(spool: Spool) -> None:
    async def incoming(name: str, number: int) -> Incoming:
        content = spool.stage(name)
        await content.write(TEXT)
        made = message(name, content)
        key = replace(KEY, key=f"batch\n{number}")
        return Incoming(message=made, content=content, deliveries=(delivery(made),), key=key)

    await submit(spool, "m1", replace(KEY, key="batch\n1"))
    with pytest.raises(AlreadyAccepted):
        await spool.accept_all([await incoming(f"n{number}", number) for number in range(3)])
    assert await kept(spool) == ["m1"]
    await spool.accept_all([await incoming(f"m{number}", number) for number in range(2, 5)])
    assert await kept(spool) == ["m1", "m2", "m3", "m4"]
    asked = [replace(KEY, key=f"batch\n{number}") for number in range(6)]
    assert list(await spool.accepted(asked)) == ["", "m1", "m2", "m3", "m4", ""]
