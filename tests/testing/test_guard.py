"""Who may ask an HTTP face: no page of another site, under no other name, and not without bound."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from postbearer.http_guard import Guard
from postbearer.testing import BackgroundSandbox, Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with BackgroundSandbox() as made:
        yield made


def ask(
    sandbox: Sandbox, method: str, path: str, *fields: tuple[str, str], body: bytes | None = None
) -> tuple[int, bytes]:
    """The fields as they are given, Host included."""
    place = urlsplit(sandbox.url).netloc
    connection = http.client.HTTPConnection(place, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in fields:
        connection.putheader(name, value.replace("PLACE", place))
    if body is not None and not any(name == "Transfer-Encoding" for name, _ in fields):
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    try:
        if body is not None:
            connection.send(body)
    except OSError:
        pass  # it has heard enough
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


HERE = ("Host", "PLACE")


@pytest.mark.parametrize("path", ["/describe", "/inbox", "/", "/faults", "/.well-known/openid-configuration"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.nip.io", "localhost.evil.example", "[::2]", "x" * 300],
)
def test_w1_under_another_name_nothing_is_told(sandbox: Sandbox, host: str, path: str) -> None:
    status, body = ask(sandbox, "GET", path, ("Host", host))
    assert status == 421
    assert sandbox.client_secret.encode() not in body


def test_w1_two_names_or_none_are_refused(sandbox: Sandbox) -> None:
    assert ask(sandbox, "GET", "/describe")[0] == 400
    assert ask(sandbox, "GET", "/describe", HERE, ("Host", "evil.example"))[0] == 400


@pytest.mark.parametrize("host", ["PLACE", "localhost", "LocalHost:1234", "127.0.0.1", "[::1]:80"])
def test_w1_this_machine_by_all_its_names(sandbox: Sandbox, host: str) -> None:
    status, body = ask(sandbox, "GET", "/describe", ("Host", host))
    assert (status, json.loads(body)["client_secret"]) == (200, sandbox.client_secret)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 200),
        ([("Origin", "http://PLACE")], 200),
        ([("Sec-Fetch-Site", "same-origin"), ("Origin", "http://PLACE")], 200),
        ([("Sec-Fetch-Site", "none")], 200),
        ([("Origin", "http://evil.example")], 403),
        ([("Origin", "null")], 403),
        ([("Origin", "https://PLACE")], 403),
        ([("Sec-Fetch-Site", "cross-site")], 403),
        ([("Sec-Fetch-Site", "same-site"), ("Origin", "http://PLACE")], 403),
    ],
)
def test_w2_what_changes_something_comes_from_no_other_site(
    sandbox: Sandbox, fields: list[tuple[str, str]], status: int
) -> None:
    assert ask(sandbox, "DELETE", "/inbox", HERE, *fields)[0] == status
    assert ask(sandbox, "PUT", "/faults", HERE, *fields, body=b"{}")[0] == status
    assert ask(sandbox, "GET", "/inbox", HERE, *fields)[0] == 200  # a link may lead there


def test_w7_a_body_is_bounded_by_what_it_says_and_by_what_comes(sandbox: Sandbox) -> None:
    large = b"x" * 3_000_000
    assert ask(sandbox, "PUT", "/faults", HERE, body=large)[0] == 413
    chunked = ("Transfer-Encoding", "chunked")
    piece = b"%x\r\n" % 100_000 + b"x" * 100_000 + b"\r\n"
    assert ask(sandbox, "POST", "/token", HERE, chunked, body=piece * 15 + b"0\r\n\r\n")[0] == 413
    assert ask(sandbox, "PUT", "/faults", HERE, body=b"{}")[0] == 200


async def test_who_has_sent_all_of_a_large_body_is_answered_at_once() -> None:
    """Nothing more is asked for: a server would wait for it until the client hangs up."""
    messages = [{"type": "http.request", "body": b"x" * 11, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    scope = {"type": "http", "method": "POST", "scheme": "http", "headers": [(b"host", b"localhost")]}
    await Guard(application, most=10)(scope, receive, send)
    assert sent[0]["status"] == 413
