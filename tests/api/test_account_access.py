"""Accounts by HTTP: checked step by step, and signed in for, against the sandbox's authorization server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from postbearer.control import DiagnosisResult
from postbearer.control.operations import CHECKING
from postbearer.daemon import Relay
from postbearer.daemon.checks import examined, examining
from postbearer.diagnosis import Finding
from postbearer.events import OperatorAction
from postbearer.testing import Sandbox
from support.browser import Browser
from support.http_api import HTTP, Api

ME, OTHER = "alerts@example.org", "other@example.org"


class Process:
    """What a relay's process does for a check."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def reload(self) -> None: ...

    def stop(self) -> None: ...

    async def examine(self, account: str, send_to: str) -> DiagnosisResult:
        return await examined(self.api.load, account, send_to)

    def examining(self, account: str, send_to: str) -> AsyncGenerator[Finding, None]:
        return examining(self.api.load, account, send_to)


def configured(sandbox: Sandbox, grant: str) -> str:
    """An account at the sandbox for which a person signs in."""
    described = sandbox.describe()
    urls = {"authorize-url": described["authorize_url"], "device-url": described["device_url"]}
    first, rest = sandbox.configuration().split("\n", 1)
    kept = re.sub(r"^(grant|scopes|refresh-token|client-secret) .*\n", "", rest, flags=re.M)
    scopes = json.dumps([sandbox.personality.scopes[0], "offline_access", "openid"])
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"grant": grant, **urls}.items()]
    relay = '[relay]\naccount = "sandbox"\nlisten = ["127.0.0.1:0"]\nallow-ephemeral = true\n'
    return "\n".join([first, *lines, f"scopes = {scopes}", kept, relay, HTTP])


@pytest.fixture(params=["authorization-code"])
async def api(request: pytest.FixtureRequest, home: Path, postbearer_sandbox: Sandbox) -> AsyncIterator[Api]:
    made = Api(home, configured(postbearer_sandbox, request.param))
    made.relay = Relay(made.load(), observer=made.ears, process=Process(made))
    await made.relay.start()
    yield made
    await made.running.stop(0.0)


def agreed(url: str, user: str = ME, **more: str) -> str:
    """The address at which the browser ends, where nobody answers."""
    browser = Browser()
    browser.open(url)
    with suppress(OSError):
        browser.submit(user=user, **more)
    return browser.address


async def begun(client: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/accounts/sandbox/authorize", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def no_longer_waits(client: httpx2.AsyncClient) -> str:
    async with asyncio.timeout(30):
        while True:
            told = (await client.get("/v1/accounts/sandbox/authorize")).json()
            if told["state"] != "waiting":
                return str(told["state"])


async def finished(client: httpx2.AsyncClient, identifier: str, redirect: str) -> httpx2.Response:
    return await client.post(
        "/v1/accounts/sandbox/authorize/finish", json={"id": identifier, "redirect": redirect}
    )


async def test_a_link_is_opened_and_its_answer_handed_in(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        before = (await client.get("/v1/accounts/sandbox")).json()
        assert before["state"] == "not-signed-in"
        told = await begun(client)
        assert (told["state"], told["pastes"], "code" in told) == ("waiting", True, False)
        address = await asyncio.to_thread(agreed, told["url"])
        done = await finished(client, told["id"], address)
        assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
        assert (await client.get("/v1/accounts/sandbox/authorize")).json()["state"] == "done"
        assert (await client.get("/v1/accounts/sandbox")).json()["state"] == "ready"
        again = await finished(client, told["id"], address)
        assert again.status_code == 409
        entries = (await client.get("/v1/audit")).json()["entries"]
        assert (entries[0]["action"], entries[0]["account"]) == ("sign in", "sandbox")
    secret = await api.running.dispatcher.account_states["sandbox"].channel.source.token()  # type: ignore[union-attr]
    assert secret.access.reveal() not in repr(api.ears.events)


@pytest.mark.parametrize("api", ["device-code"], indirect=True)
async def test_a_code_is_typed_elsewhere(api: Api, postbearer_sandbox: Sandbox) -> None:
    async with api.http(api.token("admin")) as client:
        told = await begun(client)
        assert (told["state"], told["pastes"], len(told["code"]) > 3) == ("waiting", False, True)

        postbearer_sandbox.authorization.approve(told["code"], ME)
        assert await no_longer_waits(client) == "done"
        assert (await client.get("/v1/accounts/sandbox")).json()["state"] == "ready"


async def test_an_answer_of_another_sign_in_ends_nothing(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        told = await begun(client)
        address = await asyncio.to_thread(agreed, told["url"])
        for wrong in (
            re.sub("state=[^&]*", "state=other", address),
            re.sub("state=[^&]*&?", "", address),
            address + "&code=again",
            "http://127.0.0.1/?nothing",
            "javascript:alert(1)",
            "\x00",
        ):
            answer = await finished(client, told["id"], wrong)
            assert answer.status_code == 422, (wrong, answer.text)
            assert answer.json()["detail"].isprintable()
        assert (await finished(client, "other", address)).status_code == 409
        assert (await finished(client, told["id"], address)).status_code == 200


async def test_another_person_is_refused_and_nothing_is_kept(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        told = await begun(client)
        address = await asyncio.to_thread(agreed, told["url"], OTHER)
        answer = await finished(client, told["id"], address)
        assert (answer.status_code, OTHER in answer.json()["detail"]) == (422, True)
        assert (await client.get("/v1/accounts/sandbox/authorize")).json()["state"] == "failed"
        assert (await client.get("/v1/accounts/sandbox")).json()["state"] == "not-signed-in"


async def test_two_at_once_are_told_so_and_one_may_begin_anew(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        first = await begun(client)
        second = await client.post("/v1/accounts/sandbox/authorize", json={})
        assert (second.status_code, "restart" in second.json()["hint"]) == (409, True)
        third = await begun(client, restart=True)
        assert third["url"] != first["url"]
        address = await asyncio.to_thread(agreed, first["url"])
        assert (await finished(client, first["id"], address)).status_code == 409
        assert (await finished(client, third["id"], address)).status_code == 422  # of the first one's state
        address = await asyncio.to_thread(agreed, third["url"])
        assert (await finished(client, third["id"], address)).status_code == 200


async def test_who_may_not_sign_in_and_for_whom_nobody_does(api: Api) -> None:
    async with api.http(api.token("operate")) as client:
        assert (await client.post("/v1/accounts/sandbox/authorize")).status_code == 403
    async with api.http(api.token("admin")) as client:
        assert (await client.get("/v1/accounts/sandbox/authorize")).status_code == 404
        assert (await client.post("/v1/accounts/none/authorize")).status_code == 404
        assert (await client.post("/v1/accounts/none/check")).status_code == 404
        wrong = await client.post("/v1/accounts/sandbox/authorize", json={"devise": True})
        assert (wrong.status_code, "device" in wrong.json()["hint"]) == (422, True)


async def test_a_check_tells_each_step_as_a_line(api: Api) -> None:
    async with (
        api.http(api.token("operate")) as client,
        client.stream("POST", "/v1/accounts/sandbox/check") as answer,
    ):
        assert answer.headers["content-type"].startswith("application/jsonl")
        lines = [json.loads(line) async for line in answer.aiter_lines()]
    steps = [each["step"] for each in lines]
    assert steps[0] == "configuration"
    assert {"DNS", "TCP", "TLS", "EHLO", "token", "AUTH", "message"} <= set(steps)
    assert (steps[-1], lines[-1]["ok"]) == ("end", False)  # nobody has signed in
    (token,) = [each for each in lines if each["step"] == "token"]
    assert (token["ok"], "postbearer login" in token["fix"]) == (False, True)


async def test_an_account_is_checked_once_at_a_time(api: Api) -> None:
    async with api.http(api.token("operate")) as client:
        async with client.stream("POST", "/v1/accounts/sandbox/check") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            CHECKING.add("sandbox")  # also if it is over in a moment
            second = await client.post("/v1/accounts/sandbox/check")
            CHECKING.discard("sandbox")
            assert (second.status_code, "already" in second.json()["detail"]) == (409, True)
            async for _ in lines:
                pass
        assert (await client.post("/v1/accounts/sandbox/check")).status_code == 200


async def test_a_check_that_sends_says_so_in_the_audit(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        await client.post("/v1/accounts/sandbox/check", json={"send-to": "you@example.org"})
        entries = (await client.get("/v1/audit")).json()["entries"]
        assert (entries[0]["action"], entries[0]["recipient"]) == ("check", "you@example.org")
    told = [each.recipient for each in api.ears.events if isinstance(each, OperatorAction)]
    assert told == ["you@example.org"]
