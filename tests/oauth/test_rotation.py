"""Refresh tokens: rotation, sign-ins, and that no error loses one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from postbearer.errors import GrantRefused, StoreError, TokenUnavailable
from postbearer.oauth import (
    CachedSource,
    GrantStore,
    MemoryStore,
    RefreshToken,
    StoredGrant,
    TokenAnswer,
    keep_sign_in,
)
from postbearer.secret import Secret
from postbearer.testing import ManualClock
from support.tokenserver import Answer, TokenServer, said

Make = Callable[..., CachedSource]


def refresh_grant(token: str = "refresh-0") -> RefreshToken:
    return RefreshToken("relay", Secret(token), Secret("client-secret"))


async def test_a_sign_in_takes_the_place_of_a_dead_one(
    make: Make, server: TokenServer, store: GrantStore, clock: ManualClock
) -> None:
    await store.save(StoredGrant(refresh=Secret("dead"), origin="of a configured one"))
    answer = TokenAnswer(Secret("signed-in"), 3600.0, Secret("refresh-0"), "smtp.send")
    await keep_sign_in(store, answer, now=clock.now())
    source = make(RefreshToken("relay"))
    assert (await source.token()).access == Secret("signed-in")
    clock.advance(4000)
    await source.token()
    assert server.asked[-1].form["refresh_token"] == "refresh-0"


async def test_o6_a_rotated_refresh_token_is_committed_before_the_access_token_is_used(
    make: Make, server: TokenServer, store: GrantStore
) -> None:
    server.family("refresh-0")
    source = make(refresh_grant())
    for _ in range(3):
        token = await source.token()
        kept = await store.load()
        assert kept.refresh == Secret(server.good_refresh_token or "")
        assert kept.access == token.access
        await source.invalidate(token)
    assert server.good_refresh_token == "refresh-3"


async def test_o6_the_kept_refresh_token_goes_before_the_configured_one_it_descends_from(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    server.family("refresh-0")
    await make(refresh_grant()).token()
    clock.advance(4000)
    await make(refresh_grant()).token()
    assert [asked.form["refresh_token"] for asked in server.asked] == ["refresh-0", "refresh-1"]


async def test_a_newly_configured_refresh_token_goes_before_the_kept_one(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    server.family("refresh-0")
    await make(refresh_grant()).token()
    clock.advance(4000)
    server.family("pasted-anew")
    await make(refresh_grant("pasted-anew")).token()
    assert server.asked[-1].form["refresh_token"] == "pasted-anew"
    clock.advance(4000)
    await make(refresh_grant("pasted-anew")).token()
    assert server.asked[-1].form["refresh_token"] == "refresh-2"


async def test_o6_invalid_grant_takes_the_refresh_token_that_came_meanwhile(
    make: Make, server: TokenServer, store: GrantStore
) -> None:
    def sign_in() -> None:
        asyncio.run(store.save(StoredGrant(refresh=Secret("signed-in"))))

    server.script.append(said(400, error="invalid_grant"))
    server.script[0].before = sign_in
    token = await make(RefreshToken("relay", Secret("dead"), Secret("s"))).token()
    assert [asked.form["refresh_token"] for asked in server.asked] == ["dead", "signed-in"]
    assert token.access == Secret("access-1")
    assert (await store.load()).refresh == Secret("signed-in")


async def test_o6_no_error_deletes_a_refresh_token(
    make: Make, server: TokenServer, store: GrantStore, clock: ManualClock
) -> None:
    server.family("refresh-0")
    source = make(refresh_grant())
    await source.token()
    clock.advance(4000)
    for answer in (
        said(400, error="invalid_grant"),
        said(401, error="invalid_client"),
        Answer(500),
        Answer(200, b"<html>"),
        said(access_token="bad token", token_type="Bearer", refresh_token="never"),
        Answer(hang_up=True),
    ):
        server.script.append(answer)
        with pytest.raises((GrantRefused, TokenUnavailable)):
            await source.token()
        assert (await store.load()).refresh == Secret("refresh-1")
    assert (await source.token()).access == Secret("access-2")


async def test_a_server_that_does_not_rotate_keeps_its_refresh_token(
    make: Make, server: TokenServer, clock: ManualClock, store: GrantStore
) -> None:
    source = make(refresh_grant())
    await source.token()
    clock.advance(4000)
    await source.token()
    assert {asked.form["refresh_token"] for asked in server.asked} == {"refresh-0"}
    assert (await store.load()).refresh == Secret("refresh-0")


class Stubborn(MemoryStore):
    """A store whose disk is full for a while."""

    full = True

    async def save(self, kept: StoredGrant) -> bool:
        if self.full:
            raise StoreError("No room.")
        return await super().save(kept)


async def test_o6_a_rotated_token_that_could_not_be_written_is_written_at_the_next_try(
    make: Make, server: TokenServer
) -> None:
    server.family("refresh-0")
    store = Stubborn()
    source = make(refresh_grant(), store=store)
    for _ in range(2):
        with pytest.raises(StoreError):
            await source.token()
    store.full = False
    assert (await source.token()).access == Secret("access-1")
    assert (await store.load()).refresh == Secret("refresh-1")
    assert len(server.asked) == 1


async def test_without_rotation_a_full_disk_does_not_stop_the_mail(make: Make) -> None:
    assert (await make(store=Stubborn()).token()).access == Secret("access-1")
