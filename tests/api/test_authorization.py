"""Every endpoint × every scope × no token, a wrong one, an expired one, a revoked one."""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest

from postbearer.api import ENDPOINTS, FIRST_FILE, TokenScope
from postbearer.events import LoginFailed
from support.http_api import ACCOUNT, Api

TABLE = [(each.method, each.path, each.needs, each.face.name) for each in ENDPOINTS]
OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


def place(path: str) -> str:
    return path.replace("{id}", "0").replace("{name}", "out")


async def ask(client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]) -> httpx2.Response:
    """The answer; of one that does not end, its beginning."""
    async with client.stream(method, path, headers=headers) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            await answer.aread()
        return answer


def test_what_is_open_is_written_down_here() -> None:
    assert {each.path for each in ENDPOINTS if each.needs is None} == OPEN


def as_sent(face: str, headers: dict[str, str]) -> dict[str, str]:
    """The same token, where the clients of this face send it."""
    if face == "postmark" and headers:
        return {"x-postmark-server-token": headers["authorization"].removeprefix("Bearer ")}
    return headers


def refusal(face: str, answer: httpx2.Response) -> str:
    """What an answer says of the token: a ``stranger``'s, or not for this (``scope``); else nothing."""
    if face == "postmark" and answer.status_code == 401:
        assert answer.json()["ErrorCode"] == 10
        return "scope" if "needs the scope" in answer.json()["Message"] else "stranger"
    if face == "resend" and answer.status_code in (401, 403):
        strange = ("missing_api_key", "invalid_api_key")
        return {"restricted_api_key": "scope", **dict.fromkeys(strange, "stranger")}[answer.json()["name"]]
    if answer.status_code == 403 and "insufficient_scope" not in answer.headers.get("www-authenticate", ""):
        return ""  # the token may, and the configuration of this relay does not let it be done
    return {401: "stranger", 403: "scope"}.get(answer.status_code, "")


async def test_the_matrix(api: Api) -> None:
    """Who is not known is told so, and whose scope is not enough; who may comes as far as the endpoint."""
    headers = {scope: api.token(scope) for scope in TokenScope}
    allowed = {scope: api.tokens.find(each["authorization"][7:]) for scope, each in headers.items()}
    expired, revoked = api.token("admin", expires=time.time() - 1), api.token("admin")
    api.tokens.revoke(api.tokens.all()[-1].name)
    strangers = [
        expired,
        revoked,
        {"authorization": "Bearer pbt_" + "A" * 43},
        {"authorization": "Bearer"},
        {"authorization": "Basic dXNlcjpwYXNz"},
    ]
    async with api.http() as client:
        for method, path, needs, face in TABLE:
            for stranger in [*strangers, *([{}] if needs is not None else [])]:
                answer = await ask(client, method, place(path), as_sent(face, stranger))
                assert refusal(face, answer) == "stranger", (method, path, stranger)
                assert answer.headers.get("www-authenticate", "Bearer").startswith("Bearer")
                assert ("www-authenticate" in answer.headers) is (face != "postmark")
            for scope, header in headers.items():
                answer = await ask(client, method, place(path), as_sent(face, header))
                token = allowed[scope]
                assert token is not None
                may = (needs or TokenScope.READ) in token.allowed
                assert refusal(face, answer) == ("" if may else "scope"), (method, path, scope)
    assert any(isinstance(event, LoginFailed) for event in api.ears.events)


async def test_two_tokens_are_none(api: Api) -> None:
    first, second = api.token("admin"), api.token("admin")
    fields = [("authorization", each["authorization"]) for each in (first, second)]
    async with api.http() as client:
        assert (await client.get("/healthz", headers=fields)).status_code == 401


async def test_the_first_token_is_everything_and_a_revoked_one_nothing_at_once(api: Api) -> None:
    text = (api.home / "state" / FIRST_FILE).read_text().strip()
    async with api.http({"authorization": f"Bearer {text}"}) as client:
        assert (await client.get("/readyz")).status_code == 200
        api.tokens.revoke("admin")
        assert (await client.get("/readyz")).status_code == 401


async def test_behind_a_trusted_proxy_nothing_is_open(home: Path) -> None:
    api = Api(home, ACCOUNT + '[http]\nlisten = ["127.0.0.1:0"]\ntrusted-proxies = ["127.0.0.1"]\n')
    await api.start()
    try:
        async with api.http() as client:
            assert (await client.get("/healthz")).status_code == 200
            outside = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
            assert (await client.get("/healthz", headers=outside)).status_code == 401
            lied = {"x-forwarded-for": "127.0.0.1, 192.0.2.7"}
            assert (await client.get("/healthz", headers=lied)).status_code == 401
    finally:
        await api.running.stop(0.0)


async def test_nobody_elses_word_counts_for_where_a_client_is(api: Api) -> None:
    header = api.token("submit", "read", client="far")
    async with api.http(header) as client:
        lied = {"x-forwarded-for": "192.0.2.7"}
        assert (await client.get("/healthz", headers=lied)).status_code == 403


async def test_a_token_of_a_client_that_is_gone_is_good_for_nothing(api: Api) -> None:
    async with api.http(api.token("read", client="shop")) as client:
        assert (await client.get("/healthz")).status_code == 200
        api.text = api.text.replace('name = "shop"', 'name = "other"')
        await api.reload()
        answer = await client.get("/healthz")
        assert (answer.status_code, "shop" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("path", ["/", "/nothing", "/v1", "/v1/", "/healthz/", "/%00", "/../etc/passwd"])
async def test_what_is_not_there_is_not_there_for_anybody(api: Api, path: str) -> None:
    async with api.http() as client:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
