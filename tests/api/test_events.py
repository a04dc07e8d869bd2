"""Server-sent events: all that becomes of messages, once, in order, across restarts of client and relay."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from postbearer.api import events
from postbearer.store import Status
from postbearer.tracking import feed
from support.http_api import Api
from support.spooling import accept


@pytest.fixture
async def read(api: Api) -> dict[str, str]:
    await api.running.dispatcher.pause("out")
    return api.token("read")


async def take(api: Api, name: str, account: str = "out", **more: Any) -> None:
    """A message comes into the queue now."""
    now = time.time()
    await accept(api.running.spool, name, account=account, accepted=now, due=now, **more)


class Stream:
    """What a client was told."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.retry = ""

    async def next(self) -> dict[str, Any]:
        """The next event; its name is `event`, and `id` that of the stream."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "retry":
                    self.retry = value
                elif line and not line.startswith(":"):
                    found[name] = value
                elif found:
                    return {**json.loads(found.pop("data")), **found}
        raise AssertionError("the stream has ended")

    async def words(self, count: int) -> list[str]:
        return [(await self.next())["event"] for _ in range(count)]

    async def ended(self) -> bool:
        async with asyncio.timeout(10):
            return [line async for line in self._lines if line.startswith(("id", "event", "data"))] == []


@asynccontextmanager
async def streaming(api: Api, headers: dict[str, str], **query: Any) -> AsyncIterator[Stream]:
    async with api.http(headers) as client, client.stream("GET", "/v1/events", params=query) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


async def test_what_becomes_of_a_message_is_told(api: Api, read: dict[str, str]) -> None:
    spool = api.running.spool
    async with streaming(api, read) as stream:
        await take(api, "m1", recipients=("a@example.net", "b@example.net"))
        first = await stream.next()
        at = first.pop("at")
        assert abs(at - time.time()) < 60
        assert first == {
            "id": "1",
            "event": "message.queued",
            "type": "message.queued",
            "message": "m1",
            "recipient": "a@example.net",
            "account": "out",
            "client": "app",
            "state": "ready",
            "unknown": False,
            "said": "",
            "tags": {},
        }
        assert stream.retry == "2000"
        assert (await stream.next())["recipient"] == "b@example.net"
        await spool.change("m1", Status.HELD, at)
        await spool.change("m1", Status.CANCELLED, at)
        assert await stream.words(4) == ["message.held"] * 2 + ["message.canceled"] * 2


async def test_who_comes_back_goes_on_where_it_was_also_after_a_restart(
    api: Api, read: dict[str, str]
) -> None:
    for number in range(3):
        await take(api, f"m{number}")
    async with streaming(api, read, after=0) as stream:
        assert [(await stream.next())["message"] for _ in range(2)] == ["m0", "m1"]
    await api.running.stop(0.0)
    await api.start()
    await take(api, "m3")
    async with streaming(api, read | {"last-event-id": "2"}, after=0) as stream:
        assert [(await stream.next())["message"] for _ in range(2)] == ["m2", "m3"]
        await take(api, "m4")
        assert (await stream.next())["id"] == "5"
    async with streaming(api, read) as stream:  # only what comes from now on
        await take(api, "m5")
        assert (await stream.next())["message"] == "m5"


async def test_what_is_forgotten_is_told_as_lost(api: Api, read: dict[str, str]) -> None:
    for number in range(3):
        await take(api, f"m{number}")
    await api.running.spool.retire(time.time() + 1.0)
    async with streaming(api, read, after=0) as stream:
        assert await stream.next() == {"event": "lost", "count": 2}
        assert (await stream.next())["id"] == "3"


@pytest.mark.parametrize(
    ("header", "query", "place"),
    [
        ("1", {}, "after"),
        ("", {"after": "7"}, "after"),
        ("x", {}, "Last-Event-ID"),
        ("-1", {}, "Last-Event-ID"),
        ("9" * 40, {}, "Last-Event-ID"),
        ("²", {}, "Last-Event-ID"),
        ("", {"after": "-1"}, "after"),
        ("", {"after": "1.5"}, "after"),
        ("", {"before": "1"}, "before"),
    ],
)
async def test_a_place_that_is_none_is_refused(
    api: Api, read: dict[str, str], header: str, query: dict[str, str], place: str
) -> None:
    headers = [*read.items(), *([("last-event-id", header.encode())] if header else [])]
    async with api.http() as client:
        answer = await client.get("/v1/events", headers=headers, params=query)  # type: ignore[arg-type]
    assert answer.status_code in (400, 422)
    assert place in answer.text


async def test_filters_and_a_token_that_sees_its_own_only(api: Api, read: dict[str, str]) -> None:
    api.text = api.text.replace('name = "slow"', 'name = "app"')  # by which `take` submits
    await api.reload()
    shop, app = (api.token("read", client=name) for name in ("shop", "app"))
    async with (
        streaming(api, read, message="m2") as one,
        streaming(api, read, account="other") as account,
        streaming(api, app) as own,
        streaming(api, shop) as others,
    ):
        await take(api, "m1")
        await take(api, "m2")
        await take(api, "m3", account="other")
        assert (await one.next())["message"] == "m2"
        assert (await account.next())["message"] == "m3"
        assert (await own.next())["message"] == "m1"
        await api.running.stop(0.0)
        assert await others.ended()
    await api.start()


async def test_many_who_follow_are_one_who_reads(
    api: Api, read: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    changes = api.running.spool.history

    async def counted(after: int, most: int) -> Any:
        looks.append(after)
        return await changes(after, most)

    monkeypatch.setattr(api.running.spool, "history", counted)
    async with api.http(read) as client:
        answers = [
            await client.send(client.build_request("GET", "/v1/events"), stream=True) for _ in range(30)
        ]
        streams = [Stream(answer) for answer in answers]
        for number in range(40):
            await take(api, f"m{number}")
        told = await asyncio.gather(*(stream.words(40) for stream in streams))
        assert told == [["message.queued"] * 40] * 30
        assert len(looks) < 200  # and not 30 × 40
        for answer in answers:
            await answer.aclose()
    looks.clear()
    for _ in range(500):
        if api.running._http is not None and not api.running._http._feed._followers:
            break
        await asyncio.sleep(0.01)
    await take(api, "later")
    await asyncio.sleep(0.3)
    assert looks == []  # nobody follows any more


async def test_more_than_is_kept_in_memory(
    api: Api, read: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "KEPT", 20)
    monkeypatch.setattr(feed, "PIECE", 7)
    async with streaming(api, read) as stream:
        for number in range(100):
            await take(api, f"m{number}")
        assert [(await stream.next())["id"] for _ in range(100)] == [f"{number}" for number in range(1, 101)]


async def test_a_quiet_stream_shows_that_it_stands_and_ends_with_the_relay(
    api: Api, read: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PATIENCE", 0.05)
    async with api.http(read) as client, client.stream("GET", "/v1/events") as answer:
        lines = answer.aiter_lines()
        comments = 0
        async with asyncio.timeout(10):
            async for line in lines:
                comments += line == ":"
                if comments == 3:
                    break
        async with asyncio.timeout(10):
            await api.running.stop(30.0)  # it does not wait for who listens
            assert [line async for line in lines if line.startswith("data")] == []
    await api.start()


async def test_a_stream_ends_with_its_token(
    api: Api, read: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PATIENCE", 0.05)
    ending = api.token("read", expires=time.time() + 1.0)
    async with streaming(api, read) as revoked, streaming(api, ending) as over:
        api.tokens.revoke(api.tokens.all()[-2].name)
        assert await revoked.ended()
        assert await over.ended()


async def test_who_asks_for_the_head_alone_is_answered_and_may_go_on(api: Api, read: dict[str, str]) -> None:
    async with api.http(read) as client:
        for _ in range(3):
            answer = await client.head("/v1/events")
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["content-type"].startswith("text/event-stream")
