"""Postmark's API: what it cannot honour and what is wrong is told by its codes, with the field."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

from house.tree import ROOT
from postbearer.api.postmark import CODES, NOT_HONOURED
from postbearer.store import Query
from support.http_api import Api

PAGE = ROOT / "docs" / "reference" / "hosted-apis.md"
HELLO: dict[str, Any] = {
    "From": "alerts@example.org",
    "To": "you@example.org",
    "Subject": "s",
    "TextBody": "x",
}


def token(api: Api, *scopes: str, client: str = "") -> dict[str, str]:
    made = api.token(*scopes, client=client)["authorization"]
    return {"x-postmark-server-token": made.removeprefix("Bearer ")}


async def queued(api: Api) -> int:
    return len(await api.running.spool.search(Query(limit=10_000)))


async def post(api: Api, body: Any, path: str = "/email", client: str = "") -> httpx2.Response:
    async with api.http(token(api, "submit", client=client)) as http:
        return await http.post(path, json=body)


def file(**more: Any) -> dict[str, Any]:
    return {**HELLO, "Attachments": [{"Name": "a.txt", "Content": "YQ==", **more}]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"InlineCss": True}, "InlineCss"),
        ({"MessageStream": "broadcast"}, "MessageStream"),
        ({"TemplateId": 5}, "TemplateId"),
        ({"TemplateAlias": "welcome"}, "TemplateAlias"),
        ({"TemplateModel": {}}, "TemplateModel"),
        ({"TrackLinks": "HtmlAndText"}, "TrackLinks"),
        ({"TrackOpens": True}, "TrackOpens"),
        ({"Too": "x"}, "Too"),
        ({"from": "x"}, "from"),
        ({"Metadata": {"a:b": "c"}}, "Metadata"),
        ({"Metadata": {"a": None}}, "Metadata"),
        ({"Metadata": {f"a{n}": "c" for n in range(60)}}, "Metadata"),
        ({"From": None}, "From"),
        ({"From": "alerts"}, "From"),
        ({"From": "a@example.org, b@example.org"}, "From"),
        ({"To": None}, "To"),
        ({"To": ["you@example.org"]}, "To"),
        ({"To": "you@example.org, you"}, "To"),
        ({"To": ", ".join(["you@example.org"] * 10_000)}, "To"),
        ({"Cc": "you"}, "Cc"),
        ({"ReplyTo": "you"}, "ReplyTo"),
        ({"Subject": "a\u2028b"}, "Subject"),
        ({"Subject": "a\r\nBcc: x@example.org"}, "Subject"),
        ({"TextBody": None}, "HtmlBody"),
        ({"Headers": {"X-A": "b"}}, "Headers"),
        ({"Headers": [{"Name": "X A", "Value": "b"}]}, "Headers"),
        ({"Headers": [{"Name": "Bcc", "Value": "x@example.org"}]}, "Headers"),
        ({"Headers": [{"Name": "X-A", "Value": "b"}, {"Name": "X-A", "Value": "c"}]}, "Headers[1].Name"),
        (file(Content="no base64!"), "Attachments[0].Content"),
        (file(ContentType="text"), "Attachments[0].ContentType"),
        (file(ContentType="message/partial"), "Attachments[0].ContentType"),
        (file(Name="a\r\nBcc: x"), "Attachments[0].Name"),
        ({**file(ContentID="cid:a b"), "HtmlBody": "x"}, "Attachments[0].ContentID"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(api: Api, given: dict[str, Any], field: str) -> None:
    answer = await post(api, {**HELLO, **given})
    told = answer.json()
    assert (answer.status_code, told["ErrorCode"]) == (422, 300), told
    assert told["Message"].startswith(f"`{field}`"), told
    assert told.keys() == {"ErrorCode", "Message"}
    assert await queued(api) == 0


async def test_what_asks_for_nothing_is_as_if_it_were_not_there(api: Api) -> None:
    off = {"TrackOpens": False, "TrackLinks": "None", "MessageStream": "outbound", "Cc": "", "ReplyTo": ""}
    off |= {"Headers": [], "Attachments": [], "Metadata": {}, "Tag": "", "TemplateId": None, "HtmlBody": None}
    told = (await post(api, {**HELLO, **off})).json()
    assert (told["ErrorCode"], told["To"], bool(told["MessageID"])) == (0, "you@example.org", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", told["SubmittedAt"])


async def test_a_file_is_of_the_type_that_is_said(api: Api) -> None:
    pdf = {"Name": "report", "Content": "YQ==", "ContentType": "application/pdf"}
    csv = {"Name": "r.csv", "Content": "9g==", "ContentType": "text/csv; charset=iso-8859-1"}
    shown = {"Name": "logo", "Content": "YQ==", "ContentType": "image/png", "ContentID": "cid:logo"}
    given = {**HELLO, "HtmlBody": '<img src="cid:logo">', "Attachments": [pdf, csv, shown]}
    found = await api.files((await post(api, given)).json()["MessageID"])
    assert {
        each.get_filename(): (each["content-type"], each.get_content_disposition()) for each in found
    } == {
        "report": ("application/pdf", "attachment"),
        "r.csv": ('text/csv; charset="iso-8859-1"', "attachment"),
        "logo": ("image/png", "inline"),
    }


async def test_tag_and_metadata_are_tags(api: Api) -> None:
    answer = await post(api, {**HELLO, "Tag": "welcome", "Metadata": {"order": "17", "count": 2}})
    entry = await api.running.spool.show(answer.json()["MessageID"])
    assert entry is not None
    assert set(entry.message.tags) == {("tag", "welcome"), ("order", "17"), ("count", "2")}


async def test_who_is_only_in_bcc_is_a_recipient(api: Api) -> None:
    given = {**HELLO, "To": None, "Bcc": "you@example.org"}
    told = (await post(api, given)).json()
    assert (told["ErrorCode"], "To" in told) == (0, False)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 422, 402),
        (b"", "application/json", 422, 402),
        (b"\xff", "application/json", 422, 402),
        (b"[]", "application/json", 422, 300),
        (b"From=a", "application/x-www-form-urlencoded", 422, 409),
        (b'"' + b"x" * 12_000_000, "application/json", 413, 413),
    ],
)
async def test_a_body_that_is_none(api: Api, body: bytes, kind: str, status: int, code: int) -> None:
    async with api.http(token(api, "submit") | {"content-type": kind}) as client:
        answer = await client.post("/email", content=body)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (status, code), answer.text


async def test_who_may_not_is_told_by_its_codes(api: Api) -> None:
    async with api.http() as client:
        none = await client.post("/email", json=HELLO)
        bearer = await client.post("/email", json=HELLO, headers=api.token("submit"))
        reader = await client.post("/email", json=HELLO, headers=token(api, "read"))
    foreign = await post(api, HELLO, client="shop")
    slow = token(api, "submit", client="slow")
    async with api.http(slow) as client:
        late = [(await client.post("/email", json=HELLO)) for _ in range(3)][-1]
    told = [(each.status_code, each.json()["ErrorCode"]) for each in (none, bearer, reader, foreign, late)]
    assert told == [(401, 10), (401, 10), (401, 10), (422, 400), (429, 429)]
    assert foreign.json()["Message"].startswith("`From`")


async def test_each_of_a_batch_has_a_code(api: Api) -> None:
    given = [HELLO, {**HELLO, "To": "you"}, {**HELLO, "TrackOpens": True}, 5]
    answer = await post(api, given, "/email/batch")
    assert (answer.status_code, [each["ErrorCode"] for each in answer.json()]) == (200, [0, 300, 300, 300])
    assert [each["Message"].split(":")[0] for each in answer.json()[1:3]] == ["`To`", "`TrackOpens`"]
    none = await post(api, given[1:], "/email/batch")
    assert (none.status_code, [each["ErrorCode"] for each in none.json()]) == (200, [300, 300, 300])
    many = await post(api, [HELLO] * 1001, "/email/batch")
    assert (many.status_code, many.json()["ErrorCode"]) == (422, 410)
    assert (await post(api, [], "/email/batch")).json()["ErrorCode"] == 300
    assert await queued(api) == 1


async def test_a_batch_under_a_key_is_one_batch(api: Api) -> None:
    async with api.http(token(api, "submit") | {"idempotency-key": "b"}) as client:
        answers = [(await client.post("/email/batch", json=[HELLO, HELLO])).json() for _ in range(2)]
    first, again = ([each["MessageID"] for each in answer] for answer in answers)
    assert first == again
    assert await queued(api) == 2


async def test_a_whole_batch_that_comes_too_fast_is_to_come_again(api: Api) -> None:
    async with api.http(token(api, "submit", client="slow")) as client:
        await client.post("/email/batch", json=[HELLO, HELLO])
        answer = await client.post("/email/batch", json=[HELLO])
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


def test_the_page_tells_what_is_refused_and_the_codes() -> None:
    section = PAGE.read_text().partition("\n## Postmark\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))
    assert {place: rows.get(place[1:]) for place in NOT_HONOURED} == NOT_HONOURED
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert {code for _, code in CODES.values()} <= told
