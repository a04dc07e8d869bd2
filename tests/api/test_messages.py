"""What is seen of the queue and of accounts by HTTP, and done to them; and by whom."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from postbearer.events import OperatorAction
from support.http_api import Api

HELLO = {"to": ["you@example.org", "other@example.org"], "subject": "hello", "text": "hello"}


async def submitted(client: httpx2.AsyncClient, **more: Any) -> str:
    answer = await client.post("/v1/messages", json=HELLO | more)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def test_a_message_is_seen_and_worked_on(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        assert (await client.post("/v1/accounts/out/pause")).json()["state"] == "paused"
        identifier = await submitted(client)
        place = f"/v1/messages/{identifier}"
        shown = (await client.get(place)).json()
        assert [each["id"] for each in shown["recipients"]] == [f"{identifier}.1", f"{identifier}.2"]
        assert (shown["subject"], shown["attempts"]) == ("hello", [])
        held = await client.post(f"{place}/hold", json={"recipient": "you@example.org"})
        assert held.json() == {"id": identifier, "changed": 1, "states": {"ready": 1, "held": 1}}
        states = {each["address"]: each["state"] for each in (await client.get(place)).json()["recipients"]}
        assert (states["you@example.org"], states["other@example.org"] != "held") == ("held", True)
        released = (await client.post(f"{place}/release")).json()
        assert released["paused"][0]["account"] == "out"
        assert (await client.post(f"{place}/retry", json={})).status_code == 200
        assert (await client.post(f"{place}/cancel")).json()["changed"] == 2
        assert (await client.post("/v1/accounts/out/resume")).json()["state"] == "ready"
    acts = [(event.action, event.known_by) for event in api.ears.events if isinstance(event, OperatorAction)]
    assert [action for action, _ in acts] == ["pause", "hold", "release", "retry", "cancel", "resume"]
    assert {known_by for _, known_by in acts} == {"API token"}


async def test_a_message_is_sent_again_as_a_new_one(api: Api) -> None:
    async with api.http(api.token("operate", "submit")) as client:
        old = await submitted(client)
        place = f"/v1/messages/{old}/resend"
        done = await client.post(place)
        assert done.status_code == 202, done.text
        made = done.json()
        assert made["original"] == old
        assert made["recipients"] == HELLO["to"]
        assert done.headers["location"] == f"/v1/messages/{made['id']}"
        shown = (await client.get(done.headers["location"])).json()
        first = (await client.get(f"/v1/messages/{old}")).json()
        assert (shown["sha256"], shown["client"]) == (first["sha256"], first["client"])
        one = await client.post(place, json={"to": ["you@example.org"]})
        assert one.json()["recipients"] == ["you@example.org"]
        key = {"idempotency-key": "again"}
        ids = {(await client.post(place, headers=key)).json()["id"] for _ in range(2)}
        assert len(ids) == 1
        reused = await client.post(place, headers=key, json={"to": ["you@example.org"]})
        assert reused.status_code == 409, reused.text
        strange = await client.post(place, json={"to": ["eve@example.org"]})
        assert (strange.status_code, "was not for eve@example.org" in strange.text) == (403, True)
        for wrong in ({"to": "you@example.org"}, {"to": [""]}, {"whom": []}, {"to": ["x"] * 101}):
            assert (await client.post(place, json=wrong)).status_code == 422, wrong
        assert (await client.post("/v1/messages/none/resend")).status_code == 404
        assert len((await client.get("/v1/messages")).json()["messages"]) == 4
    async with api.http(api.token("read")) as client:
        assert (await client.post(place)).status_code == 403
    async with api.http(api.token("admin")) as client:
        other = await client.post(place, json={"to": ["eve@example.org"]})
        assert other.json()["recipients"] == ["eve@example.org"]


async def test_a_client_resends_its_own_by_its_own_rules_and_limits(api: Api) -> None:
    async with api.http(api.token("operate", "submit", client="slow")) as client:
        old = await submitted(client, **{"from": "a@example.org"})
        assert (await client.post(f"/v1/messages/{old}/resend")).status_code == 202
        third = await client.post(f"/v1/messages/{old}/resend")
        assert (third.status_code, "messages of this minute" in third.text) == (429, True)
    async with api.http(api.token("operate", client="shop")) as client:
        assert (await client.post(f"/v1/messages/{old}/resend")).status_code == 404
    async with api.http(api.token("operate")) as client:
        api.text = api.text.replace('name = "slow"', 'name = "fast"')
        await api.reload()
        gone = await client.post(f"/v1/messages/{old}/resend")
        assert (gone.status_code, "slow, which is no client any more" in gone.text) == (422, True)


async def test_a_list_goes_on_with_its_cursor_and_with_no_other(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        made = [await submitted(client, subject=f"n{number}") for number in range(5)]
        seen: list[str] = []
        asked: dict[str, Any] = {"limit": 2, "account": "out"}
        while True:
            page = (await client.get("/v1/messages", params=asked)).json()
            seen += [each["id"] for each in page["messages"]]
            if page["cursor"] is None:
                break
            last = asked["cursor"] = page["cursor"]
        assert seen == made
        for wrong in (
            {"cursor": last},  # of another list
            {"cursor": last, "account": "other"},
            {"cursor": last[:-1] + ("A" if last[-1] != "A" else "B"), "account": "out"},
            {"cursor": made[0], "account": "out"},
            {"cursor": "!", "account": "out"},
            {"cursor": "\u00e4", "account": "out"},
            {"cursor": "A" * 1000, "account": "out"},
        ):
            answer = await client.get("/v1/messages", params=wrong)
            assert answer.status_code == 400, (wrong, answer.text)
            assert answer.json()["errors"][0]["parameter"] == "cursor", (wrong, answer.text)
        larger = await client.get("/v1/messages", params={"cursor": last, "account": "out", "limit": 50})
        assert larger.status_code == 200


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("state=held", 1),
        ("state=held&state=ready&state=deferred&state=leased", 2),
        ("account=out", 2),
        ("account=other", 0),
        ("address=OTHER@example.org", 2),
        ("client=nobody", 0),
        ("q=to:other@example.org+state:held,ready,deferred,leased", 2),
        ("q=account:other", 0),
        ("q=newer:1h&client=nobody", 0),
        ("accepted-before=1", 0),
        ("accepted-after=1", 2),
    ],
)
async def test_filters(api: Api, asked: str, found: int) -> None:
    async with api.http(api.token("admin")) as client:
        first, _ = [await submitted(client) for _ in range(2)]
        await client.post("/v1/accounts/out/pause")
        held = (await client.post(f"/v1/messages/{first}/hold")).json()["changed"]
        page = (await client.get(f"/v1/messages?{asked}")).json()
    if "state" not in asked or held:
        assert len(page["messages"]) == found


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("state=lost", "state"),
        ("q=sate:lost", "q"),
        ("q=account:out&account=out", "q"),
        ("accepted-before=yesterday", "accepted-before"),
        ("older-than=1", "older-than"),
        ("account=%ff", ""),
        ("account=" + "x" * 1001, "account"),
        ("&".join(f"x{n}=1" for n in range(500)), ""),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(api: Api, query: str, parameter: str) -> None:
    async with api.http(api.token("read")) as client:
        answer = await client.get(f"/v1/messages?{query}")
    told = answer.json()
    assert answer.status_code in (400, 422), told
    assert told.get("errors", [{}])[0].get("parameter", "") == parameter, told


async def test_what_is_not_there(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        for path in (
            "/v1/messages/x",
            "/v1/messages/%1b%5b2J",
            "/v1/accounts/x",
            "/v1/messages/" + "x" * 2000,
        ):
            answer = await client.get(path)
            assert (answer.status_code, "\x1b" in answer.text) == (404, False)
        for path in ("/v1/messages/x/hold", "/v1/accounts/x/pause"):
            assert (await client.post(path)).status_code == 404
        identifier = await submitted(client)
        wrong = await client.post(f"/v1/messages/{identifier}/hold", json={"recipient": "x@example.org"})
        assert wrong.status_code == 404
        wrong = await client.post(f"/v1/messages/{identifier}/hold", json={"address": "x@example.org"})
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/address")


async def test_a_token_of_a_client_sees_and_touches_its_own_alone(api: Api) -> None:
    mine = api.token("submit", "operate", client="shop")
    async with api.http(api.token("admin")) as everyone, api.http(mine) as shop:
        other = await submitted(everyone)
        own = await submitted(shop, **{"from": "a@shop.example.org"})
        for asked in ("", "?client=token:t1", "?client=shop"):
            page = (await shop.get(f"/v1/messages{asked}")).json()
            assert [each["id"] for each in page["messages"]] == [own]
        assert (await shop.get(f"/v1/messages/{other}")).status_code == 404
        assert (await shop.post(f"/v1/messages/{other}/cancel")).status_code == 404
        assert (await shop.get(f"/v1/messages/{own}")).status_code == 200
        assert (await shop.post(f"/v1/messages/{own}/hold")).status_code == 200
        for path in ("/v1/accounts", "/v1/accounts/out"):
            assert (await shop.get(path)).status_code == 403
        assert (await shop.post("/v1/accounts/out/pause")).status_code == 403
        assert len((await everyone.get("/v1/messages")).json()["messages"]) == 2


async def test_hostile_text_is_shown_as_text(api: Api) -> None:
    raw = b"From: a@example.org\r\nSubject: <script>\x1b[2J\xe2\x80\xa8\r\n\r\nx\r\n"
    way = "/v1/messages?from=a@example.org&to=b@example.org"
    async with api.http(api.token("admin")) as client:
        made = await client.post(way, content=raw, headers={"content-type": "message/rfc822"})
        answer = await client.get(f"/v1/messages/{made.json()['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"\x1b" not in answer.content
    assert "\u2028" not in answer.text
