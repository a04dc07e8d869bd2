"""What every answer and every connection keeps to: names, certificates, bounds, an orderly end."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import trustme

from postbearer.api import server
from postbearer.errors import ConfigError
from support.http_api import ACCOUNT, HTTP, Api

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(api: Api) -> Streams:
    host, _, port = api.url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def said(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the relay hangs up."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_every_answer_names_its_request_and_is_kept_by_nobody(api: Api) -> None:
    async with api.http() as client:
        for path in ("/healthz", "/nothing"):
            answer = await client.get(path, headers={"x-request-id": "mine-1"})
            assert answer.headers["x-request-id"] == "mine-1"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["date"].endswith("GMT")
        assert answer.json()["request"] == "mine-1"
        for foreign in ("a b", "x" * 65, '"', "<script>"):
            answer = await client.get("/healthz", headers={"x-request-id": foreign})
            assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_under_another_name_nothing_is_told(api: Api) -> None:
    async with api.http() as client:
        for path in ("/healthz", "/nothing"):
            answer = await client.get(path, headers={"host": "evil.example"})
            assert answer.status_code == 421
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "urn:postbearer:problem:misdirected"
            assert "http.allowed-hosts" in answer.json()["hint"]


async def test_a_page_of_another_site_changes_nothing(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        answer = await client.post("/healthz", headers={"origin": "http://evil.example"})
        assert answer.status_code == 403


async def test_what_is_not_done_that_way(api: Api) -> None:
    async with api.http() as client:
        answer = await client.delete("/healthz")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        assert (await client.head("/healthz")).status_code == 200
        answer = await client.get("/healthz?status=%1b%5b2J")
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "status")


async def test_behind_a_proxy_it_lives_below_a_path(home: Path) -> None:
    api = Api(home, ACCOUNT + HTTP + 'base-path = "/mail"\nallowed-hosts = ["mail.example.org"]\n')
    await api.start()
    async with api.http({"host": "mail.example.org"}) as client:
        assert (
            await client.get("/mail/healthz")
        ).status_code == 200  # the proxy hands on the path as it came …
        assert (await client.get("/healthz")).status_code == 200  # … or without its own part
        assert (await client.get("/mailhealthz")).status_code == 404
    await api.running.stop(0.0)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"EHLO client.example.org\r\n",
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000,
        b"GET /" + b"x" * 200_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 200_000,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 200_000,
        b"CONNECT localhost:25 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /healthz",
        bytes(1000),
    ],
)
async def test_what_is_no_request_ends_its_connection_and_no_other(
    api: Api, octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_TIME", 0.5)
    reader, writer = await connected(api)
    writer.write(octets)
    answer = await said(reader)
    assert answer[9:12] in (b"", b"400", b"411", b"413", b"431", b"501", b"404")
    writer.close()
    async with api.http() as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_a_field_behind_the_body_says_nothing(api: Api) -> None:
    reader, writer = await connected(api)
    writer.write(
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\nX-Request-Id: behind\r\nHost: evil.example\r\n\r\n"
    )
    answer = await said(reader)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"x-request-id" in answer
    assert b"behind" not in answer
    writer.close()


async def test_requests_that_come_at_once_are_answered_in_order(api: Api) -> None:
    reader, writer = await connected(api)
    for name in (b"1", b"2", b"3"):
        last = b"Connection: close\r\n" if name == b"3" else b""
        writer.write(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: n-" + name + b"\r\n" + last + b"\r\n"
        )
    assert re.findall(rb"n-\d", await said(reader)) == [b"n-1", b"n-2", b"n-3"]
    writer.close()


async def test_a_header_may_come_octet_by_octet(api: Api) -> None:
    reader, writer = await connected(api)
    for octet in (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 300 + b"\r\nConnection: close\r\n\r\n"
    ):
        writer.write(bytes([octet]))
        await asyncio.sleep(0)
    assert (await said(reader)).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_who_sends_no_request_is_cut_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIME", 0.2)
    for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: "):
        reader, writer = await connected(api)
        writer.write(begun)
        await said(reader)
        writer.close()


async def test_a_second_reload_of_a_wrong_configuration_changes_nothing(api: Api) -> None:
    api.text += 'base-path = "nothing"\n'
    with pytest.raises(ConfigError):
        await api.reload()
    async with api.http() as client:
        assert (await client.get("/healthz")).status_code == 200
    api.text = ACCOUNT
    with pytest.raises(ConfigError, match="while the relay runs"):
        await api.reload()


async def test_a_socket_is_asked_as_well(home: Path) -> None:
    path = home / "http.sock"
    api = Api(home, ACCOUNT + f'[http]\nlisten = ["unix:{path}"]\n')
    await api.start()
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/healthz")).status_code == 200
    await api.running.stop(0.0)
    assert not path.exists()


async def test_probes_have_a_place_of_their_own(home: Path) -> None:
    path = home / "health.sock"
    api = Api(home, ACCOUNT + HTTP + f'health-listen = ["unix:{path}"]\n')
    await api.start()
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://10.1.2.3") as client:
        assert (await client.get("/readyz")).json() == {"status": "ok"}
        assert (await client.post("/v1/messages", json={})).status_code == 404
    await api.running.stop(0.0)


# TLS ---------------------------------------------------------------------------------------------


def certify(folder: Path, authority: trustme.CA) -> None:
    pair = authority.issue_cert("127.0.0.1", "localhost")
    (folder / "chain.pem").write_bytes(b"".join(each.bytes() for each in pair.cert_chain_pems))
    (folder / "key.pem").write_bytes(pair.private_key_pem.bytes())


@pytest.fixture
async def secured(home: Path) -> AsyncIterator[Api]:
    certify(home, trustme.CA())
    api = Api(home, ACCOUNT + HTTP + 'certificate = "chain.pem"\nkey = "key.pem"\n')
    await api.start()
    yield api
    await api.running.stop(0.0)


async def test_a_renewed_certificate_is_shown_from_the_reload_on(secured: Api) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    assert secured.url.startswith("https://")
    async with secured.http(verify=context) as client:
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            await client.get("/healthz")
        certify(secured.home, authority)
        await secured.reload()
        assert (await client.get("/healthz")).status_code == 200


async def test_plaintext_is_nothing_where_tls_is(secured: Api) -> None:
    async with httpx2.AsyncClient(base_url=secured.url.replace("https", "http")) as client:
        with pytest.raises(httpx2.HTTPError):
            await client.get("/healthz")


async def test_the_document_of_a_problem(api: Api) -> None:
    async with api.http() as client:
        answer = await client.get("/healthz", headers={"authorization": "Bearer x"})
    document = json.loads(answer.content)
    assert document["status"] == answer.status_code == 401
    assert document["title"]
    assert "api-token create" in document["hint"]


@pytest.mark.parametrize(
    ("method", "path", "status", "keys"),
    [
        ("POST", "/emails/0/share", 404, {"statusCode", "name", "message"}),
        ("PATCH", "/emails/0", 405, {"statusCode", "name", "message"}),
        ("POST", "/email/withTemplate/", 404, {"ErrorCode", "Message"}),
        ("POST", "/email/batchWithTemplates", 404, {"ErrorCode", "Message"}),
        ("GET", "/v3/templates", 404, {"errors"}),
    ],
)
async def test_what_a_face_does_not_serve_is_told_in_its_shape(
    api: Api, method: str, path: str, status: int, keys: set[str]
) -> None:
    async with api.http(api.token("admin")) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json().keys()) == (status, keys)


@pytest.mark.parametrize(
    ("path", "keys"),
    [("/emails", "statusCode"), ("/email", "ErrorCode"), ("/v3/mail/send", "errors")],
)
async def test_who_comes_by_a_strange_name_or_site_is_told_in_its_shape(
    api: Api, path: str, keys: str
) -> None:
    async with api.http(api.token("admin")) as client:
        strange = await client.post(path, json={}, headers={"host": "evil.example.org"})
        foreign = await client.post(path, json={}, headers={"sec-fetch-site": "cross-site"})
    assert [(each.status_code, keys in each.json()) for each in (strange, foreign)] == [
        (421, True),
        (403, True),
    ]
