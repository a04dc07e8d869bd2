"""Tokens for what the machine is to its cloud: both forms of the metadata service, and their refusals."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from postbearer.errors import GrantRefused, TokenUnavailable, UsageError
from postbearer.http import HttpResponse, check_url
from postbearer.oauth import (
    METADATA_SERVICE,
    CachedSource,
    Endpoint,
    GrantContext,
    ManagedIdentity,
    MemoryStore,
    TokenRequest,
)
from postbearer.secret import Secret
from postbearer.testing import ManualClock
from support.tokenserver import TokenServer, said

SCOPE = "https://outlook.office365.com/.default"


def asked(grant: ManagedIdentity, secrets: dict[str, Secret] | None = None) -> TokenRequest:
    return next(grant.request(GrantContext(account="alerts", secrets=secrets or {}, now=0.0)))


def query(request: TokenRequest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.url).query)


def test_a_virtual_machine_asks_the_metadata_service() -> None:
    request = asked(ManagedIdentity(scopes=[SCOPE]))
    assert request.url.startswith(f"{METADATA_SERVICE}?")
    assert request.method == "GET"
    assert request.headers == {"Metadata": "true"}
    assert query(request) == {
        "api-version": ["2018-02-01"],
        "resource": ["https://outlook.office365.com"],
    }


def test_an_app_service_asks_where_its_platform_says() -> None:
    environ = {"IDENTITY_ENDPOINT": "http://127.0.0.1:41741/msi/token", "IDENTITY_HEADER": "canary"}
    grant = ManagedIdentity("one-of-several", scopes=[SCOPE]).on(environ)
    assert grant.header == "env:IDENTITY_HEADER"
    request = asked(grant, {"header": Secret("canary")})
    assert request.url.startswith("http://127.0.0.1:41741/msi/token?")
    assert request.headers == {"X-IDENTITY-HEADER": Secret("canary")}
    assert query(request)["api-version"] == ["2019-08-01"]
    assert query(request)["client_id"] == ["one-of-several"]


def test_elsewhere_nothing_changes() -> None:
    assert ManagedIdentity().on({"IDENTITY_ENDPOINT": "https://half.example.org"}) == ManagedIdentity()


def source(server: TokenServer, clock: ManualClock) -> CachedSource:
    grant = ManagedIdentity(endpoint=server.url, scopes=[SCOPE])
    return CachedSource(grant, Endpoint(""), account="alerts", store=MemoryStore(), clock=clock)


async def test_numbers_come_as_text(server: TokenServer, clock: ManualClock) -> None:
    server.lifetime = "86399"
    token = await source(server, clock).token()
    assert token.lifetime == 86399


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
async def test_a_service_that_is_not_ready_is_asked_again_later(
    server: TokenServer, clock: ManualClock, status: int
) -> None:
    server.script.append(said(status))
    tokens = source(server, clock)
    with pytest.raises(TokenUnavailable, match=str(status)):
        await tokens.token()
    clock.advance(70.0 if status == 410 else 0.0)  # a service that is being replaced is left in peace
    assert (await tokens.token()).access == Secret("access-1")


async def test_a_machine_without_an_identity_is_told_what_to_do(
    server: TokenServer, clock: ManualClock
) -> None:
    server.script.append(said(400, error="invalid_request", error_description="Identity not found"))
    with pytest.raises(GrantRefused, match="Identity not found") as caught:
        await source(server, clock).token()
    assert caught.value.configuration
    assert "Assign a managed identity" in caught.value.hint


async def test_where_there_is_no_such_service_it_says_so(clock: ManualClock) -> None:
    grant = ManagedIdentity(endpoint="http://127.0.0.1:1/token", scopes=[SCOPE])
    tokens = CachedSource(grant, Endpoint(""), account="alerts", store=MemoryStore(), clock=clock)
    with pytest.raises(TokenUnavailable) as caught:
        await tokens.token()
    assert "machine of Azure" in caught.value.hint


def test_a_redirect_is_not_followed() -> None:
    exchange = ManagedIdentity(scopes=[SCOPE]).request(GrantContext(account="alerts", now=0.0))
    next(exchange)
    with pytest.raises(GrantRefused, match="redirect"):
        exchange.send(HttpResponse(302, {"location": "https://example.org/"}))


@pytest.mark.parametrize(
    ("endpoint", "fit"),
    [
        ("http://172.16.5.3:8081/msi/token", True),  # as App Service for Linux containers names it
        ("http://10.0.0.4/msi/token", True),
        ("http://169.254.129.2:8081/msi/token", True),
        ("http://[fd00::4]/msi/token", True),
        ("http://localhost:42356/msi/token", True),
        ("http://198.51.100.7/msi/token", True),  # reserved for documentation: it leads nowhere
        ("http://8.8.8.8/msi/token", False),
        ("http://identity.example.org/msi/token", False),
        ("http://2886733059/msi/token", False),
    ],
)
def test_the_platform_may_speak_http_on_an_address_of_its_own(endpoint: str, fit: bool) -> None:
    request = asked(
        ManagedIdentity(scopes=[SCOPE]).on({"IDENTITY_ENDPOINT": endpoint, "IDENTITY_HEADER": "h"})
    )
    assert request.platform
    if fit:
        assert check_url(request.url, platform=request.platform)
        return
    with pytest.raises(UsageError):
        check_url(request.url, platform=request.platform)


def test_nobody_else_may_speak_http_there() -> None:
    with pytest.raises(UsageError, match="not safe"):
        Endpoint("http://172.16.5.3:8081/token")
