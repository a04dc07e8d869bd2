"""`issuer` instead of addresses: the metadata is found, believed only for its own issuer, and followed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.errors import ConfigError, GrantRefused, TokenUnavailable
from postbearer.oauth import Endpoint, discover
from postbearer.oauth.discovery import _same
from postbearer.state import StateFolder
from postbearer.testing import ManualClock, Sandbox
from support.tokenserver import Answer, TokenServer, said

NOW = 1_800_000_000.0


def base(server: TokenServer, path: str = "") -> str:
    return server.url.removesuffix("/token") + path


def metadata(server: TokenServer, path: str = "", **changes: object) -> Answer:
    named: dict[str, object] = {"issuer": base(server, path), "token_endpoint": server.url}
    return said(200, **{**named, **changes})


def configured(folder: Path, server: TokenServer, lines: str = "") -> Assembly:
    path = folder / "postbearer.toml"
    path.write_text(
        '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\nservers = ["127.0.0.1:1"]\n'
        f'issuer = "{base(server)}"\ngrant = "client-credentials"\nclient-id = "relay"\n'
        f'client-secret = "env:S"\n{lines}'
    )
    path.chmod(0o600)
    return Assembly.load(path, {}, StateFolder(folder / "state"))


async def test_the_token_endpoint_is_found_once(
    tmp_path: Path, server: TokenServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S", "secret")
    server.script.append(metadata(server))
    source = configured(tmp_path, server).token_source("alerts", clock=clock)
    await source.token()
    await source.fresh()
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("GET", "/.well-known/oauth-authorization-server"),
        ("POST", "/token"),
        ("POST", "/token"),
    ]
    assert "authorization" not in server.asked[0].headers
    assert server.asked[0].form == {}


async def test_a_token_url_of_ones_own_wins(
    tmp_path: Path, server: TokenServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S", "secret")
    assembly = configured(tmp_path, server, f'token-url = "{base(server)}/mine"\n')
    await assembly.token_source("alerts", clock=clock).token()
    assert [asked.path for asked in server.asked] == ["/mine"]


@pytest.mark.parametrize("path", ["", "/tenant", "/tenant/"])
async def test_both_addresses_are_tried(server: TokenServer, path: str) -> None:
    server.script += [
        said(404),
        metadata(server, path, device_authorization_endpoint=f"{base(server)}/device"),
    ]
    found = await discover(base(server, path), Endpoint(""), now=NOW)
    assert found.token_url == server.url
    assert found.device_url == f"{base(server)}/device"
    assert found.authorize_url == ""
    tenant = path.rstrip("/")
    assert [asked.path for asked in server.asked] == [
        f"/.well-known/oauth-authorization-server{tenant}",
        f"{tenant}/.well-known/openid-configuration",
    ]


async def test_one_metadata_for_many_tenants_is_believed(server: TokenServer) -> None:
    server.script.append(metadata(server, "/{tenantid}/v2.0"))
    assert (await discover(base(server, "/common/v2.0"), Endpoint(""), now=NOW)).token_url == server.url


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"issuer": "https://elsewhere.example.org"}, "another issuer"),
        ({"issuer": 7}, "another issuer"),
        ({"issuer": ""}, "another issuer"),
        ({"token_endpoint": ""}, "names no token_endpoint"),
        ({"token_endpoint": ["x"]}, "token_endpoint in the metadata"),
        ({"token_endpoint": "http://login.example.org/token"}, "not safe"),
        ({"token_endpoint": "https://169.254.169.254/token"}, "no public address"),
        ({"token_endpoint": "https://2852039166/token"}, "no name and no address"),
        ({"token_endpoint": "https://0x7f.1/token"}, "no name and no address"),
        ({"token_endpoint": "https://127.1/token"}, "no name and no address"),
        ({"token_endpoint": "https://[::ffff:169.254.169.254]/token"}, "no public address"),
        ({"token_endpoint": "https://10.0.0.1/token"}, "no public address"),
        ({"token_endpoint": "https://100.64.0.1/token"}, "no public address"),
        ({"token_endpoint": "https://[fd00::1]/token"}, "no public address"),
        ({"token_endpoint": "https://localhost/token"}, "no public address"),
        ({"token_endpoint": "http://localhost:631/token"}, "not safe"),
        ({"token_endpoint": "https://login.example.org@127.0.0.1/token"}, "user name or password"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"device_authorization_endpoint": "http://login.example.org/"}, "device_authorization_endpoint"),
    ],
)
async def test_metadata_that_must_not_be_followed(
    server: TokenServer, changes: dict[str, object], why: str
) -> None:
    server.script.append(metadata(server, **changes))
    with pytest.raises(GrantRefused, match=why) as caught:
        await discover(base(server), Endpoint(""), "alerts", now=NOW)
    assert caught.value.configuration
    assert "issuer" in caught.value.hint


@pytest.mark.parametrize("answer", [Answer(200, b"<html>"), Answer(200, json.dumps([1]).encode())])
async def test_what_is_no_metadata(server: TokenServer, answer: Answer) -> None:
    server.script.append(answer)
    with pytest.raises(GrantRefused, match="no JSON object"):
        await discover(base(server), Endpoint(""), now=NOW)


async def test_a_server_without_metadata_is_named_with_what_it_said(server: TokenServer) -> None:
    server.script += [said(404), Answer(302, headers={"location": "https://example.org/"})]
    with pytest.raises(GrantRefused, match=r"HTTP 404 from .*HTTP 302 from .*openid-configuration"):
        await discover(base(server), Endpoint(""), now=NOW)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_of_the_server_passes(server: TokenServer, status: int) -> None:
    server.script.append(said(status))
    with pytest.raises(TokenUnavailable, match=str(status)):
        await discover(base(server), Endpoint(""), now=NOW)


async def test_the_sandbox_can_be_discovered(postbearer_sandbox: Sandbox) -> None:
    found = await discover(postbearer_sandbox.url, Endpoint(""), now=NOW)
    assert found.token_url == f"{postbearer_sandbox.url}/token"
    assert found.authorize_url == f"{postbearer_sandbox.url}/authorize"


def test_an_issuer_that_secrets_must_not_follow_is_refused_at_load(
    tmp_path: Path, server: TokenServer
) -> None:
    path = tmp_path / "postbearer.toml"
    path.write_text(
        '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\nservers = ["127.0.0.1:1"]\n'
        'issuer = "http://login.example.org"\ngrant = "client-credentials"\nclient-id = "relay"\n'
        'client-secret = "env:S"\n'
    )
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="issuer"):
        Assembly.load(path, {}, StateFolder(tmp_path / "state")).account("alerts")


PAGE = Answer(200, b"<!doctype html><title>Welcome</title>", {"content-type": "text/html"})


@pytest.mark.parametrize(
    "first",
    [PAGE, said(200, issuer="https://elsewhere.example.org"), said(403), said(503), Answer(200, b"[]")],
)
async def test_the_second_place_is_asked_where_the_first_has_something_else(
    server: TokenServer, first: Answer
) -> None:
    server.script += [first, metadata(server, "/tenant")]
    assert (await discover(base(server, "/tenant"), Endpoint(""), now=NOW)).token_url == server.url


async def test_a_server_that_wants_to_be_left_alone_says_for_how_long(server: TokenServer) -> None:
    date = {"Retry-After": "Fri, 15 Jan 2027 08:05:00 GMT"}
    server.script += [said(503, date), PAGE]
    with pytest.raises(TokenUnavailable) as caught:
        await discover(base(server), Endpoint(""), now=1_800_000_000.0)
    assert caught.value.retry_after == 300


@pytest.mark.parametrize(
    ("said_by_it", "issuer", "same"),
    [
        ("https://login.example.org/{tenantid}/v2.0", "https://login.example.org/contoso/v2.0", True),
        ("https://login.example.org/{tenantid}", "https://login.example.org/contoso", True),
        ("https://login.example.org/{tenantid}/v2.0", "https://login.example.org/a/b/v2.0", False),
        ("https://login.example.org/{tenantid}/v2.0", "https://login.example.org//v2.0", False),
        ("https://login.example.org/{tenantid}/v2.0", "https://login.example.org/v2.0", False),
        ("https://{tenantid}/v2.0", "https://login.example.org/v2.0", False),
        ("https://{tenantid}.example.org/v2.0", "https://login.example.org/v2.0", False),
        ("{tenantid}://login.example.org/v2.0", "https://login.example.org/v2.0", False),
        ("https://login.example.org/{tenantid}/{tenantid}", "https://login.example.org/a/b", False),
        ("https://login.example.org/.*", "https://login.example.org/contoso", False),
        (
            "https://login.example.org/" + "{tenantid}" * 16 + "X",
            "https://login.example.org/" + "a" * 40,
            False,
        ),
    ],
)
async def test_one_tenant_may_stand_in_the_path_and_nothing_else_is_a_pattern(
    said_by_it: str, issuer: str, same: bool
) -> None:
    assert _same(said_by_it, issuer) is same
