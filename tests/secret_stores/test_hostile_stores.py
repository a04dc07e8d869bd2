"""Whatever a store answers, what comes of it is a secret or an error that can be shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from postbearer.errors import SecretError
from postbearer.secret import Secret, SecretSource
from secret_stores.conftest import Named
from support.tokenserver import Answer, Asked, TokenServer, said, serving

BODIES = [
    *(b"", b"null", b"5", b'"x"', b"[]", b"{}", b"\xff\xfe", b"<html>", b"[" * 100_000, b"{" + b" " * 70_000),
    *(
        json.dumps(body).encode()
        for body in (
            {"data": 5},
            {"data": {"data": []}},
            {"data": {"metadata": {"deletion_time": "\x1b[2J"}}},
            {"data": {"path": "x/", "type": "\x1b[2J"}},
            {"data": {"path": "x/", "type": "kv", "options": {"version": 2}}},
            {"data": {"path": "x/", "type": "kv", "options": None}},
            {"data": {"\x1b[2J" * 99: "x"}},
            {"auth": {"client_token": 5, "lease_duration": "x"}},
            {"errors": [5]},
            {"errors": ["\x1b[2J"]},
            {"error": []},
            {"error": {"message": ["x"], "innererror": 5}},
            {"value": 5},
            {"payload": {"data": "%%"}},
            {"payload": 5},
            {"access_token": "x", "value": ""},
        )
    ),
]
TABLES = {
    "hashicorp-vault": 'token = "env:PROOF"\naddress = "URL"',
    "azure-key-vault": (
        'endpoint = "URL"\ntoken-url = "URL/token"\nclient-id = "x"\nclient-secret = "env:PROOF"'
    ),
    "gcp-secret-manager": 'endpoint = "URL"\nmetadata-host = "HOST"',
    "conjur": 'address = "URL"\naccount = "x"\nlogin = "x"\napi-key = "env:PROOF"',
}


class Always(TokenServer):
    """Gives a token, then the same answer to everything."""

    chosen = Answer()

    def reply(self, asked: Asked) -> Answer:
        if asked.path.endswith(("/token", "/authenticate")):
            return Answer(200, b'{"access_token": "access", "payload": "x"}')
        return self.chosen


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Always]:
    monkeypatch.setenv("PROOF", "CANARY-proof")
    with serving(state=Always()) as running:
        yield running


async def outcome(source: SecretSource) -> Secret | SecretError:
    try:
        return await source.read()
    except SecretError as error:
        return error


def configured(named: Named, kind: str, url: str) -> SecretSource:
    """A secret in the store of that kind which is served at `url`."""
    address = url.removesuffix("/token")
    table = TABLES[kind].replace("URL", address).replace("HOST", address.removeprefix("http://"))
    return named("a/b" if kind != "hashicorp-vault" else "a/b#c", f'type = "{kind}"\n{table}')


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 418, 500, 599])
async def test_any_answer_is_told(server: Always, named: Named, kind: str, status: int) -> None:
    secret = configured(named, kind, server.url)
    for body in BODIES:
        server.chosen = Answer(status, body, {"Location": "https://elsewhere.example.org/?code=CANARY"})
        found = await outcome(secret)
        if isinstance(found, Secret):
            assert kind == "conjur"  # whose secrets are octets, so everything is one
            assert (found.reveal(), status) == (body.decode(), 200)
        else:
            told = f"{found.message} {found.hint}"
            assert told.isprintable()
            assert "CANARY" not in told


class Parrot(TokenServer):
    """Gives a token, then refuses with whatever header carried it."""

    status = 403

    def reply(self, asked: Asked) -> Answer:
        if asked.path.endswith(("/token", "/authenticate")):
            return Answer(200, b'{"access_token": "CANARY-access", "payload": "CANARY-access"}')
        heard = asked.headers.get("x-vault-token") or asked.headers["authorization"]
        return said(self.status, errors=[f"no: {heard}"], error={"message": f"no: {heard}"})


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("status", [403, 503])
async def test_a_token_that_is_repeated_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, named: Named, kind: str, status: int
) -> None:
    monkeypatch.setenv("PROOF", "CANARY-proof")
    with serving(state=Parrot()) as parrot:
        parrot.status = status
        found = await outcome(configured(named, kind, parrot.url))
    assert isinstance(found, SecretError)
    assert "no: " in found.message
    assert "***" in found.message
    assert "CANARY" not in f"{found.message} {found.hint}"
    assert base64.b64encode(b'{"access_token": "CANARY').decode() not in found.message  # as Conjur's goes
