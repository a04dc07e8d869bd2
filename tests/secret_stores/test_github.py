"""`github-actions:`: a job of GitHub proves itself without any secret, as the actions toolkit documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import source
from postbearer.state import StateFolder
from support.tokenserver import Answer, TokenServer, said, serving

CANARY = "canary-of-the-job"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    with serving() as running:
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{running.url}/idtoken/7?api-version=2.0")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", CANARY)
        yield running


async def test_it_is_asked_for_at_each_use(github: TokenServer) -> None:
    github.script += [said(value="first.of.job"), said(value="second.of.job")]
    token = source("github-actions:api://Exchange")
    assert [await token.read(), await token.read()] == [Secret("first.of.job"), Secret("second.of.job")]
    asked = github.asked[0]
    assert asked.method == "GET"
    assert asked.path == "/token/idtoken/7?api-version=2.0&audience=api%3A%2F%2FExchange"
    assert asked.headers["authorization"] == f"bearer {CANARY}"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (said(403, message="no"), SecretError, "id-token: write"),
        (said(503), SecretUnavailable, "503"),
        (said(value=""), SecretError, "has nothing in the field value"),
        (Answer(200, b"<html>"), SecretError, "has no fields"),
        (Answer(302, headers={"location": "https://example.org/"}), SecretError, "elsewhere"),
    ],
)
async def test_what_it_refuses_is_told(
    github: TokenServer, answer: Answer, kind: type[SecretError], words: str
) -> None:
    github.script.append(answer)
    with pytest.raises(kind) as caught:
        await source("github-actions:x").read()
    assert words in f"{caught.value} {caught.value.hint}"
    assert CANARY not in f"{caught.value} {caught.value.hint}"


async def test_outside_of_a_job_it_says_so() -> None:
    with pytest.raises(SecretError, match="no job of GitHub"):
        await source("github-actions:x").read()


async def test_a_job_needs_neither_secret_nor_assertion(
    github: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "postbearer.toml"
    path.write_text(
        '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\nservers = ["127.0.0.1:1"]\n'
        f'token-url = "{github.url}"\ngrant = "workload-identity"\nclient-id = "relay"\n'
    )
    path.chmod(0o600)
    github.script += [said(value="vouched.for.job")]
    environ = {"ACTIONS_ID_TOKEN_REQUEST_URL": "set"}
    await Assembly.load(path, environ, StateFolder(tmp_path / "state")).token_source("alerts").token()
    assert github.asked[0].path.endswith("audience=api%3A%2F%2FAzureADTokenExchange")
    assert github.asked[1].form["client_assertion"] == "vouched.for.job"
