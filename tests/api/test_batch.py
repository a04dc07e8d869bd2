"""``POST /v1/messages/batch``: one commit; all or none, or those that can be; and the same again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from postbearer.engine import MessageIntake, Submission
from postbearer.reply import Reply
from postbearer.store import Claimed, Incoming, Query
from support.http_api import Api


def messages(count: int, **wrong: Any) -> dict[str, Any]:
    """So many; ``m57={…}`` changes the one at that place."""
    made = [{"to": "you@example.org", "subject": f"n{number}", "text": "x"} for number in range(count)]
    for name, change in wrong.items():
        made[int(name[1:])] |= change
    return {"messages": made}


async def queued(api: Api) -> list[str]:
    return [entry.message.subject for entry in await api.running.spool.search(Query(limit=10_000))]


async def test_a_thousand_in_one_commit(api: Api) -> None:
    async with api.http(api.token("submit")) as client:
        answer = await client.post("/v1/messages/batch", json=messages(1000))
        told = answer.json()
        assert (answer.status_code, told["accepted"], len(told["messages"])) == (202, 1000, 1000)
        assert len({each["message"]["id"] for each in told["messages"]}) == 1000
    assert sorted(await queued(api)) == sorted(f"n{number}" for number in range(1000))


async def test_others_are_served_while_a_thousand_are_looked_at(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, spool = api.running.intake, api.running.spool
    begin, accept_all = intake.begin, spool.accept_all
    rounds: list[str] = []

    def round_of_the_loop() -> None:
        if rounds[-1] != "stored":
            rounds.append("passed")
            asyncio.get_running_loop().call_soon(round_of_the_loop)

    async def first(submission: Submission) -> MessageIntake | Reply:
        if not rounds:
            rounds.append("begun")
            round_of_the_loop()
        return await begin(submission)

    async def stored(batch: Sequence[Incoming]) -> Sequence[Claimed]:
        rounds.append("stored")
        return await accept_all(batch)

    monkeypatch.setattr(intake, "begin", first)
    monkeypatch.setattr(spool, "accept_all", stored)
    async with api.http(api.token("submit")) as client:
        answer = await client.post("/v1/messages/batch", json=messages(1000))
    assert answer.status_code == 202
    assert rounds.count("passed") >= 50


async def test_what_was_looked_at_is_kept_though_its_account_leaves_meanwhile(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = api.running.intake
    begin, begun = intake.begin, []

    async def last_of_them(submission: Submission) -> MessageIntake | Reply:
        begun.append(submission)
        if len(begun) == 20:
            intake.replace(intake.router, {}, intake.settings)
        return await begin(submission)

    monkeypatch.setattr(intake, "begin", last_of_them)
    async with api.http(api.token("submit") | {"x-batch-validation": "permissive"}) as client:
        answer = await client.post("/v1/messages/batch", json=messages(20))
    assert (answer.status_code, answer.json()["accepted"]) == (202, 19)
    assert sorted(await queued(api)) == sorted(f"n{number}" for number in range(19))


async def test_strict_is_all_or_none(api: Api) -> None:
    async with api.http(api.token("submit")) as client:
        wrong = messages(60, m57={"to": ["you@example.org", "x"]}, m58={"subject": 5})
        answer = await client.post("/v1/messages/batch", json=wrong)
    told = answer.json()
    assert answer.status_code == 422
    assert [each["pointer"] for each in told["errors"]] == ["/messages/57/to/1", "/messages/58/subject"]
    assert await queued(api) == []


async def test_permissive_takes_what_it_can(api: Api) -> None:
    header = api.token("submit") | {"x-batch-validation": "permissive", "idempotency-key": "b1"}
    async with api.http(header) as client:
        given = messages(60, m57={"to": "x"}, m3={"unknown": 1})
        answer = await client.post("/v1/messages/batch", json=given)
        told = answer.json()
        assert (answer.status_code, told["accepted"]) == (202, 58)
        wrong = {n: each["problem"] for n, each in enumerate(told["messages"]) if "problem" in each}
        assert {n: each["errors"][0]["pointer"] for n, each in wrong.items()} == {57: "/to", 3: "/unknown"}
        again = await client.post("/v1/messages/batch", json=given)
        assert again.headers["idempotent-replayed"] == "true"
        assert _ids(again.json()) == _ids(told)
        none = await client.post(
            "/v1/messages/batch", json=messages(1, m0={"to": "x"}), headers={"idempotency-key": "b2"}
        )
        assert none.status_code == 422
    assert len(await queued(api)) == 58


async def test_a_batch_under_a_key_is_one_batch(api: Api) -> None:
    async with api.http(api.token("submit") | {"idempotency-key": "b"}) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/messages/batch", json=messages(20)) for _ in range(5))
        )
        taken = [answer for answer in answers if answer.status_code == 202]
        assert {answer.status_code for answer in answers} <= {202, 409}  # the same is under way
        assert len({_ids(answer.json()) for answer in taken}) == 1
        other = await client.post("/v1/messages/batch", json=messages(21))
        assert other.status_code == 409
        single = await client.post("/v1/messages", json=messages(1)["messages"][0])
        assert single.status_code == 202  # a batch and a message are different requests
    assert len(await queued(api)) == 21


def _ids(told: dict[str, Any]) -> tuple[str, ...]:
    return tuple(each.get("message", {}).get("id", "") for each in told["messages"])


@pytest.mark.parametrize(
    ("given", "status", "pointer"),
    [
        ({}, 422, "/messages"),
        ({"messages": []}, 422, "/messages"),
        ({"messages": 5}, 422, "/messages"),
        ({"messages": [5]}, 422, "/messages/0"),
        ({"messages": [[]]}, 422, "/messages/0"),
        (messages(1001), 422, "/messages"),
        ([], 422, ""),
        (messages(1) | {"x": 1}, 422, "/x"),
        (messages(1, m0={"dry-run": True}), 422, "/messages/0/dry-run"),
        (messages(1, m0={"headers": {"X A": "b"}}), 422, "/messages/0/headers/X A"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, given: Any, status: int, pointer: str) -> None:
    async with api.http(api.token("submit")) as client:
        answer = await client.post("/v1/messages/batch", json=given)
    told = answer.json()
    assert answer.status_code == status, told
    assert told["errors"][0].get("pointer", "") == pointer if pointer else True, told
    assert await queued(api) == []


@pytest.mark.parametrize("body", [b'{"messages": [1e999]}', b'{"messages": [{"to": "\xed\xa0\x80"}]}'])
async def test_what_no_json_can_say_is_refused(api: Api, body: bytes) -> None:
    header = api.token("submit") | {"content-type": "application/json", "x-batch-validation": "permissive"}
    async with api.http(header) as client:
        answer = await client.post("/v1/messages/batch", content=body)
    assert answer.status_code in (400, 422)
    assert api.ears.defects == []


async def test_a_validation_that_is_none(api: Api) -> None:
    async with api.http(api.token("submit") | {"x-batch-validation": "perhaps"}) as client:
        answer = await client.post("/v1/messages/batch", json=messages(1))
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (422, "x-batch-validation")


async def test_a_client_that_may_not_send_so_many_sends_none(api: Api) -> None:
    async with api.http(api.token("submit", client="slow")) as client:
        answer = await client.post("/v1/messages/batch", json=messages(5))
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    assert await queued(api) == []
