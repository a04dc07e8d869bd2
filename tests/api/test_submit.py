"""``POST /v1/messages``: on the disk before the answer, once however often it comes, or refused by name."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from typing import Any

import pytest

from postbearer.api.pace import Pace
from postbearer.clock import SystemClock
from postbearer.store import Query
from postbearer.submission import SessionLimits
from support.http_api import Api

HELLO = {"to": "you@example.org", "subject": "hello", "text": "hello"}
RAW = b"From: a@example.org\r\nSubject: raw\r\n\r\nhello\r\n"
EML = {"content-type": "message/rfc822"}


async def queued(api: Api) -> int:
    return len(await api.running.spool.search(Query(limit=10_000)))


async def content(api: Api, identifier: str) -> bytes:
    entry = await api.running.spool.show(identifier)
    assert entry is not None
    found = await api.running.spool.content(entry.message)
    return b"".join(found.blocks())


async def test_a_message_by_its_parts(api: Api) -> None:
    picture = base64.b64encode(b"\x89PNG").decode()
    given = {
        "from": "Shop <orders@example.org>",
        "to": ["You <you@example.org>", "other@example.org"],
        "cc": "copy@example.org",
        "bcc": ["hidden@example.org"],
        "reply-to": "help@example.org",
        "subject": "Grüße",
        "text": "Hallo",
        "html": '<p>Hallo <img src="cid:logo"></p>',
        "attachments": [
            {"filename": "r.csv", "content": base64.b64encode(b"a;b\n").decode()},
            {"filename": "logo.png", "content": picture, "content-id": "logo"},
        ],
        "headers": {"X-Order": "17"},
        "priority": "urgent",
    }
    async with api.http(api.token("submit")) as client:
        answer = await client.post("/v1/messages", json=given)
    told = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/messages/{told['id']}"
    assert told["account"] == "out"
    assert [each["address"] for each in told["recipients"]] == [
        *("you@example.org", "other@example.org", "copy@example.org", "hidden@example.org")
    ]
    assert [each["id"] for each in told["recipients"]] == [f"{told['id']}.{n}" for n in (1, 2, 3, 4)]
    assert told["leaves"]["earliest"] > 0
    message = message_from_bytes(await content(api, told["id"]), policy=policy.default)
    assert (message["subject"], message["x-order"], message["bcc"]) == ("Grüße", "17", None)
    assert message["from"] == "Shop <orders@example.org>"
    files = [part.get_filename() for part in message.walk() if part.get_filename()]
    assert sorted(files) == ["logo.png", "r.csv"]
    (inline,) = [part for part in message.walk() if part["content-id"] == "<logo>"]
    assert inline.get_content() == b"\x89PNG"


async def test_who_says_nothing_of_the_author_writes_as_the_account(api: Api) -> None:
    async with api.http(api.token("submit")) as client:
        told = (await client.post("/v1/messages", json=HELLO)).json()
    assert b"From: alerts@example.org\r\n" in await content(api, told["id"])


async def test_a_message_as_it_is(api: Api) -> None:
    async with api.http(api.token("submit")) as client:
        answer = await client.post(
            "/v1/messages?from=a@example.org&to=b@example.org&to=c@example.org", content=RAW, headers=EML
        )
        assert answer.status_code == 202, answer.text
        assert await content(api, answer.json()["id"]) == RAW
        fields = [("postbearer-from", "a@example.org"), ("postbearer-to", "b@example.org"), *EML.items()]
        again = await client.post("/v1/messages", content=RAW, headers=fields)
        assert again.status_code == 202
    entry = await api.running.spool.show(answer.json()["id"])
    assert entry is not None
    assert entry.message.envelope.addresses == ("b@example.org", "c@example.org")


async def test_dry_run_says_all_and_queues_nothing(api: Api) -> None:
    async with api.http(api.token("submit")) as client:
        answer = await client.post("/v1/messages", json=HELLO | {"dry-run": True})
        assert (answer.status_code, answer.json()["account"], "id" in answer.json()) == (200, "out", False)
        raw = "/v1/messages?from=a@example.org&to=b@example.org&dry-run=true"
        assert (await client.post(raw, content=RAW, headers=EML)).status_code == 200
        wrong = await client.post("/v1/messages", json=HELLO | {"dry-run": True, "to": "x"})
        assert wrong.status_code == 422
    assert await queued(api) == 0


# Again ---------------------------------------------------------------------------------------------


async def test_fifty_at_once_under_one_key_are_one_message(api: Api) -> None:
    header = api.token("submit") | {"idempotency-key": "order-17"}
    async with api.http(header) as client:
        at_once = await asyncio.gather(*(client.post("/v1/messages", json=HELLO) for _ in range(50)))
        later = await client.post("/v1/messages", json=HELLO)
    taken = [answer for answer in (*at_once, later) if answer.status_code == 202]
    under_way = [answer for answer in at_once if answer.status_code == 409]
    assert len(taken) + len(under_way) == 51
    assert len({answer.json()["id"] for answer in taken}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in taken) == 1
    assert {answer.headers["retry-after"] for answer in under_way} <= {"1"}
    assert await queued(api) == 1


async def test_a_key_whose_first_request_is_under_way_is_to_be_asked_again(api: Api) -> None:
    """The content of a raw message comes slowly; meanwhile the client loses patience and sends it again."""
    header = api.token("submit") | {"idempotency-key": "slow", "content-type": "message/rfc822"}
    place = "/v1/messages?from=a@example.org&to=b@example.org"
    goes_on, came = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield RAW[:20]
        came.set()
        await goes_on.wait()
        yield RAW[20:]

    async with api.http(header) as client:
        first = asyncio.create_task(client.post(place, content=slowly()))
        await came.wait()
        async with asyncio.timeout(20):
            while (second := await client.post(f"{place}&dry-run=true", content=RAW)).status_code == 200:
                pass  # the first has not come as far as the relay yet
        assert second.status_code == 409, second.text
        assert second.headers["retry-after"] == "1"
        assert second.json()["type"] == "urn:postbearer:problem:in-progress"
        other = await client.post(place, content=RAW, headers={"idempotency-key": "another"})
        assert other.status_code == 202
        goes_on.set()
        done = await first
        again = await client.post(place, content=RAW)
        assert (done.status_code, again.json()["id"]) == (202, done.json()["id"])


async def test_the_same_is_the_same_whatever_its_order(api: Api) -> None:
    header = api.token("submit") | {"idempotency-key": "k", "content-type": "application/json"}
    async with api.http(header) as client:
        first = await client.post("/v1/messages", content=json.dumps(HELLO))
        turned = json.dumps(dict(reversed(HELLO.items())), indent=3)
        again = await client.post("/v1/messages", content=turned)
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["idempotent-replayed"] == "true"
        other = await client.post("/v1/messages", content=json.dumps(HELLO | {"text": "other"}))
        assert (other.status_code, other.json()["type"]) == (
            409,
            "urn:postbearer:problem:idempotency-key-reused",
        )


async def test_a_raw_message_is_known_by_its_octets_and_envelope(api: Api) -> None:
    header = api.token("submit") | {"idempotency-key": "k"} | EML
    async with api.http(header) as client:
        place = "/v1/messages?from=a@example.org&to=b@example.org"
        first = await client.post(place, content=RAW)
        assert (await client.post(place, content=RAW)).json()["id"] == first.json()["id"]
        assert (await client.post(place, content=RAW + b"more\r\n")).status_code == 409
        assert (await client.post(f"{place}&to=c@example.org", content=RAW)).status_code == 409


async def test_a_key_is_its_clients(api: Api) -> None:
    key = {"idempotency-key": "k"}
    async with api.http(api.token("submit") | key) as one, api.http(api.token("submit") | key) as other:
        first = await one.post("/v1/messages", json=HELLO)
        second = await other.post("/v1/messages", json=HELLO)
    assert first.json()["id"] != second.json()["id"]


async def test_a_key_is_known_after_a_restart(api: Api) -> None:
    header = api.token("submit") | {"idempotency-key": "k"}
    async with api.http(header) as client:
        first = await client.post("/v1/messages", json=HELLO)
    await api.running.stop(0.0)
    await api.start()
    async with api.http(header) as client:
        again = await client.post("/v1/messages", json=HELLO)
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (first.json()["id"], "true")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_what_is_no_key(api: Api, key: str) -> None:
    async with api.http(api.token("submit") | {"idempotency-key": key}) as client:
        answer = await client.post("/v1/messages", json=HELLO)
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (400, "Idempotency-Key")


# What is wrong ---------------------------------------------------------------------------------------


def file(**given: Any) -> dict[str, Any]:
    return {"attachments": [{"filename": "a.txt", "content": "aGVsbG8="} | given]}


WRONG: list[tuple[dict[str, Any], int, str]] = [  # beside HELLO: status, and where
    ({"to": 5}, 422, "/to"),
    ({"to": None}, 422, "/to"),
    ({"to": []}, 422, "/to"),
    ({"to": ""}, 422, "/to"),
    ({"to": [5]}, 422, "/to/0"),
    ({"to": ["a@example.org", "b"]}, 422, "/to/1"),
    ({"to": "a@example.org\r\nBcc: b@example.org"}, 422, "/to"),
    ({"to": "a@\u2028example.org"}, 422, "/to"),
    ({"to": [f"u{n}@example.org" for n in range(10_000)]}, 422, "/to"),
    ({"to": [f"u{n}@example.org" for n in range(1000)], "cc": "one@example.org"}, 422, "/to"),
    ({"cc": "x"}, 422, "/cc"),
    ({"bcc": ["you@example.org", "<x>"]}, 422, "/bcc/1"),
    ({"reply-to": ["x"]}, 422, "/reply-to/0"),
    ({"from": "x"}, 422, "/from"),
    ({"from": ""}, 422, "/from"),
    ({"from": "a@example.org, b@example.org"}, 422, "/from"),
    ({"from": "Name\u0000 <a@example.org>"}, 422, "/from"),
    ({"subject": "a\r\nBcc: b@example.org"}, 422, "/subject"),
    ({"subject": "a\u2028b"}, 422, "/subject"),
    ({"subject": "a\u0085b"}, 422, "/subject"),
    ({"subject": 5}, 422, "/subject"),
    ({"subject": "x" * 10_001}, 422, "/subject"),
    ({"text": 5}, 422, "/text"),
    ({"text": " ", "html": None}, 422, ""),
    ({"headers": {"X A": "b"}}, 422, "/headers/X A"),
    ({"headers": {"": "b"}}, 422, "/headers/"),
    ({"headers": {"X-A:": "b"}}, 422, "/headers/X-A:"),
    ({"headers": {"a/b~c\u00e4": "b"}}, 422, "/headers/a~1b~0c\u00e4"),
    ({"headers": {"X-A": "b\nc"}}, 422, "/headers/X-A"),
    ({"headers": {"X-A": 5}}, 422, "/headers"),
    ({"headers": {"Bcc": "b@example.org"}}, 422, "/headers/Bcc"),
    ({"headers": {"From": "b@example.org"}}, 422, "/headers/From"),
    ({"headers": {"Content-Type": "text/html"}}, 422, "/headers/Content-Type"),
    ({"headers": {f"X-{n}": "" for n in range(101)}}, 422, "/headers"),
    ({"headers": ["X: y"]}, 422, "/headers"),
    (file(content="no base64!"), 422, "/attachments/0/content"),
    (file(filename="a\nb"), 422, "/attachments/0/filename"),
    (file(filename=""), 422, "/attachments/0/filename"),
    (file(path="https://169.254.169.254/"), 422, "/attachments/0/path"),
    (file(content=None), 422, "/attachments/0/content"),
    (file(**{"content-id": "a b"}) | {"html": "x"}, 422, "/attachments/0/content-id"),
    (file(**{"content-id": "a"}), 422, "/attachments"),
    ({"attachments": [{"filename": "a"}]}, 422, "/attachments/0/content"),
    ({"attachments": 5}, 422, "/attachments"),
    ({"priority": "high"}, 422, "/priority"),
    ({"dry-run": 1}, 422, "/dry-run"),
    ({"dry_run": True}, 422, "/dry_run"),
    ({"tags": ["a"]}, 422, "/tags"),
    ({"send-at": "2030-01-01T00:00:00Z"}, 422, "/send-at"),
    ({"template": "x"}, 422, "/template"),
]


@pytest.mark.parametrize(("given", "status", "pointer"), WRONG, ids=[str(n) for n in range(len(WRONG))])
async def test_a_field_that_is_wrong_is_named(
    api: Api, given: dict[str, Any], status: int, pointer: str
) -> None:
    async with api.http(api.token("submit")) as client:
        answer = await client.post("/v1/messages", json=HELLO | given)
    told = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), told
    assert told["detail"]
    assert told.get("errors", [{}])[0].get("pointer", "") == pointer, told
    assert await queued(api) == 0


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"priority": "high"}, "There are: bulk, normal, urgent."),
        ({"to": {"email": "you@example.org"}}, "or a list of them."),
        ({"headers": {"X-A": "1"}, "text": " "}, "without a text the subject alone is sent."),
        ({"body": "x"}, "Did you mean text?"),
    ],
)
async def test_what_may_stand_there_is_said(api: Api, given: dict[str, Any], hint: str) -> None:
    async with api.http(api.token("submit", "read")) as client:
        answer = await client.post("/v1/messages", json={"to": "you@example.org", "subject": "x"} | given)
        asked = await client.get("/v1/messages?state=sent")
        batch = await client.post("/v1/messages/batch", json=[])
    assert answer.status_code == 422
    assert answer.json()["hint"].endswith(hint)
    assert asked.json()["hint"].startswith("There are: scheduled, ready, ")
    assert batch.json()["hint"] == "There are: messages."


async def test_a_token_without_its_scheme_is_told_how_it_is_sent(api: Api) -> None:
    token = api.token("submit")["authorization"].removeprefix("Bearer ")
    async with api.http({"authorization": token}) as client:
        answer = await client.post("/v1/messages", json=HELLO)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The token was not sent as it should be."
    assert "Authorization: Bearer TOKEN" in answer.json()["hint"]


BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b" ", 400),
    (b"{", 400),
    (b'{"to": "a@example.org"} x', 400),
    (b"\xff\xfe{}", 400),
    (b'{"to": "\xff@example.org", "text": "x"}', 400),
    (b'{"to": "a@example.org", "text": "\\ud800"}', 400),
    (b"\xef\xbb\xbf{}", 400),
    (b"NaN", 400),
    (b"[]", 422),
    (b"null", 422),
    (b'"x"', 422),
    (b"[" * 1_000_000, 422),
    (b'{"to":' + b"[" * 1_000_000, 422),
    (b'{"headers":' + b'{"a":' * 1_000_000, 422),
    (b'{"unknown":' + b"[" * 1_000_000, 422),
]


@pytest.mark.parametrize(("body", "status"), BODIES, ids=[str(n) for n in range(len(BODIES))])
async def test_a_body_that_is_none(api: Api, body: bytes, status: int) -> None:
    async with api.http(api.token("submit") | {"content-type": "application/json; charset=utf-8"}) as client:
        answer = await client.post("/v1/messages", content=body)
    assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text
    assert await queued(api) == 0


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
async def test_a_body_of_another_kind(api: Api, kind: str) -> None:
    async with api.http(api.token("submit") | {"content-type": kind}) as client:
        answer = await client.post("/v1/messages", content=b"{}")
    assert answer.status_code == 415
    assert "message/rfc822" in answer.json()["hint"]


async def test_fifty_megabytes_are_refused_before_they_are_read_as_json(api: Api) -> None:
    async def arrays() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"[" * 1_000_000

    async with api.http(api.token("submit") | {"content-type": "application/json"}) as client:
        declared = await client.post("/v1/messages", content=b"[" * 50_000_000)
        chunked = await client.post("/v1/messages", content=arrays())
    assert (declared.status_code, chunked.status_code) == (413, 413)
    assert declared.json()["type"] == "urn:postbearer:problem:too-large"


RAWS: list[tuple[str, bytes, int, dict[str, str]]] = [
    ("", RAW, 422, {"parameter": "from"}),
    ("?from=a@example.org", RAW, 422, {"parameter": "to"}),
    ("?from=x&to=b@example.org", RAW, 422, {"parameter": "from"}),
    ("?from=a@example.org&to=x", RAW, 422, {"parameter": "to"}),
    ("?from=a@example.org&from=b@example.org&to=b@example.org", RAW, 422, {"parameter": "from"}),
    ("?from=a@example.org&to=b%0d%0a@example.org", RAW, 422, {"parameter": "to"}),
    ("?from=a@example.org&to=b@example.org&x=1", RAW, 422, {"parameter": "x"}),
    ("?from=a@example.org&to=b@example.org&dry-run=perhaps", RAW, 422, {"parameter": "dry-run"}),
    ("?from=a@example.org&to=b@example.org", RAW.replace(b"\r\n", b"\n"), 422, {}),
    ("?from=a@example.org&to=b@example.org", RAW + b"\x00\r\n", 422, {}),
    ("?from=a@example.org&to=b@example.org", RAW + b"no end", 422, {}),
    ("?from=a@example.org&to=b@example.org", b"X: " + b"x" * 2_000_000 + b"\r\n\r\n", 422, {}),
]


@pytest.mark.parametrize(("query", "body", "status", "place"), RAWS, ids=[str(n) for n in range(len(RAWS))])
async def test_a_raw_message_that_is_refused(
    api: Api, query: str, body: bytes, status: int, place: dict[str, str]
) -> None:
    async with api.http(api.token("submit") | EML) as client:
        answer = await client.post(f"/v1/messages{query}", content=body)
    assert answer.status_code == status, answer.text
    told = answer.json().get("errors", [{}])[0]
    assert {name: told.get(name) for name in place} == place
    assert await queued(api) == 0


async def test_a_message_that_is_too_large(api: Api) -> None:
    async def large() -> AsyncIterator[bytes]:
        yield RAW
        for _ in range(60):
            yield b"x" * 98 + (b"\r\n" + b"x" * 98) * 1000 + b"\r\n"

    place = "/v1/messages?from=a@example.org&to=b@example.org"
    async with api.http(api.token("submit")) as client:
        assert (await client.post(place, content=large(), headers=EML)).status_code == 413
        body = HELLO | {"text": "x" * 5_100_000}
        assert (await client.post("/v1/messages", json=body)).status_code == 413
    assert await queued(api) == 0


# Rights ----------------------------------------------------------------------------------------------


async def test_a_token_of_a_client_submits_as_that_client(api: Api) -> None:
    async with api.http(api.token("submit", client="shop")) as client:
        stranger = await client.post("/v1/messages", json=HELLO | {"from": "me@example.org"})
        assert (stranger.status_code, stranger.json()["errors"][0]["pointer"]) == (403, "/from")
        raw = "/v1/messages?from=x@shop.example.org&to=b@example.org"
        forged = await client.post(raw, content=RAW, headers=EML)
        assert forged.status_code == 403  # its From is another's
        mine = await client.post("/v1/messages", json=HELLO | {"from": "x@shop.example.org"})
        assert mine.status_code == 202
    entry = await api.running.spool.show(mine.json()["id"])
    assert entry is not None
    assert entry.message.client == "shop"


async def test_the_messages_of_a_minute_are_the_clients(api: Api) -> None:
    async with api.http(api.token("submit", client="slow")) as client:
        codes = [(await client.post("/v1/messages", json=HELLO)).status_code for _ in range(2)]
        late = await client.post("/v1/messages", json=HELLO)
        dry = await client.post("/v1/messages", json=HELLO | {"dry-run": True})
    assert codes == [202, 202]
    assert (late.status_code, int(late.headers["retry-after"]) > 0, dry.status_code) == (429, True, 200)


async def test_a_paused_account_is_told(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        assert (await client.post("/v1/accounts/out/pause")).status_code == 200
        told = (await client.post("/v1/messages", json=HELLO)).json()
        assert (told["leaves"]["earliest"], "paused" in told["leaves"]["waits"]) == (None, True)


# Who hangs up ------------------------------------------------------------------------------------------


def head(api: Api, query: str, token: str, length: int, *fields: str) -> bytes:
    """A request for a raw message, without its body."""
    lines = [
        f"POST /v1/messages?{query} HTTP/1.1",
        f"Host: {api.url.removeprefix('http://')}",
        f"Authorization: {token}",
        "Content-Type: message/rfc822",
        f"Content-Length: {length}",
        *fields,
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def connected(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = api.url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


WAY = "from=a@example.org&to=b@example.org"


async def test_who_hangs_up_in_the_middle_leaves_nothing(api: Api) -> None:
    token = api.token("submit")["authorization"]
    for cut in (0, 10, len(RAW) - 1):
        _, writer = await connected(api)
        writer.write(head(api, WAY, token, len(RAW)) + RAW[:cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    async with api.http() as client:
        assert (await client.get("/healthz")).status_code == 200
    assert await queued(api) == 0
    assert api.ears.defects == []


async def test_who_asks_first_sends_no_body_that_is_refused(api: Api) -> None:
    able, reading = (api.token(scope)["authorization"] for scope in ("submit", "read"))
    for query, token, length, status in (
        (WAY, "x", 1000, b"401"),
        (WAY, reading, 1000, b"403"),
        ("from=a@example.org", able, 1000, b"422"),
        (WAY, able, 6_000_000, b"413"),
        (WAY, able, 60_000_000, b"413"),
        (WAY, able, 1000, b"100"),
    ):
        reader, writer = await connected(api)
        writer.write(head(api, query, token, length, "Expect: 100-continue"))
        async with asyncio.timeout(20):
            assert (await reader.readline()).split()[1] == status, (query, length)
        writer.close()
        await writer.wait_closed()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """Nor is one that comes by drops."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    async def nothing() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def drops() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        raise AssertionError

    for receive in (nothing, drops):
        paced = Pace(application, SystemClock(), SessionLimits(grace=0.1))
        with pytest.raises(TimeoutError):
            await paced({"type": "http"}, receive, send)


@pytest.mark.parametrize(
    ("attachment", "found"),
    [
        ({"content-type": "application/pdf"}, ("application/pdf", "attachment")),
        ({"content-type": "text/csv; charset=iso-8859-1"}, ("text/csv", "attachment")),
        ({"disposition": "inline"}, ("text/plain", "inline")),
        ({"content-id": "a", "content-type": "image/png"}, ("image/png", "inline")),
        ({"content-id": "a", "disposition": "attachment"}, ("text/plain", "attachment")),
    ],
)
async def test_an_attachment_is_what_it_says(
    api: Api, attachment: dict[str, str], found: tuple[str, str]
) -> None:
    file = {"filename": "r.txt", "content": base64.b64encode(b"octets").decode()} | attachment
    async with api.http(api.token("submit")) as client:
        given = HELLO | {"html": '<img src="cid:a">', "attachments": [file]}
        told = (await client.post("/v1/messages", json=given)).json()
    message = message_from_bytes(await content(api, told["id"]), policy=policy.default)
    (part,) = [each for each in message.walk() if each.get_filename() == "r.txt"]
    assert (part.get_content_type(), part.get_content_disposition()) == found
    assert part.get_payload(decode=True) == b"octets"


@pytest.mark.parametrize(
    ("attachment", "place"),
    [
        ({"content-type": "text"}, "content-type"),
        ({"content-type": ""}, "content-type"),
        ({"content-type": "text/csv\r\nBcc: x@example.org"}, "content-type"),
        ({"content-type": "multipart/mixed"}, "content-type"),
        ({"content-type": "message/partial"}, "content-type"),
        ({"content-type": "text/plain"}, "content-type"),
        ({"content-type": 7}, "content-type"),
        ({"disposition": "form-data"}, "disposition"),
        ({"content-id": "a\r\nb"}, "content-id"),
    ],
)
async def test_what_an_attachment_cannot_be_is_refused_by_name(
    api: Api, attachment: dict[str, Any], place: str
) -> None:
    file = {"filename": "r.txt", "content": base64.b64encode(b"\xff\xfe").decode()} | attachment
    async with api.http(api.token("submit")) as client:
        given = HELLO | {"html": "<p>x</p>", "attachments": [{"filename": "a", "content": ""}, file]}
        answer = await client.post("/v1/messages", json=given)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/attachments/1/{place}")
