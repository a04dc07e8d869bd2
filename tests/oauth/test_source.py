"""The token source: how often it asks, what it hands out, and what it does when asking fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from postbearer.errors import GrantRefused, TokenUnavailable, UsageError
from postbearer.events import Event, TokenFetched, TokenRequested, Warned
from postbearer.oauth import (
    CachedSource,
    ClientCredentials,
    Endpoint,
    GrantStore,
    Password,
    StaticToken,
    token_blocking,
)
from postbearer.secret import GivenSecret, Secret
from postbearer.testing import ManualClock
from support.tokenserver import Answer, TokenServer, said

Make = Callable[..., CachedSource]


async def test_one_token_serves_until_the_margin(make: Make, server: TokenServer, clock: ManualClock) -> None:
    source = make(margin=60.0)
    first = await source.token()
    clock.advance(3600 - 60 - 0.5)
    assert await source.token() == first
    clock.advance(1.0)
    assert (await source.token()).access == Secret("access-2")
    assert len(server.asked) == 2


async def test_the_life_begins_before_the_request(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    server.script.append(
        Answer(
            body=b'{"access_token": "slow", "token_type": "Bearer", "expires_in": 100}',
            before=lambda: clock.advance(30),
        )
    )
    token = await make().token()
    assert token.expires_at == clock.monotonic() + 70
    assert token.lifetime == 100


async def test_sources_that_began_together_do_not_renew_together(
    server: TokenServer, clock: ManualClock
) -> None:
    grant = ClientCredentials("relay", Secret("client-secret"))
    sources = [
        CachedSource(grant, Endpoint(server.url), clock=clock, margin=600.0, spread=0.1) for _ in range(40)
    ]
    asked = []
    for wait in (0.0, 3600.0 - 661, 31.0, 30.0):  # until 600 s are left
        clock.advance(wait)
        for each in sources:
            await each.token()
        asked.append(len(server.asked))
    assert asked[:2] == [40, 40]
    assert 40 < asked[2] < 80  # each renews up to a tenth of the margin earlier, at random
    assert asked[3] == 80


@pytest.mark.parametrize(
    ("date", "told"), [("07:59:50", ""), ("07:50:00", "600 s ahead"), ("08:10:00", "600 s behind")]
)
async def test_a_clock_that_is_off_is_told_though_the_token_came(
    make: Make, server: TokenServer, clock: ManualClock, date: str, told: str
) -> None:
    heard: list[Event] = []

    class Listener:
        def notice(self, event: Event) -> None:
            heard.append(event)

    headers = {"date": f"Fri, 15 Jan 2027 {date} GMT"}
    server.script.append(said(200, headers, access_token="good", token_type="Bearer", expires_in=3600))
    await make(observer=Listener()).token()
    warnings = [event.text for event in heard if isinstance(event, Warned)]
    assert len(warnings) == bool(told)
    assert all(told in text for text in warnings)


async def test_a_margin_longer_than_the_life_shrinks_to_half(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    server.lifetime = 100
    source = make(margin=600.0)
    await source.token()
    clock.advance(49)
    await source.token()
    assert len(server.asked) == 1
    clock.advance(2)
    await source.token()
    assert len(server.asked) == 2


async def test_a_cap_of_one_second_fetches_for_each_later_use_and_never_loops(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    source = make(maximum_lifetime=1.0, margin=600.0)
    for number in range(1, 4):
        assert (await source.token()).access == Secret(f"access-{number}")
        clock.advance(2)
    assert len(server.asked) == 3


async def test_a_fetched_token_is_handed_out_even_if_it_is_over_at_once(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    answer = said(access_token="slow", token_type="Bearer", expires_in=1)
    answer.before = lambda: clock.advance(5)
    server.script.append(answer)
    assert (await make().token()).access == Secret("slow")


async def test_ten_callers_cost_one_request(make: Make, server: TokenServer) -> None:
    source = make()
    tokens = await asyncio.gather(*(source.token() for _ in range(10)))
    assert len(set(tokens)) == 1
    assert len(server.asked) == 1


async def test_a_caller_that_gives_up_does_not_take_the_others_along(make: Make, server: TokenServer) -> None:
    asked, go = threading.Event(), threading.Event()
    answer = said(access_token="shared", token_type="Bearer")
    answer.before = lambda: (asked.set(), go.wait())
    server.script.append(answer)
    source = make()
    first, second = asyncio.create_task(source.token()), asyncio.create_task(source.token())
    await asyncio.to_thread(asked.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert (await second).access == Secret("shared")
    assert len(server.asked) == 1


async def test_ten_refused_connections_cause_one_renewal(make: Make, server: TokenServer) -> None:
    source = make()
    old = await source.token()

    async def refused() -> Secret:
        await source.invalidate(old)
        return (await source.token()).access

    assert set(await asyncio.gather(*(refused() for _ in range(10)))) == {Secret("access-2")}
    assert len(server.asked) == 2


async def test_invalidate_of_an_older_token_leaves_the_newer(make: Make, server: TokenServer) -> None:
    source = make()
    old = await source.token()
    await source.invalidate(old)
    new = await source.token()
    await source.invalidate(old)
    assert await source.token() == new
    assert len(server.asked) == 2


async def test_invalidate_reaches_the_store_too(make: Make, store: GrantStore, server: TokenServer) -> None:
    source = make()
    await source.invalidate(await source.token())
    assert (await store.load()).access is None
    assert (await make().token()).access == Secret("access-2")


async def test_a_fresh_token_is_asked_for_although_a_good_one_is_kept(
    make: Make, server: TokenServer
) -> None:
    source = make()
    kept = await source.token()
    fresh = await source.fresh()
    assert fresh.access != kept.access
    assert await source.token() == fresh
    server.script.append(Answer(503))
    with pytest.raises(TokenUnavailable):
        await source.fresh()
    assert await source.token() == fresh  # which a failure does not cost


async def test_another_source_adopts_what_is_kept(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    await make().token()
    clock.advance(600)
    adopted = await make().token()
    assert adopted.access == Secret("access-1")
    assert adopted.expires_at == pytest.approx(clock.monotonic() + 3000)
    assert len(server.asked) == 1


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
async def test_o11_a_jump_of_the_wall_clock_does_not_touch_a_token_in_use(
    make: Make, server: TokenServer, clock: ManualClock, jump: float
) -> None:
    source = make()
    await source.token()
    clock.jump(jump)
    await source.token()
    assert len(server.asked) == 1
    await make().token()  # one that knows only the kept state cannot tell, and asks
    assert len(server.asked) == 2


async def test_refresh_early_fail_late(make: Make, server: TokenServer, clock: ManualClock) -> None:
    source = make(margin=600.0)
    first = await source.token()
    clock.advance(3300)
    server.script.extend([Answer(503), Answer(503)])
    assert await source.token() == first
    assert await source.token() == first
    assert len(server.asked) == 2, "a good token is not tried to be renewed at each use"
    clock.advance(11)
    assert await source.token() == first
    clock.advance(11)
    assert (await source.token()).access == Secret("access-2")


async def test_when_the_token_is_over_the_trouble_is_told(
    make: Make, server: TokenServer, clock: ManualClock
) -> None:
    source = make()
    await source.token()
    clock.advance(3600)
    server.script.append(Answer(503))
    with pytest.raises(TokenUnavailable, match="HTTP 503") as caught:
        await source.token()
    assert caught.value.account == "alerts"


async def test_retry_after_is_obeyed(make: Make, server: TokenServer, clock: ManualClock) -> None:
    server.script.append(Answer(429, b"Too Many Requests", {"Retry-After": "60"}))
    source = make()
    with pytest.raises(TokenUnavailable) as caught:
        await source.token()
    assert caught.value.retry_after == 60.0
    clock.advance(20)
    with pytest.raises(TokenUnavailable, match="40 s") as caught:
        await source.token()
    assert caught.value.retry_after == 40.0
    assert len(server.asked) == 1
    clock.advance(40)
    assert (await source.token()).access == Secret("access-1")


async def test_nobody_listening_is_transient(clock: ManualClock) -> None:
    source = CachedSource(ClientCredentials("relay"), Endpoint("http://127.0.0.1:1/token"), clock=clock)
    with pytest.raises(TokenUnavailable, match="cannot be reached"):
        await source.token()


async def test_a_captive_portal_is_waited_out_and_then_held(make: Make, server: TokenServer) -> None:
    source = make()
    server.script.extend(Answer(200, b"<html>") for _ in range(5))
    for _ in range(4):
        with pytest.raises(TokenUnavailable):
            await source.token()
    with pytest.raises(GrantRefused) as caught:
        await source.token()
    assert caught.value.configuration
    assert (await source.token()).access == Secret("access-1")


async def test_a_static_token_cannot_be_renewed(make: Make) -> None:
    source = make(StaticToken(Secret("fixed")), store=None)
    token = await source.token()
    await source.invalidate(token)
    with pytest.raises(GrantRefused, match="static token cannot be renewed"):
        await source.token()
    assert (await source.token()).access == Secret("fixed"), "a later probe may try it again"


async def test_a_static_token_that_was_replaced_is_taken(make: Make) -> None:
    class Changing(GivenSecret):
        async def read(self) -> Secret:
            return values.pop(0)

    values = [Secret("one"), Secret("two")]
    source = make(StaticToken(Changing(Secret(""))), store=None)
    await source.invalidate(await source.token())
    assert (await source.token()).access == Secret("two")


async def test_secrets_are_read_at_each_request(
    make: Make, server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from postbearer.secrets import source as secret

    monkeypatch.setenv("ROTATED", "one")
    source = make(ClientCredentials("relay", secret("env:ROTATED")))
    await source.invalidate(await source.token())
    monkeypatch.setenv("ROTATED", "two")
    await source.token()
    assert [asked.form["client_secret"] for asked in server.asked] == ["one", "two"]


async def test_whoever_listens_hears_of_each_fetch(make: Make) -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard: list[Event] = []

        def notice(self, event: Event) -> None:
            self.heard.append(event)

    listener = Listener()
    source = make(observer=listener)
    await asyncio.gather(source.token(), source.token())
    assert listener.heard == [
        TokenFetched("alerts", "client-credentials", 3600.0, "smtp.send"),
        TokenRequested("alerts", grant="client-credentials", seconds=0.0),
    ]


def test_event_loops_come_and_go(server: TokenServer) -> None:
    source = CachedSource(ClientCredentials("relay"), Endpoint(server.url))
    first = asyncio.run(source.token())
    assert asyncio.run(source.token()) == first
    asyncio.run(source.invalidate(first))
    assert token_blocking(source) != first
    assert len(server.asked) == 2


def test_threads_with_loops_of_their_own_share_one_flight(server: TokenServer) -> None:
    source = CachedSource(ClientCredentials("relay"), Endpoint(server.url))
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(source.token_blocking())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(got)) == 1
    assert len(server.asked) == 1


def test_a_loop_that_ends_in_mid_flight_does_not_block_the_next(server: TokenServer) -> None:
    go = threading.Event()
    answer = said(access_token="lost", token_type="Bearer")
    answer.before = go.wait
    server.script.append(answer)
    source = CachedSource(ClientCredentials("relay"), Endpoint(server.url))

    async def impatient() -> None:
        await asyncio.wait_for(source.token(), timeout=0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    go.set()
    assert asyncio.run(source.token()).access == Secret("access-1")


async def test_token_blocking_refuses_to_stop_a_loop(make: Make) -> None:
    with pytest.raises(UsageError, match="event loop"):
        make().token_blocking()


async def test_a_refused_password_is_never_tried_again(
    make: Make, server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from postbearer.secrets import source as secret

    monkeypatch.setenv("PASSWORD", "wrong")
    source = make(Password("relay", "alerts@example.org", secret("env:PASSWORD")))
    server.script.append(said(400, error="invalid_grant", error_description="AADSTS50126"))
    with pytest.raises(GrantRefused, match="AADSTS50126"):
        await source.token()
    for _ in range(3):
        with pytest.raises(GrantRefused, match="not tried again"):
            await source.token()
    assert len(server.asked) == 1
    monkeypatch.setenv("PASSWORD", "right")
    assert (await source.token()).access == Secret("access-1")
