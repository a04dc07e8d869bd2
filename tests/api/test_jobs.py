"""Actions on all that matches, by HTTP: counted, begun, followed, cancelled; and messages moved."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from postbearer.control import JobRunner, job_runner
from support.http_api import ACCOUNT, CLIENTS, HTTP, Api

SPARE = """
[accounts.spare]
provider = "smtp"
address = "spare@example.org"
servers = ["127.0.0.1:{port}"]
authentication = "none"
tls = "none-loopback"
sender = "check"
[accounts.far]
provider = "smtp"
address = "far@example.org"
servers = ["127.0.0.1:{port}"]
authentication = "none"
tls = "none-loopback"
"""
HELLO = {"to": ["you@example.org"], "subject": "hello", "text": "hello"}


async def fill(client: httpx2.AsyncClient, count: int, **more: Any) -> list[str]:
    """So many messages that wait: their account is paused."""
    await client.post("/v1/accounts/out/pause")
    ids = []
    for _ in range(count):
        answer = await client.post("/v1/messages", json=HELLO | more)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
    return ids


async def ended(client: httpx2.AsyncClient, place: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            told: dict[str, Any] = (await client.get(place)).json()
            if told["state"] != "running":
                return told


async def test_a_search_says_which_messages_are_meant(api: Api) -> None:
    async with api.http(api.token("operate", "submit")) as client:
        await fill(client, 2, tags={"customer": "42"})
        await fill(client, 1, tags={"customer": "43"})
        for wanted, matched in (
            ({"q": "tag:customer:42 to:you@"}, 2),
            ({"tag": ["customer:43"], "q": "newer:1h"}, 1),
        ):
            asked = {"action": "hold", "filter": wanted, "dry-run": True}
            assert (await client.post("/v1/jobs", json=asked)).json()["matched"] == matched
        wrong = await client.post("/v1/jobs", json={"action": "hold", "filter": {"q": "older:soon"}})
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/filter/q")
        assert "(at 1)" in wrong.json()["detail"]


async def test_what_matches_is_counted_and_then_cancelled(api: Api) -> None:
    async with api.http(api.token("operate", "submit")) as client:
        await fill(client, 3)
        wanted = {"action": "cancel", "filter": {"account": "out", "accepted-after": 0}}
        counted = await client.post("/v1/jobs", json=wanted | {"dry-run": True})
        assert (counted.status_code, "location" in counted.headers) == (200, False)
        assert (counted.json()["state"], counted.json()["matched"]) == ("dry-run", 3)
        assert "id" not in counted.json()
        unsaid = await client.post("/v1/jobs", json=wanted)
        assert (unsaid.status_code, unsaid.json()["type"]) == (422, "urn:postbearer:problem:invalid")
        stale = await client.post("/v1/jobs", json=wanted | {"count": 2})
        assert (stale.status_code, stale.json()["type"]) == (409, "urn:postbearer:problem:conflict")
        assert "3 messages match now" in stale.json()["detail"]
        begun = await client.post("/v1/jobs", json=wanted | {"count": 3})
        assert begun.status_code == 202
        told = await ended(client, begun.headers["location"])
        assert (told["state"], told["done"], told["changed"], told["refused"]) == ("done", 3, 3, 0)
        assert told["matching"]["states"] == ["scheduled", "ready", "deferred", "held"]
        page = (await client.get("/v1/messages", params={"state": "cancelled"})).json()
        assert len(page["messages"]) == 3
        assert [each["id"] for each in (await client.get("/v1/jobs")).json()["jobs"]] == [told["id"]]
        late = await client.post(f"{begun.headers['location']}/cancel")
        assert (late.status_code, late.json()["detail"]) == (409, f"The job {told['id']} has ended: done.")


@pytest.mark.parametrize(
    ("wanted", "status", "place"),
    [
        ({"action": "burn"}, 422, "/action"),
        ({}, 422, "/action"),
        ({"action": "hold", "filter": {"acount": "out"}}, 422, "/filter/acount"),
        ({"action": "hold", "filter": {"state": ["lost"]}}, 422, "/filter/state/0"),
        ({"action": "hold", "filter": {"state": ["delivered"]}, "count": 0}, 422, ""),
        ({"action": "hold", "filter": None}, 422, "/filter"),
        ({"action": "hold", "count": -1}, 422, "/count"),
        ({"action": "hold", "count": 10**40}, 422, "/count"),
        ({"action": "hold", "count": "3"}, 422, "/count"),
        ({"action": "move", "count": 0}, 422, ""),
        ({"action": "move", "count": 0, "account": "\x1b[31m\u2028"}, 422, ""),
        ({"action": "hold", "count": 0, "account": "out"}, 422, ""),
        ({"action": "hold", "filter": {"address": "x" * 1001}}, 422, "/filter/address"),
    ],
)
async def test_what_cannot_be_begun_is_told_with_its_place(
    api: Api, wanted: dict[str, Any], status: int, place: str
) -> None:
    async with api.http(api.token("operate")) as client:
        answer = await client.post("/v1/jobs", json=wanted)
        assert answer.status_code == status, answer.text
        assert [each.get("pointer", "") for each in answer.json().get("errors", [])] == (
            [place] if place else []
        )
        assert answer.json()["detail"].isprintable()
        assert (await client.get("/v1/jobs")).json() == {"jobs": []}


@pytest.mark.parametrize("identifier", ["none", "%00", "..%2f..", "x" * 3000])
async def test_ids_from_elsewhere_are_none(api: Api, identifier: str) -> None:
    async with api.http(api.token("operate")) as client:
        assert (await client.get(f"/v1/jobs/{identifier}")).status_code == 404
        assert (await client.post(f"/v1/jobs/{identifier}/cancel")).status_code == 404


async def test_a_client_works_on_its_own_messages_and_sees_its_own_jobs(api: Api) -> None:
    async with (
        api.http(api.token("admin")) as admin,
        api.http(api.token("operate", "submit", client="shop")) as shop,
    ):
        await fill(admin, 2)
        mine = await fill(shop, 1, **{"from": "a@shop.example.org"})
        wanted = {"action": "hold"}
        counted = (await shop.post("/v1/jobs", json=wanted | {"dry-run": True})).json()
        assert (counted["matched"], counted["matching"]["client"]) == (1, "shop")
        told = await ended(
            shop, (await shop.post("/v1/jobs", json=wanted | {"count": 1})).headers["location"]
        )
        assert told["changed"] == 1
        all_ = await admin.post("/v1/jobs", json=wanted | {"count": 2})
        assert (await shop.get(all_.headers["location"])).status_code == 404
        assert (await shop.post(all_.headers["location"] + "/cancel")).status_code == 404
        assert [each["id"] for each in (await shop.get("/v1/jobs")).json()["jobs"]] == [told["id"]]
        other = await shop.post("/v1/jobs", json=wanted | {"filter": {"client": "slow"}, "dry-run": True})
        assert other.status_code == 422
        for place, body in (
            ("/v1/jobs", {"action": "move", "account": "out", "count": 1}),
            (f"/v1/messages/{mine[0]}/move", {"account": "out"}),
        ):
            assert (await shop.post(place, json=body)).status_code == 403


async def test_messages_are_moved_to_an_account_that_may_send_them(home: Path) -> None:
    api = Api(home, ACCOUNT.replace("[relay]", f'{SPARE}[relay]\naccount = "out"') + CLIENTS + HTTP)
    await api.start()
    try:
        async with api.http(api.token("admin")) as client:
            mine, his = [
                (await fill(client, 1, **{"from": each}))[0]
                for each in ("spare@example.org", "b@example.org")
            ]
            for place in ("far", "spare"):
                await client.post(f"/v1/accounts/{place}/pause")
            refused = await client.post(f"/v1/messages/{his}/move", json={"account": "spare"})
            assert (refused.status_code, "b@example.org" in refused.json()["detail"]) == (422, True)
            moved = (await client.post(f"/v1/messages/{mine}/move", json={"account": "spare"})).json()
            assert (moved["changed"], moved["paused"][0]["account"]) == (1, "spare")
            shown = (await client.get(f"/v1/messages/{mine}")).json()
            assert [each["account"] for each in shown["recipients"]] == ["spare"]
            unknown = await client.post(f"/v1/messages/{mine}/move", json={"account": "spar"})
            assert (unknown.status_code, "spare" in unknown.json()["hint"]) == (422, True)
            assert (await client.post("/v1/messages/none/move", json={"account": "far"})).status_code == 404
            assert (await client.post(f"/v1/messages/{mine}/move")).status_code == 415
            begun = await client.post("/v1/jobs", json={"action": "move", "account": "spare", "count": 2})
            told = await ended(client, begun.headers["location"])
            assert (told["done"], told["changed"], told["refused"]) == (2, 0, 1)
            assert told["error"].startswith(f"{his}: Mail may not leave this account as b@example.org")
            begun = await client.post("/v1/jobs", json={"action": "move", "account": "far", "count": 2})
            assert (await ended(client, begun.headers["location"]))["changed"] == 2
            events = await api.running.spool.history(0, 100)
            assert [(each.message, each.account, each.said) for each in events if each.said] == [
                (mine, "spare", "Moved from the account out."),
                (mine, "far", "Moved from the account spare."),
                (his, "far", "Moved from the account out."),
            ]
    finally:
        await api.running.stop(0.0)


async def test_a_job_goes_on_after_a_restart(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is interrupted in its middle: the next relay finishes it, and each message is worked on once."""
    first, one_step, stuck = JobRunner.step, asyncio.Event(), asyncio.Event()

    async def step(runner: JobRunner) -> bool:
        done = not one_step.is_set() and await first(runner)
        if done:
            one_step.set()
            await stuck.wait()
        return done

    monkeypatch.setattr(job_runner, "MOST", 5)
    monkeypatch.setattr(JobRunner, "step", step)
    api = Api(home)
    await api.start()
    async with api.http(api.token("admin")) as client:
        ids = await fill(client, 12)
        begun = await client.post("/v1/jobs", json={"action": "hold", "count": 12})
        place = begun.headers["location"]
        await one_step.wait()
        told = (await client.get(place)).json()
        assert (told["state"], told["done"]) == ("running", 5)
        await api.running.stop(0.0)
    monkeypatch.setattr(JobRunner, "step", first)
    await api.start()
    try:
        async with api.http(api.token("admin")) as client:
            told = await ended(client, place)
            assert (told["state"], told["done"], told["changed"]) == ("done", 12, 12)
            for each in ids:
                assert (await client.get(f"/v1/messages/{each}")).json()["recipients"][0]["state"] == "held"
    finally:
        await api.running.stop(0.0)
