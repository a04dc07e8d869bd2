"""Tokens for a machine of Azure Arc, whose agent wants to see a key that only its group may read."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from postbearer.errors import GrantRefused, TokenUnavailable
from postbearer.http import HttpResponse
from postbearer.oauth import CachedSource, Endpoint, GrantContext, ManagedIdentity, MemoryStore
from postbearer.oauth.arc import AGENT, agent
from postbearer.secret import Secret
from postbearer.testing import ManualClock
from support.canary import assert_absent
from support.tokenserver import TokenServer, said

SCOPE = "https://outlook.office365.com/.default"
KEY = "canary-of-the-agent"
ARC = {"IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token"}
ARC |= {"IMDS_ENDPOINT": "http://localhost:40342"}


@pytest.fixture
def tokens(server: TokenServer, clock: ManualClock, tmp_path: Path) -> CachedSource:
    grant = ManagedIdentity(endpoint=server.url, keys=str(tmp_path), scopes=[SCOPE])
    return CachedSource(grant, Endpoint(""), account="alerts", store=MemoryStore(), clock=clock)


def challenge(path: object) -> HttpResponse:
    return HttpResponse(401, {"www-authenticate": f"Basic realm={path}"})


async def test_the_key_is_shown_and_the_token_comes(
    tokens: CachedSource, server: TokenServer, tmp_path: Path
) -> None:
    (tmp_path / "one.key").write_text(KEY)
    server.script.append(said(401, {"www-authenticate": f"Basic realm={tmp_path / 'one.key'}"}))
    assert (await tokens.token()).access == Secret("access-1")
    first, second = server.asked
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == f"Basic {KEY}"
    assert second.headers["metadata"] == "true"
    query = parse_qs(urlsplit(second.path).query)
    assert query == {"api-version": ["2020-06-01"], "resource": ["https://outlook.office365.com"]}


def refused_for(folder: Path, response: HttpResponse) -> GrantRefused:
    exchange = ManagedIdentity(keys=str(folder), scopes=[SCOPE]).request(
        GrantContext(account="alerts", now=0.0)
    )
    next(exchange)
    with pytest.raises(GrantRefused) as caught:
        exchange.send(response)
    assert_absent(KEY, str(caught.value))
    return caught.value


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/one.key",
        "{folder}/../one.key",
        "{folder}/below/one.key",
        "{folder}/one.txt",
        "{folder}/one.key\x1b[2J",
        "one.key",
        "",
    ],
)
def test_no_other_file_is_read(tmp_path: Path, path: str) -> None:
    keys = tmp_path / "keys"
    (keys / "below").mkdir(parents=True)
    for each in (tmp_path / "one.key", keys / "below" / "one.key", keys / "one.txt"):
        each.write_text(KEY)
    assert "names no key file" in refused_for(keys, challenge(path.format(folder=keys))).message


@pytest.mark.parametrize("header", ["", "Bearer", "Basic", "Basic nonce=1", "Negotiate realm=/x.key"])
def test_no_other_challenge_is_answered(tmp_path: Path, header: str) -> None:
    assert (
        "names no key file" in refused_for(tmp_path, HttpResponse(401, {"www-authenticate": header})).message
    )


def test_neither_a_link_nor_a_pipe_nor_a_large_file_is_a_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (tmp_path / "elsewhere").write_text(KEY)
    (keys / "link.key").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(keys / "pipe.key")
    (keys / "large.key").write_text(KEY * 1000)
    (keys / "binary.key").write_bytes(b"\xff\xfe")
    (keys / "folder.key").mkdir()
    for name in ("link", "pipe", "large", "binary", "folder"):
        refused = refused_for(keys, challenge(keys / f"{name}.key"))
        assert refused.configuration
        assert "group himds" in refused.hint


def test_a_key_that_is_gone_is_asked_for_again_later(tmp_path: Path) -> None:
    exchange = ManagedIdentity(keys=str(tmp_path), scopes=[SCOPE]).request(
        GrantContext(account="alerts", now=0.0)
    )
    next(exchange)
    with pytest.raises(TokenUnavailable, match="is gone"):
        exchange.send(challenge(tmp_path / "gone.key"))


def test_a_challenge_anywhere_else_is_a_refusal() -> None:
    exchange = ManagedIdentity(scopes=[SCOPE]).request(GrantContext(account="alerts", now=0.0))
    next(exchange)
    with pytest.raises(GrantRefused, match="HTTP 401"):
        exchange.send(challenge("/var/opt/azcmagent/tokens/one.key"))


def test_arc_has_one_identity_only(tmp_path: Path) -> None:
    with pytest.raises(GrantRefused, match="one identity") as caught:
        next(
            ManagedIdentity("one-of-several", keys=str(tmp_path), scopes=[SCOPE]).request(
                GrantContext(now=0.0)
            )
        )
    assert caught.value.hint == "Leave client-id out."


def test_an_agent_is_known_by_its_variables_or_its_program(tmp_path: Path) -> None:
    grant = ManagedIdentity(scopes=[SCOPE]).on(ARC)
    assert grant.endpoint == ARC["IDENTITY_ENDPOINT"]
    assert grant.keys
    assert agent({}, himds=str(tmp_path / "himds")) == ""
    (tmp_path / "himds").touch()
    assert agent({}, himds=str(tmp_path / "himds")) == AGENT
    elsewhere = ARC | {"IDENTITY_ENDPOINT": "http://relay.example.org/token"}
    assert agent(elsewhere) == ""  # its key would leave the machine
