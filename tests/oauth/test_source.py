"""The token source: how often it asks, what it hands out, and what it does when asking fails."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from postbearer.errors import GrantRefused, StoreError, TokenUnavailable, UsageError
from postbearer.keeping import KeyFile, StateFolder, TokenFile
from postbearer.oauth import (
    CachedSource,
    ClientCredentials,
    Endpoint,
    GrantStore,
    Kept,
    MemoryStore,
    RefreshToken,
    StaticToken,
    token_blocking,
)
from postbearer.observer import Event, TokenFetched
from postbearer.secret import Given, Secret
from postbearer.testing import ManualClock
from support.canary import assert_absent
from support.tokenserver import Answer, TokenServer, said

Make = Callable[..., CachedSource]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "file"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[GrantStore]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        folder = StateFolder(tmp_path / "state")
        yield TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box, clock=clock)


@pytest.fixture
def make(server: TokenServer, clock: ManualClock, store: GrantStore) -> Make:
    """A source for `server`, on the manual clock."""

    def build(grant: object = None, **changes: object) -> CachedSource:
        grant = grant or ClientCredentials("relay", Secret("client-secret"), scopes=["smtp.send"])
        options = {"account": "alerts", "clock": clock, "store": store, **changes}
        return CachedSource(grant, Endpoint(server.url), **options)  # type: ignore[arg-type]

    return build


def refresh_grant(token: str = "refresh-0") -> RefreshToken:
    return RefreshToken("relay", Secret(token), Secret("client-secret"))


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
    class Changing(Given):
        async def read(self) -> Secret:
            return values.pop(0)

    values = [Secret("one"), Secret("two")]
    source = make(StaticToken(Changing(Secret(""))), store=None)
    await source.invalidate(await source.token())
    assert (await source.token()).access == Secret("two")


async def test_secrets_are_read_at_each_request(
    make: Make, server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from postbearer.keeping import source as secret

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
    assert listener.heard == [TokenFetched("alerts", "client-credentials", 3600.0, "smtp.send")]


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


# -- refresh tokens


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
        asyncio.run(store.save(Kept(refresh=Secret("signed-in"))))

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

    async def save(self, kept: Kept) -> bool:
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


# -- NO-CANARY


CANARIES = {
    "client": "0.AAACANARY-client+secret/~x",
    "access": "ya29.CANARY-access-token",
    "refresh": "1//CANARY-refresh-token",
}


@pytest.mark.parametrize("authentication", ["post", "basic"])
@pytest.mark.parametrize(
    "answer",
    [
        said(access_token=CANARIES["access"], token_type="Bearer", refresh_token=CANARIES["refresh"]),
        said(access_token=CANARIES["access"] + "\x01", token_type="Bearer"),
        said(access_token=CANARIES["access"], token_type="mac", refresh_token=CANARIES["refresh"]),
        said(access_token=CANARIES["access"], token_type="Bearer", expires_in=-1),
        said(401, error="invalid_client", error_description=f"no {CANARIES['client']} {CANARIES['refresh']}"),
        Answer(500, CANARIES["client"].encode()),
        Answer(302, headers={"Location": f"https://x.example.org/?s={CANARIES['client']}"}),
        Answer(200, b"x" * 70_000 + CANARIES["access"].encode()),
        Answer(hang_up=True),
    ],
)
async def test_o9_no_canary_in_logs_reprs_and_tracebacks_with_local_variables(
    make: Make,
    server: TokenServer,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    authentication: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    grant = RefreshToken(
        "relay",
        Secret(CANARIES["refresh"]),
        Secret(CANARIES["client"]),
        authentication=authentication,  # type: ignore[arg-type]
    )
    source = make(grant)
    server.script.append(answer)
    written = [repr(source), repr(grant)]
    try:
        written.append(repr(await source.token()))
    except Exception as error:
        logging.getLogger("test").exception("failed")
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        for one in (report, report.__cause__, report.__context__):
            # Only frames of ours and of libraries: the test itself holds the canaries.
            stack = one.stack if one is not None else []
            written += [repr(frame.locals) for frame in stack if frame.filename != __file__]
        written += [str(error), repr(error), repr(error.args)]
    for canary in CANARIES.values():
        assert_absent(canary, caplog.text, *written)


async def test_o8_the_state_on_disk_shows_no_secret(
    server: TokenServer, tmp_path: Path, clock: ManualClock
) -> None:
    server.script.append(
        said(access_token=CANARIES["access"], token_type="Bearer", refresh_token=CANARIES["refresh"])
    )
    folder = StateFolder(tmp_path / "state")
    store = TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box, clock=clock)
    grant = RefreshToken("relay", Secret("1//another-CANARY"), Secret(CANARIES["client"]))
    await CachedSource(grant, Endpoint(server.url), account="alerts", store=store, clock=clock).token()
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"key", "alerts", "alerts.lock"}
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o600
        for canary in (*CANARIES.values(), "1//another-CANARY"):
            assert_absent(canary, path.read_bytes())
