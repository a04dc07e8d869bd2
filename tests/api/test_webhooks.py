"""Webhooks by HTTP: seen, tried, sent to once more, enabled; by those who may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.hooks import Hooks, receiving
from support.http_api import ACCOUNT, CLIENTS, HTTP, Api
from support.spooling import accept
from support.waiting import until
from support.webhooks import SECRET

CANARY = "canary-path"


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with receiving() as made:
        yield made


@pytest.fixture
async def api(home: Path, hooks: Hooks) -> AsyncIterator[Api]:
    (home / "secret").write_text(SECRET)
    (home / "secret").chmod(0o600)
    hook = (
        f'[[webhooks]]\nname = "shop"\nurl = "{hooks.url}/{CANARY}"\nsecrets = ["file:secret"]\n'
        "allow-private = true\n"
    )
    made = Api(home, ACCOUNT + CLIENTS + HTTP + hook)
    await made.start()
    await made.running.dispatcher.pause("out")
    yield made
    await made.running.stop(0.0)


async def called(hooks: Hooks, count: int) -> None:
    await until(lambda: len(hooks.calls) >= count)


async def test_seen_tried_and_told_once_more(api: Api, hooks: Hooks) -> None:
    now = api.running._queue_clock.now()
    for name in ("m1", "m2"):
        await accept(api.running.spool, name, account="out", accepted=now, due=now)
    await called(hooks, 2)
    async with api.http(api.token("operate")) as client:
        answer = await client.get("/v1/webhooks")
        (shown,) = answer.json()["webhooks"]
        assert (shown["name"], shown["state"], shown["waiting"]) == ("shop", "working", 0)
        assert CANARY not in answer.text
        tested = (await client.post("/v1/webhooks/shop/test")).json()
        assert (tested["arrived"], tested["status"]) == (True, 204)
        assert hooks.calls[-1].json["type"] == "webhook.test"
        for body, events in (({}, 2), ({"after": 1}, 1), ({"message": "m1"}, 1), ({"since": now - 60}, 2)):
            before = len(hooks.calls)
            answer = await client.post("/v1/webhooks/shop/replay", json=body)
            assert (answer.status_code, answer.json()["events"]) == (200, events), answer.text
            await called(hooks, before + events)
        hooks.always = (410, {})
        assert (await client.post("/v1/webhooks/shop/test")).json()["arrived"] is False
        answer = await client.post("/v1/webhooks/shop/enable")
        assert (answer.status_code, answer.json()["state"]) == (200, "working")


@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("crm/test", None, 404, "There is no webhook"),
        ("shop/replay", {"after": -1}, 422, "/after"),
        ("shop/replay", {"after": 10**30}, 422, ""),
        ("shop/replay", {"from": 1}, 422, "/from"),
        ("shop/replay", {"since": "now"}, 422, "/since"),
        ("shop/replay", {"after": 17}, 422, "Nothing has happened since"),
        ("shop/replay", [], 422, ""),
        ("%00/enable", None, 404, ""),
    ],
)
async def test_what_is_wrong_is_named(api: Api, path: str, body: Any, status: int, why: str) -> None:
    async with api.http(api.token("operate")) as client:
        answer = await client.post(f"/v1/webhooks/{path}", **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text
    assert why in answer.text


async def test_a_token_of_one_client_sees_no_webhooks(api: Api) -> None:
    async with api.http(api.token("operate", client="shop")) as client:
        assert (await client.get("/v1/webhooks")).status_code == 403
        assert (await client.post("/v1/webhooks/shop/test")).status_code == 403
