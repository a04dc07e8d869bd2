"""SendGrid's API: what it cannot honour and what is wrong is told in its shape, with the field."""

from __future__ import annotations

import re
import time
from email import message_from_bytes, policy
from typing import Any

import httpx2
import pytest

from house.tree import ROOT
from postbearer.api import batch
from postbearer.api.sendgrid import NOT_HONOURED
from postbearer.store import Query
from support.http_api import Api

PAGE = ROOT / "docs" / "reference" / "hosted-apis.md"
YOU = {"email": "you@example.org"}
HELLO: dict[str, Any] = {
    "personalizations": [{"to": [YOU]}],
    "from": {"email": "alerts@example.org"},
    "subject": "s",
    "content": [{"type": "text/plain", "value": "x"}],
}


async def queued(api: Api) -> int:
    return len(await api.running.spool.search(Query(limit=10_000)))


async def post(api: Api, body: Any, **headers: str) -> httpx2.Response:
    async with api.http(api.token("submit") | headers) as client:
        return await client.post("/v3/mail/send", json=body)


def file(**more: Any) -> dict[str, Any]:
    return {"attachments": [{"filename": "a.txt", "content": "YQ==", **more}]}


def personal(**more: Any) -> dict[str, Any]:
    return {"personalizations": [{"to": [YOU]}, {"to": [YOU], **more}]}


ENABLED = {"enable": True}
CASES = [
    ({"asm": {"group_id": 1}}, "asm"),
    ({"batch_id": "b"}, "batch_id"),
    ({"ip_pool_name": "p"}, "ip_pool_name"),
    ({"mail_settings": {"sandbox_mode": ENABLED}}, "mail_settings.sandbox_mode"),
    ({"tracking_settings": {"open_tracking": ENABLED}}, "tracking_settings.open_tracking"),
    ({"sections": {"a": "b"}}, "sections"),
    ({"send_at": 9_999_999_999}, "send_at"),
    ({"send_at": "tomorrow"}, "send_at"),
    (personal(send_at=9_999_999_999), "personalizations.1.send_at"),
    ({"custom_args": {"a:b": "c"}}, "custom_args"),
    (personal(custom_args={"a": 5}), "personalizations.1.custom_args"),
    (personal(custom_args={"a:b": "c"}), "personalizations.1.custom_args"),
    ({"categories": ["x" * 2000]}, "categories"),
    ({"template_id": "d-1"}, "template_id"),
    (personal(substitutions={"-a-": "b"}), "personalizations.1.substitutions"),
    (personal(dynamic_template_data={"a": "b"}), "personalizations.1.dynamic_template_data"),
    ({"content": [{"type": "text/calendar", "value": "x"}]}, "content.0.type"),
    ({"content": HELLO["content"] * 2}, "content.1.type"),
    ({"content": []}, "content"),
    ({"contents": []}, "contents"),
    ({"personalizations": []}, "personalizations"),
    ({"personalizations": [{"to": []}]}, "personalizations.0.to"),
    (personal(to=[YOU, {"email": "you"}]), "personalizations.1.to.1.email"),
    (personal(to=[{"email": "a@example.org>, <b@example.org"}]), "personalizations.1.to.0.email"),
    (personal(cc=["you@example.org"]), "personalizations.1.cc.0"),
    (personal(to=[YOU] * 10_000), "personalizations.1.to"),
    (personal(subject="a\u2028b"), "personalizations.1.subject"),
    ({"subject": "a\r\nBcc: x@example.org"}, "subject"),
    (personal(headers={"X A": "b"}), "personalizations.1.headers.X A"),
    ({"headers": {"X A": "b"}}, "headers.X A"),
    ({"headers": {"Bcc": "x@example.org"}}, "headers.Bcc"),
    ({"from": {"email": "alerts"}}, "from.email"),
    ({"from": {"email": "alerts@example.org", "name": "a\r\nBcc: x"}}, "from.email"),
    ({"from": "alerts@example.org"}, "from"),
    (personal(**{"from": {"email": "a"}}), "personalizations.1.from.email"),
    ({"reply_to": {"email": "a"}}, "reply_to.email"),
    ({"reply_to_list": [YOU, {"email": "a"}]}, "reply_to_list.1.email"),
    ({"reply_to": YOU, "reply_to_list": [YOU]}, "reply_to_list"),
    (file(content="no base64!"), "attachments.0.content"),
    (file(type="text"), "attachments.0.type"),
    (file(type="multipart/mixed"), "attachments.0.type"),
    (file(filename="a\r\nBcc: x"), "attachments.0.filename"),
    (file(disposition="form-data"), "attachments.0.disposition"),
    (file(content_id="a"), "attachments"),  # there is no HTML that could show it
    (
        {**file(disposition="inline", content_id="a b"), "content": [{"type": "text/html", "value": "x"}]},
        "attachments.0.content_id",
    ),
]


@pytest.mark.parametrize(("given", "field"), CASES)
async def test_what_cannot_be_is_refused_by_name(api: Api, given: dict[str, Any], field: str) -> None:
    answer = await post(api, {**HELLO, **given})
    told = answer.json()
    assert answer.status_code == 400, told
    assert told["errors"][0]["field"] == field, told
    assert told["errors"][0]["message"]
    assert await queued(api) == 0


@pytest.mark.parametrize("name", ["personalizations", "from", "content"])
async def test_what_is_missing_is_named(api: Api, name: str) -> None:
    answer = await post(api, {key: value for key, value in HELLO.items() if key != name})
    assert answer.json() == {"errors": [{"message": "It is missing.", "field": name, "help": None}]}


async def test_what_asks_for_nothing_is_as_if_it_were_not_there(api: Api) -> None:
    disabled = {"click_tracking": {"enable": False, "enable_text": False}}
    off = {"asm": None, "categories": [], "custom_args": {}, "tracking_settings": disabled, "send_at": None}
    off |= {"mail_settings": {"footer": {"enable": False, "text": "", "html": ""}}, "reply_to_list": []}
    answer = await post(api, {**HELLO, **off})
    assert (answer.status_code, answer.content) == (202, b"")
    assert await api.running.spool.show(answer.headers["x-message-id"]) is not None


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ("text/plain", "attachment", None)),
        ({"type": "application/pdf", "disposition": "attachment"}, ("application/pdf", "attachment", None)),
        ({"disposition": "inline"}, ("text/plain", "inline", None)),
        ({"type": "image/png", "disposition": "inline", "content_id": "a"}, ("image/png", "inline", "<a>")),
        ({"type": "image/png", "content_id": "a"}, ("image/png", "attachment", "<a>")),
    ],
)
async def test_a_file_is_and_stands_there_as_is_said(
    api: Api, given: dict[str, str], found: tuple[str, str, str | None]
) -> None:
    html = {"type": "text/html", "value": '<img src="cid:a">'}
    answer = await post(api, {**HELLO, **file(**given), "content": [*HELLO["content"], html]})
    (part,) = await api.files(answer.headers["x-message-id"])
    assert (part["content-type"], part.get_content_disposition(), part["content-id"]) == found


async def test_a_personalization_says_what_is_only_its_own(api: Api) -> None:
    given = {**HELLO, "headers": {"X-A": "all", "X-B": "all"}, "reply_to": {"email": "r@example.org"}}
    odd = {"email": "o@example.org", "name": 'Doe, "J" \\ Ö'}
    own = {"to": [odd], "subject": "own", "headers": {"X-A": "own"}, "from": {"email": "o@example.org"}}
    answer = await post(api, {**given, "personalizations": [{"to": [YOU]}, own]})
    made = []
    for identifier in answer.headers["x-message-id"].split(","):
        entry = await api.running.spool.show(identifier)
        assert entry is not None
        octets = b"".join((await api.running.spool.content(entry.message)).blocks())
        made.append(message_from_bytes(octets, policy=policy.default))
    fields = [(each["subject"], each["x-a"], each["x-b"], each["from"], each["reply-to"]) for each in made]
    assert fields == [
        ("s", "all", "all", "alerts@example.org", "r@example.org"),
        ("own", "own", "all", "o@example.org", "r@example.org"),
    ]
    assert made[1]["to"].addresses[0].display_name == 'Doe, "J" \\ Ö'


async def test_categories_and_arguments_are_tags_and_some_leave_later(api: Api) -> None:
    later = int(time.time()) + 3600
    given = {**HELLO, "categories": ["a", "b"], "custom_args": {"k": "all", "l": "all"}, "send_at": later}
    own = {"to": [YOU], "custom_args": {"k": "own"}, "send_at": later + 60}
    answer = await post(api, {**given, "personalizations": [{"to": [YOU]}, own]})
    made = []
    for identifier in answer.headers["x-message-id"].split(","):
        entry = await api.running.spool.show(identifier)
        assert entry is not None
        made.append((set(entry.message.tags), entry.message.send_at))
    categories = {("category", "a"), ("category", "b")}
    assert made == [
        (categories | {("k", "all"), ("l", "all")}, later),
        (categories | {("k", "own"), ("l", "all")}, later + 60),
    ]


async def test_all_messages_or_none(api: Api) -> None:
    answer = await post(api, {**HELLO, **personal(to=[{"email": "you@[1"}])})
    assert (answer.status_code, await queued(api)) == (400, 0)
    shop = api.token("submit", client="shop")
    async with api.http(shop) as client:
        answer = await client.post("/v3/mail/send", json={**HELLO, **personal()})
    assert (answer.status_code, await queued(api)) == (403, 0)
    assert [each["field"] for each in answer.json()["errors"]] == ["from.email"]


async def test_what_many_get_counts_for_each(api: Api) -> None:
    """A file of some megabytes for a thousand people is no request of some megabytes."""
    many = {**HELLO, "personalizations": [{"to": [YOU]}] * 1000, **file(content="QUJD" * 30_000)}
    answer = await post(api, many)
    assert (answer.status_code, await queued(api)) == (413, 0)
    assert str(batch.LARGEST) in answer.json()["errors"][0]["message"]


async def test_a_message_under_a_key_is_one(api: Api) -> None:
    answers = [await post(api, {**HELLO, **personal()}, **{"idempotency-key": "k"}) for _ in range(2)]
    # Another token is another client: its key is its own.
    assert answers[0].headers["x-message-id"] != answers[1].headers["x-message-id"]
    async with api.http(api.token("submit") | {"idempotency-key": "k"}) as client:
        first, again = [await client.post("/v3/mail/send", json=HELLO) for _ in range(2)]
        assert first.headers["x-message-id"] == again.headers["x-message-id"]
        other = await client.post("/v3/mail/send", json={**HELLO, "subject": "t"})
        assert other.status_code == 409


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"asm":' + b"[" * 100_000, "application/json", 400),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b'"' + b"x" * 12_000_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_none(api: Api, body: bytes, kind: str, status: int) -> None:
    async with api.http(api.token("submit") | {"content-type": kind}) as client:
        answer = await client.post("/v3/mail/send", content=body)
    assert (answer.status_code, len(answer.json()["errors"])) == (status, 1)


async def test_who_may_not(api: Api) -> None:
    async with api.http() as client:
        none = await client.post("/v3/mail/send", json=HELLO)
        wrong = await client.post("/v3/mail/send", json=HELLO, headers={"authorization": "Bearer SG.x"})
        reader = await client.post("/v3/mail/send", json=HELLO, headers=api.token("read"))
        slow = api.token("submit", client="slow")
        late = [(await client.post("/v3/mail/send", json=HELLO, headers=slow)) for _ in range(3)][-1]
    assert [each.status_code for each in (none, wrong, reader, late)] == [401, 401, 403, 429]
    assert all(set(each.json()["errors"][0]) == {"message", "field", "help"} for each in (none, reader, late))


def test_the_page_tells_what_is_refused() -> None:
    section = PAGE.read_text().partition("\n## SendGrid\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w.\[\]]+)` \| (.*) \|$", section, re.MULTILINE))
    told = {"/" + name.replace("[]", "").replace(".", "/"): text for name, text in rows.items()}
    assert {place: told.get(place) for place in NOT_HONOURED} == NOT_HONOURED
