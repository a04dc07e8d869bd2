"""The HTTP door: where it goes, what it refuses, how it names trouble."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import ssl
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from postbearer.errors import (
    ConnectFailed,
    Disconnected,
    NetworkError,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
    UsageError,
)
from postbearer.http import HttpResponse, check_url, fetch
from postbearer.http_proxy import environments_proxy
from postbearer.secret import Secret
from support.listening import listening
from support.planted import told
from support.tokenserver import Answer, TokenServer, serving


async def post_form(url: str, form: Mapping[str, str | Secret], **more: Any) -> HttpResponse:
    return await fetch("POST", url, form=form, **more)


async def test_a_form_is_posted_and_the_answer_read(server: TokenServer) -> None:
    response = await post_form(
        server.url, {"a": "ü &=", "b": Secret("canary")}, headers={"X-One": Secret("1")}
    )
    assert response.ok
    assert response.json() == {"access_token": "access-1", "token_type": "Bearer", "expires_in": 3600}
    [asked] = server.asked
    assert asked.form == {"a": "ü &=", "b": "canary"}
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["x-one"] == "1"


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.org/token",
        "http://10.0.0.1/token",
        "http://2130706433/token",
        "http://127.0.0.1.example.org/",
        "https://login.example.org@evil.example.org/",
        "https://user:canary-password@login.example.org/",
        "https://169.254.169.254/token",
        "https://[::ffff:169.254.169.254]/token",
        "https://[fe80::1%25eth0]/token",
        "file:///etc/passwd",
        "ftp://login.example.org/",
        "//login.example.org/",
        "https:///token",
        "https://exa mple.org/",
        "https://example.org/\r\nX: y",
        "https://example.org\\@evil.example.org/",
        "https://[::1/",
        "https://example.org:port/",
        "",
    ],
)
async def test_o4_urls_that_secrets_must_not_go_to(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        await post_form(url, {"client_secret": Secret("s")})
    assert "canary-password" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.org/token",
        "https://10.1.2.3:8443/token",
        "https://127.0.0.1/token",
        "http://127.0.0.1:8080/token",
        "http://[::1]:8080/token",
        "http://localhost:8080/token",
    ],
)
def test_o4_urls_an_operator_may_write(url: str) -> None:
    assert check_url(url).hostname


def test_o4_link_local_is_for_the_metadata_service_only() -> None:
    assert check_url("http://169.254.169.254/metadata", platform=True)


async def test_o4_a_redirect_is_not_followed(server: TokenServer) -> None:
    with serving() as other:
        server.script.append(Answer(302, headers={"Location": f"{other.url}?code=1"}))
        response = await post_form(server.url, {})
        assert (response.status, response.redirect) == (302, other.url)
        assert other.asked == []


async def test_o4_a_body_over_64_kib_is_refused(server: TokenServer) -> None:
    server.script.append(Answer(body=b"x" * (64 * 1024)))
    server.script.append(Answer(body=b"x" * (64 * 1024 + 1)))
    assert len((await post_form(server.url, {})).body) == 64 * 1024
    with pytest.raises(RemoteProtocolError, match="64 KiB"):
        await post_form(server.url, {})


DEFLATE = zlib.compressobj(wbits=-15)
BARE = DEFLATE.compress(b'{"a": 1}') + DEFLATE.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("x-gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("GZIP", gzip.compress(b'{"a": 1}', mtime=0)),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", BARE),
        ("gzip, gzip", gzip.compress(gzip.compress(b'{"a": 1}', mtime=0), mtime=0)),
        ("identity", b'{"a": 1}'),
        ("gzip", b'{"a": 1}'),  # a gateway that unfolded it and left the word
    ],
)
async def test_a_body_that_was_compressed_all_the_same_is_read(
    server: TokenServer, encoding: str, body: bytes
) -> None:
    server.script.append(Answer(body=body, headers={"Content-Encoding": encoding}))
    assert (await post_form(server.url, {})).json() == {"a": 1}


@pytest.mark.parametrize("body", [b"\x1f\x8b\x08 pretended", gzip.compress(b"x" * 1000, mtime=0)[:20], b""])
async def test_a_compressed_body_that_is_broken_is_no_json(server: TokenServer, body: bytes) -> None:
    server.script.append(Answer(body=body, headers={"Content-Encoding": "gzip"}))
    assert (await post_form(server.url, {})).json() is None


@pytest.mark.parametrize("times", [1, 2])
async def test_o4_what_unfolds_beyond_64_kib_is_refused(server: TokenServer, times: int) -> None:
    body = b"x" * (64 * 1024 * 1024)
    for _ in range(times):
        body = gzip.compress(body)
    headers = {"Content-Encoding": ", ".join(["gzip"] * times)}
    server.script.append(Answer(body=body[: 64 * 1024], headers=headers))
    with pytest.raises(RemoteProtocolError, match="64 KiB"):
        await post_form(server.url, {})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HTTPS_PROXY": "http://user:p#w@127.0.0.1:3128"}, "The proxy in HTTPS_PROXY cannot be read"),
        ({"HTTPS_PROXY": "http://user:p/w@127.0.0.1:3128"}, "The proxy in HTTPS_PROXY cannot be read"),
        ({"HTTPS_PROXY": "http://user:p?w@127.0.0.1:3128"}, "The proxy in HTTPS_PROXY cannot be read"),
        ({"HTTPS_PROXY": "user:pw:x"}, "The proxy in HTTPS_PROXY cannot be read"),
        ({"HTTPS_PROXY": "http://[user:pw"}, "The proxy in HTTPS_PROXY cannot be read"),
        ({"ALL_PROXY": "socks://user:pw@127.0.0.1:1080"}, "The proxy in ALL_PROXY is of a kind"),
        ({"ALL_PROXY": "socks5h://127.0.0.1:1080/"}, "The proxy in ALL_PROXY is of a kind"),
    ],
)
async def test_a_proxy_of_the_environment_that_cannot_be_used_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    without_proxies(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectFailed, match=words) as caught:
        await post_form("https://login.example.org/token", {})
    text = told(caught.value)
    for part in ("user", "pw", "p#w", "p/w", "p?w", "'p'"):
        assert part not in text.replace("user:password@", "")


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks://127.0.0.1:1080", "HTTPS_PROXY": "http://127.0.0.1:1"},
        {"ALL_PROXY": "socks://127.0.0.1:1080", "NO_PROXY": ".example.org,localhost"},
        {"ALL_PROXY": "socks://127.0.0.1:1080", "NO_PROXY": "*"},
        {"HTTP_PROXY": "rubbish://", "FTP_PROXY": "x://[", "NO_PROXY": "example.org"},
    ],
)
async def test_a_proxy_that_does_not_concern_the_request_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    without_proxies(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    expected = "http://127.0.0.1:1" if "HTTPS_PROXY" in variables else None
    assert environments_proxy("https://login.example.org/token") == expected


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


async def test_what_is_no_http_and_repeats_the_request_shows_no_secret() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n") + await reader.read(4096)
        writer.write(request.splitlines()[-1] + b"\r\n" + request)

    async with listening(echo) as port:
        headers = {"Authorization": Secret("Basic CANARYCANARYCANARY")}
        with pytest.raises((RemoteProtocolError, Disconnected)) as caught:
            await post_form(f"http://127.0.0.1:{port}", {"s": Secret("CANARY-in-the-form")}, headers=headers)
    assert "CANARY" not in told(caught.value)


@pytest.mark.parametrize("value", ["CANARY-token\n", "CANARY-token\r\nX: y", "CANARY-tökén", " CANARY-token"])
async def test_o9_a_header_that_cannot_be_sent_is_named_and_not_shown(
    server: TokenServer, value: str
) -> None:
    with pytest.raises(UsageError, match="in the header X-Token") as caught:
        await fetch("GET", server.url, headers={"X-Token": Secret(value)})
    assert "CANARY" not in told(caught.value)
    assert server.asked == []


async def test_the_timeout_is_for_the_whole_exchange(server: TokenServer) -> None:
    over = threading.Event()
    server.script.append(Answer(before=over.wait))
    try:
        with pytest.raises(TimedOut, match=r"within 0\.05 s"):
            await post_form(server.url, {}, timeout=0.05)
    finally:
        over.set()


async def test_nobody_listening() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ConnectFailed) as caught:
            await post_form(f"http://{host}/token", {})
    assert caught.value.host == host


async def test_hung_up(server: TokenServer) -> None:
    server.script.append(Answer(hang_up=True))
    with pytest.raises((NetworkError, RemoteProtocolError)):
        await post_form(server.url, {})


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, str]:
    ca = trustme.CA()
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, str(path)


async def test_tls_is_verified(authority: tuple[trustme.CA, str]) -> None:
    ca, ca_file = authority
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with serving(context) as server:
        with pytest.raises(TlsFailed) as caught:
            await post_form(server.url, {"client_secret": Secret("s")})
        assert "SSL_CERT_FILE" in caught.value.hint  # ca-file of an account is for its mail server
        assert server.asked == []
        assert (await post_form(server.url, {}, ca_file=ca_file)).ok


async def test_the_certificate_must_be_for_the_host(authority: tuple[trustme.CA, str]) -> None:
    ca, ca_file = authority
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("login.example.org").configure_cert(context)
    with serving(context) as server:
        with pytest.raises(TlsFailed):
            await post_form(server.url, {}, ca_file=ca_file)
        assert server.asked == []


async def test_a_missing_ca_file_is_named_as_the_cause() -> None:
    with pytest.raises(ConnectFailed, match="No such file"):
        await post_form("https://127.0.0.1:1/token", {}, ca_file="/nonexistent/ca.pem")


async def test_https_proxy_is_asked_for_outside_hosts(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, _, _ = server.url.rpartition("/")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConnectFailed):  # this proxy knows no CONNECT, but it was asked
        await post_form("https://login.example.org/token", {})


@pytest.mark.parametrize("named", ["http://we:CANARY@127.0.0.1:1/", "we:CANARY@127.0.0.1:1"])
async def test_a_proxy_of_the_environment_is_named_as_the_cause(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", named)
    monkeypatch.setenv("NO_PROXY", "elsewhere.example.org")
    with pytest.raises(ConnectFailed) as caught:
        await post_form("https://login.example.org/token", {})
    assert "login.example.org cannot be reached through the proxy 127.0.0.1:1: " in caught.value.message
    assert "HTTPS_PROXY" in caught.value.hint
    assert "CANARY" not in str(caught.value)


async def test_an_address_without_tls_is_told_from_a_certificate(server: TokenServer) -> None:
    with pytest.raises(TlsFailed) as caught:
        await post_form(server.url.replace("http:", "https:"), {})
    assert "Nobody speaks TLS there" in caught.value.hint


async def test_loopback_never_goes_through_a_proxy(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await fetch("GET", server.url)).ok


@pytest.mark.parametrize(
    "body", [b"", b"Too Many Requests", b"<html>", b"\xff\xfe", b"[" * 60_000, b"1" * 6000, b"{"]
)
def test_json_survives_anything(body: bytes) -> None:
    assert HttpResponse(200, body=body).json() is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60.0),
        ("0", 0.0),
        ("99999999999999", 3600.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2094 07:00:00 GMT", 3600.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert HttpResponse(429, {"retry-after": value}).retry_after(1_800_000_000.0) == seconds


def test_the_clock_skew_is_read_off_the_date_header() -> None:
    response = HttpResponse(200, {"date": "Fri, 15 Jan 2027 08:00:00 GMT"})
    assert response.clock_skew(1_800_000_300.0) == 300.0
    assert HttpResponse(200).clock_skew(0.0) is None


def test_o9_an_answer_does_not_show_its_body() -> None:
    assert "canary" not in repr(HttpResponse(200, {"x": "canary"}, b"canary"))
