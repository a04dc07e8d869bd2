"""Resend's API: what it cannot honour and what is wrong is told in its shape and words, with the field."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import httpx2
import pytest

from house.tree import ROOT
from postbearer.api.resend import NAMES, NOT_HONOURED
from postbearer.api.resend_status import FIRST
from postbearer.delivery_status import STATUSES, ResendEvent
from postbearer.store import Query
from support.http_api import Api

PAGE = ROOT / "docs" / "reference" / "hosted-apis.md"
HELLO: dict[str, Any] = {"from": "alerts@example.org", "to": "you@example.org", "subject": "s", "text": "x"}


async def queued(api: Api) -> int:
    return len(await api.running.spool.search(Query(limit=10_000)))


async def post(api: Api, body: Any, path: str = "/emails", **headers: str) -> httpx2.Response:
    async with api.http(api.token("submit", "read", "operate") | headers) as client:
        return await client.post(path, json=body)


def file(**more: Any) -> dict[str, Any]:
    return {**HELLO, "attachments": [{"filename": "a.txt", "content": "YQ==", **more}]}


@pytest.mark.parametrize(
    ("given", "name", "field"),
    [
        ({"template": {"id": "welcome"}}, "validation_error", "template"),
        ({"topic_id": "news"}, "validation_error", "topic_id"),
        ({"scheduled_at": "tomorrow at 9am"}, "validation_error", "scheduled_at"),
        ({"scheduled_at": "in 90 days"}, "validation_error", "scheduled_at"),
        ({"tags": [{"name": "a:b", "value": "c"}]}, "validation_error", "tags"),
        ({"tags": [{"value": "c"}]}, "missing_required_field", ""),
        ({"region": "eu-west-1"}, "validation_error", "region"),
        ({"tagz": []}, "validation_error", "tagz"),
        (file(path="https://example.org/a.pdf"), "invalid_attachment", "attachments[0].path"),
        (file(content="no base64!"), "invalid_attachment", "attachments[0].content"),
        (file(content=[256]), "invalid_attachment", "attachments[0].content[0]"),
        (file(filename="a\r\nBcc: x"), "invalid_attachment", "attachments[0].filename"),
        ({**file(content_id="a b"), "html": "x"}, "invalid_attachment", "attachments[0].content_id"),
        (file(content_type="text"), "invalid_attachment", "attachments[0].content_type"),
        (file(content_type="multipart/mixed"), "invalid_attachment", "attachments[0].content_type"),
        (file(content_type="text/csv\r\nBcc: x"), "invalid_attachment", "attachments[0].content_type"),
        (file(content_id="a"), "invalid_attachment", "attachments"),
        ({"from": None}, "invalid_from_address", "from"),
        ({"from": "alerts"}, "invalid_from_address", "from"),
        ({"to": []}, "validation_error", "to"),
        ({"to": 5}, "validation_error", "to"),
        ({"to": ["you@example.org"] * 10_000}, "validation_error", "to"),
        ({"to": ["you@example.org", "you"]}, "validation_error", "to[1]"),
        ({"reply_to": "you"}, "validation_error", "reply_to"),
        ({"subject": "a\u2028b"}, "validation_error", "subject"),
        ({"subject": "a\r\nBcc: x@example.org"}, "validation_error", "subject"),
        ({"headers": {"X A": "b"}}, "validation_error", "headers.X A"),
        ({"headers": {"X-A": 5}}, "validation_error", "headers"),
        ({"headers": {"Bcc": "x@example.org"}}, "validation_error", "headers.Bcc"),
        ({"headers": {"content-type": "text/csv"}}, "validation_error", "headers.content-type"),
        ({"text": None}, "validation_error", "html"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    api: Api, given: dict[str, Any], name: str, field: str
) -> None:
    answer = await post(api, {**HELLO, **given})
    told = answer.json()
    assert (answer.status_code, told["statusCode"], told["name"]) == (422, 422, name), told
    assert told["message"].startswith(f"`{field}`" if field else "Missing `tags[0].name` field."), told
    assert await queued(api) == 0


@pytest.mark.parametrize("name", ["from", "to", "subject"])
async def test_what_is_missing_is_named(api: Api, name: str) -> None:
    answer = await post(api, {key: value for key, value in HELLO.items() if key != name})
    assert answer.json() == {
        "statusCode": 422,
        "name": "missing_required_field",
        "message": f"Missing `{name}` field.",
    }


async def test_a_field_that_asks_for_nothing_is_as_if_it_were_not_there(api: Api) -> None:
    off = dict.fromkeys(("topic_id", "template", "tags", "cc", "bcc", "html", "headers", "attachments"))
    assert (await post(api, {**HELLO, **off})).status_code == 200
    assert (await post(api, {**HELLO, "tags": [], "cc": [], "attachments": []})).status_code == 200


LATIN = base64.b64encode("Größe;1\n".encode("iso-8859-1")).decode()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "text/plain"),
        ({"content_type": ""}, "text/plain"),
        ({"content_type": "application/pdf"}, "application/pdf"),
        ({"content_type": "application/octet-stream"}, "application/octet-stream"),
        ({"content_type": 'Application/PDF; Name="a; b.txt"'}, "application/pdf"),
        ({"content_type": "text/csv; charset=latin1", "content": LATIN}, 'text/csv; charset="latin1"'),
        ({"content_type": "text/plain", "content": LATIN}, "text/plain"),  # as if only the name told it
    ],
)
async def test_a_file_is_of_the_type_that_is_said(api: Api, given: dict[str, str], found: str) -> None:
    (part,) = await api.files((await post(api, file(**given))).json()["id"])
    assert (part["content-type"], part.get_content_disposition()) == (found, "attachment")
    assert part.get_filename() == "a.txt"
    assert part.get_payload(decode=True) == base64.b64decode(given.get("content", "YQ=="))


@pytest.mark.parametrize("content", ["YQ==", [97], {"type": "Buffer", "data": [97]}])
async def test_a_file_comes_as_its_sdks_send_it(api: Api, content: Any) -> None:
    answer = await post(api, file(content=content))
    entry = await api.running.spool.show(answer.json()["id"])
    assert entry is not None
    octets = b"".join((await api.running.spool.content(entry.message)).blocks())
    assert b"\r\na\r\n" in octets or base64.b64encode(b"a") in octets


@pytest.mark.parametrize(
    ("body", "kind", "status", "name"),
    [
        (b"{", "application/json", 400, "validation_error"),
        (b"", "application/json", 400, "validation_error"),
        (b"\xff\xfe", "application/json", 400, "validation_error"),
        (b'{"tags":' + b"[" * 100_000, "application/json", 422, "validation_error"),
        (b"[]", "application/json", 422, "validation_error"),
        (b"from=a", "application/x-www-form-urlencoded", 415, "validation_error"),
        (
            json.dumps({**HELLO, "text": "x" * 12_000_000}).encode(),
            "application/json",
            413,
            "validation_error",
        ),
    ],
)
async def test_a_body_that_is_none(api: Api, body: bytes, kind: str, status: int, name: str) -> None:
    async with api.http(api.token("submit") | {"content-type": kind}) as client:
        answer = await client.post("/emails", content=body)
    told = answer.json()
    assert (answer.status_code, told["statusCode"], told["name"]) == (status, status, name), told
    assert answer.headers["content-type"] == "application/json"
    assert api.ears.defects == []


async def test_who_may_not_is_told_in_its_words(api: Api) -> None:
    async with api.http() as client:
        none = await client.post("/emails", json=HELLO)
        wrong = await client.post("/emails", json=HELLO, headers={"authorization": "Bearer re_1"})
        reader = await client.post("/emails", json=HELLO, headers=api.token("read"))
        shop = api.token("submit", client="shop")
        foreign = await client.post("/emails", json=HELLO, headers=shop)
        slow = api.token("submit", client="slow")
        late = [(await client.post("/emails", json=HELLO, headers=slow)) for _ in range(3)][-1]
    told = [(each.status_code, each.json()["name"]) for each in (none, wrong, reader, foreign, late)]
    assert told == [
        (401, "missing_api_key"),
        (403, "invalid_api_key"),
        (401, "restricted_api_key"),
        (403, "validation_error"),
        (429, "rate_limit_exceeded"),
    ]
    assert foreign.json()["message"].startswith("`from`")
    assert late.headers["retry-after"] == "60"


async def test_a_key_that_is_none_and_one_that_is_long(api: Api) -> None:
    answer = await post(api, HELLO, **{"idempotency-key": "x" * 257})
    assert (answer.status_code, answer.json()["name"]) == (400, "invalid_idempotency_key")
    assert (await post(api, HELLO, **{"idempotency-key": "x" * 256})).status_code == 200


async def test_the_same_message_by_either_api_is_one_under_its_key(api: Api) -> None:
    async with api.http(api.token("submit") | {"idempotency-key": "k"}) as client:
        one = await client.post("/emails", json=HELLO)
        two = await client.post("/v1/messages", json=HELLO)
    assert (one.json()["id"], two.headers["idempotent-replayed"]) == (two.json()["id"], "true")


LATER = (
    "A request with this key is still under way. "
    "Ask again a little later: then the answer is that of the first."
)
CONCURRENT = {"statusCode": 409, "name": "concurrent_idempotent_requests", "message": LATER}
POSTMARK = {"From": HELLO["from"], "To": HELLO["to"], "Subject": "s", "TextBody": "x"}
SENDGRID = {
    "personalizations": [{"to": [{"email": HELLO["to"]}]}],
    "from": {"email": HELLO["from"]},
    "content": [{"type": "text/plain", "value": "x"}],
}


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/emails", HELLO, 409, CONCURRENT),
        ("/emails/batch", [HELLO, HELLO], 409, CONCURRENT),
        ("/email", POSTMARK, 503, {"ErrorCode": 100, "Message": LATER}),
        ("/email/batch", [POSTMARK], 503, {"ErrorCode": 100, "Message": LATER}),
        ("/v3/mail/send", SENDGRID, 409, {"errors": [{"message": LATER, "field": None, "help": None}]}),
    ],
)
async def test_what_comes_again_while_the_first_is_under_way_is_to_come_later(
    api: Api, path: str, body: Any, status: int, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, came, store = asyncio.Event(), asyncio.Event(), api.running.intake.store

    async def slowly(*given: Any) -> Any:
        came.set()
        await goes_on.wait()
        return await store(*given)

    monkeypatch.setattr(api.running.intake, "store", slowly)
    header = api.token("submit") | {"idempotency-key": "order-17"}
    header["x-postmark-server-token"] = header["authorization"].removeprefix("Bearer ")
    async with api.http(header) as client:
        first = asyncio.create_task(client.post(path, json=body))
        await came.wait()
        second = await client.post(path, json=body)
        assert (second.status_code, second.headers["retry-after"], second.json()) == (status, "1", told)
        goes_on.set()
        done, again = await first, await client.post(path, json=body)
    assert (done.is_success, again.is_success, again.headers["idempotent-replayed"]) == (True, True, "true")
    assert await queued(api) == (2 if body == [HELLO, HELLO] else 1)


async def test_a_batch_is_strict_unless_it_says_else(api: Api) -> None:
    given = [HELLO, {**HELLO, "to": "you"}, {**HELLO, "template": {}}]
    strict = await post(api, given, "/emails/batch")
    assert (strict.status_code, strict.json()["name"]) == (422, "validation_error")
    assert "`[1].to`" in strict.json()["message"]
    assert "`[2].template`: There are no templates" in strict.json()["message"]
    assert await queued(api) == 0
    some = await post(api, given, "/emails/batch", **{"x-batch-validation": "permissive"})
    told = some.json()
    assert (some.status_code, len(told["data"])) == (200, 1)
    assert [each["index"] for each in told["errors"]] == [1, 2]
    assert "`template`: There are no templates" in told["errors"][1]["message"]
    none = await post(api, given[1:], "/emails/batch", **{"x-batch-validation": "permissive"})
    assert (none.status_code, none.json()["name"]) == (422, "validation_error")
    assert "`[0].to`" in none.json()["message"]
    for count in (0, 1001):
        assert (await post(api, [HELLO] * count, "/emails/batch")).status_code == 422
    assert (await post(api, {}, "/emails/batch")).status_code == 422
    assert await queued(api) == 1


async def test_a_whole_batch_that_comes_too_fast_is_to_come_again(api: Api) -> None:
    slow = api.token("submit", client="slow") | {"x-batch-validation": "permissive"}
    async with api.http(slow) as client:
        await client.post("/emails/batch", json=[HELLO, HELLO])
        answer = await client.post("/emails/batch", json=[HELLO])
    assert (answer.status_code, answer.json()["name"]) == (429, "rate_limit_exceeded")


async def test_what_waits_is_shown_and_cancelled_once(api: Api) -> None:
    given = {**HELLO, "to": "You <you@example.org>", "bcc": "b@example.org", "subject": "Grüße"}
    identifier = (await post(api, given)).json()["id"]
    async with api.http(api.token("read", "operate")) as client:
        seen = (await client.get(f"/emails/{identifier}")).json()
        assert (seen["object"], seen["subject"], seen["to"]) == ("email", "Grüße", ["you@example.org"])
        assert (seen["bcc"], seen["cc"], seen["html"]) == (["b@example.org"], [], None)
        assert seen["last_event"] in ("queued", "delivery_delayed")
        assert [each["address"] for each in seen["postbearer"]] == ["you@example.org", "b@example.org"]
        done = await client.post(f"/emails/{identifier}/cancel")
        assert (done.status_code, done.json()) == (200, {"id": identifier, "object": "email"})
        assert (await client.get(f"/emails/{identifier}")).json()["last_event"] == "canceled"
        again = await client.post(f"/emails/{identifier}/cancel")
        assert (again.status_code, again.json()["name"]) == (422, "validation_error")


@pytest.mark.parametrize("when", ["in 1 hour", "1h 30m", "{later}"])
async def test_what_is_to_leave_later_is_scheduled_and_has_its_tags(api: Api, when: str) -> None:
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="milliseconds")
    tags = [
        {"name": "order", "value": "17"},
        {"name": "order", "value": "18"},
        {"name": "kind", "value": "x"},
    ]
    given = {**HELLO, "scheduled_at": when.replace("{later}", later), "tags": tags}
    identifier = (await post(api, given)).json()["id"]
    async with api.http(api.token("read", "operate")) as client:
        seen = (await client.get(f"/emails/{identifier}")).json()
        assert (seen["last_event"], seen["scheduled_at"] > seen["created_at"]) == ("scheduled", True)
        assert sorted(seen["tags"], key=str) == sorted(tags, key=str)
        found = (await client.get("/v1/messages", params={"tag": "order:18"})).json()["messages"]
        assert [each["id"] for each in found] == [identifier]
        assert (await client.post(f"/emails/{identifier}/cancel")).status_code == 200


def test_every_word_has_its_place_among_many() -> None:
    assert sorted(FIRST) == sorted(get_args(ResendEvent))


async def test_a_client_sees_its_own_messages_only(api: Api) -> None:
    identifier = (await post(api, HELLO)).json()["id"]
    async with api.http(api.token("read", "operate", client="slow")) as client:
        assert (await client.get(f"/emails/{identifier}")).status_code == 404
        assert (await client.post(f"/emails/{identifier}/cancel")).status_code == 404


async def test_who_hangs_up_in_the_middle_leaves_nothing(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    token = api.token("submit")["authorization"]
    body = json.dumps(HELLO).encode()
    for cut in (1, len(body) // 2, len(body) - 1):
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /emails HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await post(api, HELLO)).status_code == 200
    assert await queued(api) == 1
    assert api.ears.defects == []


def test_nothing_is_called_delivered_that_only_the_provider_has() -> None:
    assert {word for word, each in STATUSES.items() if each.resend == "delivered"} == {"delivered"}
    failed = {word for word, each in STATUSES.items() if each.resend in ("failed", "bounced", "canceled")}
    assert failed == {word for word, each in STATUSES.items() if each.jmap == "no"}


def test_the_page_tells_what_is_refused_and_the_words() -> None:
    section = PAGE.read_text().partition("\n## Resend\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w.\[\]]+)` \| (.*) \|$", section, re.MULTILINE))
    told = {"/" + field.replace("[]", "").replace(".", "/"): text for field, text in rows.items()}
    assert {place: told.get(place) for place in NOT_HONOURED} == NOT_HONOURED
    assert {word: rows[word] for word in STATUSES} == {
        word: f"`{each.resend}`" for word, each in STATUSES.items()
    }
    names = set(re.findall(r"`([a-z_]+)`", section.partition("| `name` |")[2]))
    assert {*NAMES.values(), "missing_required_field", "invalid_idempotency_key"} <= names
