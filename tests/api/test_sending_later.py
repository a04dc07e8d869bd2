"""``send-at`` and ``tags`` by HTTP: taken, refused by name, shown, found, and told to who follows."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from api.test_submit import EML, RAW, content
from support.http_api import Api

HELLO = {"to": "you@example.org", "subject": "hello", "text": "hello"}
DAY = 86_400.0


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


async def test_a_message_that_names_its_time_waits_for_it(api: Api) -> None:
    at = float(int(time.time() + DAY))
    async with api.http(api.token("admin")) as client:
        answer = await client.post("/v1/messages", json=HELLO | {"send-at": stamp(at)})
        told = answer.json()
        assert (answer.status_code, told["send_at"], told["leaves"]["earliest"]) == (202, at, at)
        shown = (await client.get(f"/v1/messages/{told['id']}")).json()
        (row,) = shown["recipients"]
        assert (shown["send_at"], row["state"], row["due"], row["waits"]) == (at, "scheduled", at, "")
        assert shown["expires"] == at + 5 * DAY
        (listed,) = (await client.get("/v1/messages?state=scheduled")).json()["messages"]
        assert listed["id"] == told["id"]
        (account,) = (await client.get("/v1/accounts")).json()["accounts"]
        assert account["counts"] == {"scheduled": 1}
    message = message_from_bytes(await content(api, told["id"]))
    assert parsedate_to_datetime(message["date"]).timestamp() == at


@pytest.mark.parametrize(("text", "seconds"), [("1h 30m", 5400), ("30d", 30 * DAY), ("90", 90)])
async def test_a_while_from_now(api: Api, text: str, seconds: float) -> None:
    async with api.http(api.token("submit")) as client:
        told = (await client.post("/v1/messages", json=HELLO | {"send-at": text})).json()
    assert told["send_at"] == pytest.approx(time.time() + seconds, abs=30)


@pytest.mark.parametrize("text", ["2020-02-29T00:00:00Z", "0s", "0001-01-01T00:00:00+23:59"])
async def test_what_is_past_is_now(api: Api, text: str) -> None:
    async with api.http(api.token("submit")) as client:
        told = (await client.post("/v1/messages", json=HELLO | {"send-at": text})).json()
    assert "send_at" not in told
    assert told["leaves"]["earliest"] == pytest.approx(time.time(), abs=30)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("2026-12-01T08:00:00", "no time zone"),
        ("9999-12-31T23:59:59Z", "30 days at most"),
        ("31d", "30 days at most"),
        ("2027-02-29T00:00:00Z", "no time there is"),
        ("tomorrow at nine", "not a duration"),
        ("-5m", "RFC 3339"),
        ("", "length >= 1"),
        (1_800_000_000, "Expected `str`"),
        (None, "Expected `str`"),
        ({"at": 1}, "Expected `str`"),
    ],
)
async def test_what_is_no_time_is_refused_by_name(api: Api, given: Any, why: str) -> None:
    async with api.http(api.token("submit")) as client:
        answer = await client.post("/v1/messages", json=HELLO | {"send-at": given})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["pointer"], why in error["detail"]) == ("/send-at", True), error
        assert not (await client.get("/v1/messages")).json().get("messages")


async def test_dry_run_tells_when(api: Api) -> None:
    async with api.http(api.token("submit")) as client:
        told = (await client.post("/v1/messages", json=HELLO | {"send-at": "2h", "dry-run": True})).json()
    assert told["send_at"] == told["leaves"]["earliest"] == pytest.approx(time.time() + 7200, abs=30)
    assert "id" not in told


async def test_a_raw_message_has_both_in_its_query(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        asked = {"from": "a@example.org", "to": "you@example.org", "send-at": "2h"}
        told = (
            await client.post(
                "/v1/messages",
                params={**asked, "tag": ["customer:42", "link:a:b"]},
                content=RAW,
                headers=EML,
            )
        ).json()
        shown = (await client.get(f"/v1/messages/{told['id']}")).json()
        assert shown["tags"] == {"customer": ["42"], "link": ["a:b"]}
        assert shown["send_at"] == told["send_at"] == pytest.approx(time.time() + 7200, abs=30)
        assert await content(api, told["id"]) == RAW
        for wrong, name in (
            (asked | {"send-at": "2026-12-01T08:00:00"}, "send-at"),
            (asked | {"tag": "x"}, "tag"),
        ):
            answer = await client.post("/v1/messages", params=wrong, content=RAW, headers=EML)
            assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, name)


async def test_a_batch_has_a_time_for_each(api: Api) -> None:
    messages = [HELLO | {"send-at": "1h"}, HELLO, HELLO | {"send-at": "2026-12-01T08:00:00"}]
    async with api.http(api.token("admin")) as client:
        wrong = await client.post("/v1/messages/batch", json={"messages": messages})
        assert wrong.json()["errors"][0]["pointer"] == "/messages/2/send-at"
        key = {"idempotency-key": "k1"}
        told = (await client.post("/v1/messages/batch", json={"messages": messages[:2]}, headers=key)).json()
        first, second = (each["message"] for each in told["messages"])
        assert first["send_at"] == pytest.approx(time.time() + 3600, abs=30)
        assert "send_at" not in second
        again = await client.post("/v1/messages/batch", json={"messages": messages[:2]}, headers=key)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json()["messages"][0]["message"] == first


async def test_what_is_sent_again_keeps_the_time_of_the_first(api: Api) -> None:
    async with api.http(api.token("submit") | {"idempotency-key": "k1"}) as client:
        first = (await client.post("/v1/messages", json=HELLO | {"send-at": "1h"})).json()
        again = await client.post("/v1/messages", json=HELLO | {"send-at": "1h"})
        assert (again.json()["send_at"], again.headers["idempotent-replayed"]) == (first["send_at"], "true")
        assert (await client.post("/v1/messages", json=HELLO | {"send-at": "2h"})).status_code == 409
        assert (await client.post("/v1/messages", json=HELLO)).status_code == 409


async def test_it_is_held_let_wait_sent_at_once_and_cancelled(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        told = (await client.post("/v1/messages", json=HELLO | {"send-at": "1d"})).json()
        place = f"/v1/messages/{told['id']}"
        assert (await client.post(f"{place}/hold")).json()["states"] == {"held": 1}
        released = (await client.post(f"{place}/release")).json()
        assert released == {
            "id": told["id"],
            "changed": 1,
            "states": {"scheduled": 1},
            "paused": [],
            "send_at": told["send_at"],
        }
        assert (await client.post(f"{place}/cancel")).json()["states"] == {"cancelled": 1}
        too_late = (await client.post(f"{place}/cancel")).json()
        assert (too_late["changed"], too_late["states"]) == (0, {"cancelled": 1})

        told = (await client.post("/v1/messages", json=HELLO | {"send-at": "1d"})).json()
        retried = (await client.post(f"/v1/messages/{told['id']}/retry")).json()
        assert (retried["changed"], "send_at" in retried) == (1, False)
        shown = (await client.get(f"/v1/messages/{told['id']}")).json()
        assert (shown["send_at"], shown["recipients"][0]["state"] != "scheduled") == (None, True)
        assert shown["expires"] == pytest.approx(time.time() + 5 * DAY, abs=30)


async def test_one_recipient_of_several_does_not_leave_before_the_others(api: Api) -> None:
    given = HELLO | {"to": ["a@example.org", "b@example.org"], "send-at": "1d"}
    async with api.http(api.token("admin")) as client:
        told = (await client.post("/v1/messages", json=given)).json()
        place = f"/v1/messages/{told['id']}"
        refused = await client.post(f"{place}/retry", json={"recipient": "a@example.org"})
        assert refused.status_code == 422
        assert "for all its recipients together" in refused.json()["detail"]
        one = (await client.post(f"{place}/cancel", json={"recipient": "a@example.org"})).json()
        assert one["states"] == {"scheduled": 1, "cancelled": 1}


async def test_tags_come_back_and_find_what_has_them(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        tags = {"customer": "42", "category": ["b", "a", "b"], "größe": ""}
        first = (await client.post("/v1/messages", json=HELLO | {"tags": tags})).json()["id"]
        await client.post("/v1/messages", json=HELLO | {"tags": {"customer": "43"}})
        await client.post("/v1/messages", json=HELLO)

        async def found(*wanted: str) -> list[str]:
            answer = await client.get("/v1/messages", params={"tag": list(wanted)})
            return [each["id"] for each in answer.json()["messages"]]

        assert await found("customer:42") == [first]
        assert await found("customer:42", "category:a", "größe:") == [first]
        assert await found("customer:42", "category:c") == []
        shown = (await client.get(f"/v1/messages/{first}")).json()
        assert shown["tags"] == {"customer": ["42"], "category": ["a", "b"], "größe": [""]}
        octets = await content(api, first)
        assert b"customer" not in octets
        assert b"category" not in octets

        page = (await client.get("/v1/messages", params={"tag": "customer:42", "limit": 1})).json()
        assert page["cursor"] is None


async def test_a_list_by_tags_goes_on_where_it_ended(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        for number in range(5):
            await client.post("/v1/messages", json=HELLO | {"tags": {"odd": str(number % 2)}})
        seen, cursor = 0, ""
        while cursor is not None:
            asked = {"tag": "odd:0", "limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/v1/messages", params=asked)).json()
            seen, cursor = seen + len(page["messages"]), page["cursor"]
            assert all(each["tags"] == {"odd": ["0"]} for each in page["messages"])
            if cursor:
                other = await client.get("/v1/messages", params=asked | {"tag": "odd:1", "cursor": cursor})
                assert other.status_code in (400, 422)
        assert seen == 3


@pytest.mark.parametrize(
    "tags",
    [
        {"a:b": "c"},
        {"": "c"},
        {"a": "b\r\nc"},
        {"a": "b\u2028c"},
        {"a\0": "b"},
        {"a": "x" * 1001},
        {f"n{number}": "x" for number in range(51)},
        {"a": [str(number) for number in range(51)]},
        {"a": ["x" * 999 + str(number) for number in range(11)]},
        {"a": 1},
        {"a": None},
        {"a": ["b", 2]},
        {"a": {"b": "c"}},
        ["a:b"],
        "a:b",
    ],
)
async def test_what_are_no_tags_is_refused_by_name(api: Api, tags: Any) -> None:
    async with api.http(api.token("submit")) as client:
        answer = await client.post(
            "/v1/messages",
            content=json.dumps(HELLO | {"tags": tags}),
            headers={"content-type": "application/json"},
        )
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/tags")


@pytest.mark.parametrize("tag", ["customer", ":x", "a\nb:c", "x" * 300 + ":y"])
async def test_what_is_no_tag_to_look_for(api: Api, tag: str) -> None:
    async with api.http(api.token("read")) as client:
        answer = await client.get("/v1/messages", params={"tag": tag})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "tag")


async def test_events_tell_of_tags_and_of_the_time(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        given = HELLO | {"send-at": "1d", "tags": {"customer": "42"}}
        identifier = (await client.post("/v1/messages", json=given)).json()["id"]
        await client.post(f"/v1/messages/{identifier}/cancel")
        told = []
        async with client.stream("GET", "/v1/events?after=0") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    told.append(json.loads(line.removeprefix("data: ")))
                if len(told) == 2:
                    break
    assert [(each["type"], each["state"], each["tags"]) for each in told] == [
        ("message.scheduled", "scheduled", {"customer": ["42"]}),
        ("message.canceled", "cancelled", {"customer": ["42"]}),
    ]
