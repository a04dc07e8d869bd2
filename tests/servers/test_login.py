"""Signing in, by ``postbearer login`` and by HTTP, at an authorization server nobody here wrote."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from html import unescape
from pathlib import Path
from urllib.error import URLError

import httpx2
import pytest

from support.browser import Browser, Page
from support.http_api import HTTP, Api
from support.local import short_folder

from .authorization import AuthorizationServer
from .dovecot import Dovecot
from .sending import RECIPIENT, SENDER, Command, command, ended
from .sink import Sink

AUTHORIZE = "/v1/accounts/alerts/authorize"

pytestmark = pytest.mark.servers


@pytest.fixture
def postbearer(
    tmp_path: Path, dovecot_submission: Dovecot, authorization_server: AuthorizationServer
) -> Command:
    made = command(
        tmp_path,
        dovecot_submission,
        authorization_server,
        f'authorize-url = "{authorization_server.authorize_url}"',
        f'issuer = "{authorization_server.issuer}"',
        'client-authentication = "none"',
        # OpenID Connect Core 11: no refresh token without being asked.
        'extra-token-parameters = { prompt = "consent" }',
        client="browser",
        grant="authorization-code",
    )
    text = (tmp_path / "config.toml").read_text()
    text = re.sub("client-secret = .*\n", "", text)
    text = re.sub(
        "scopes = .*", f'scopes = ["openid", "offline_access", "{authorization_server.scope}"]', text
    )
    (tmp_path / "config.toml").write_text(text)
    return made


def shown(process: subprocess.Popen[bytes], issuer: str) -> str:
    """The address that the command shows."""
    assert process.stderr is not None
    for line in process.stderr:
        if issuer.encode() in line:
            return line.decode().strip()
    raise AssertionError("no address was shown")


def sign_in(browser: Browser, url: str, **person: str) -> Page:
    """Go through both pages of the server: who it is, and consent."""
    browser.open(url)
    assert SENDER in browser.page.text  # login_hint is taken
    browser.submit(password="any", **person)
    return browser.submit()


def type_in(browser: Browser, url: str, code: str) -> None:
    """Type a code, and agree."""
    browser.open(url)
    browser.submit(user_code=code)
    browser.submit()  # it is this device
    browser.submit(login=SENDER, password="any")
    browser.submit()  # consent


def test_a_person_signs_in_and_the_account_sends_and_renews(
    postbearer: Command, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    process = postbearer.start("login", "alerts")
    page = sign_in(Browser(), shown(process, authorization_server.issuer))
    result = ended(process)
    assert (result.returncode, page.status) == (0, 200), result.stderr
    assert "Signed in" in page.text
    before = authorization_server.token_requests()
    assert postbearer.send().returncode == 0
    assert authorization_server.token_requests() == before  # the token of the sign-in is used
    [message] = sink.wait_for(1)
    assert message.sender == SENDER
    assert postbearer.run("check", "alerts").returncode == 0  # it asks for a new one, by the refresh token
    assert authorization_server.token_requests() == before + 1


def test_a_sign_in_that_was_ended_is_worth_nothing_to_who_has_a_copy(
    postbearer: Command, authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    process = postbearer.start("login", "alerts")
    sign_in(Browser(), shown(process, authorization_server.issuer))
    assert ended(process).returncode == 0
    [kept] = tmp_path.rglob("tokens/alerts")
    copy = kept.read_bytes()
    result = postbearer.run("logout", "alerts")
    assert (result.returncode, result.stdout) == (0, b"Signed out at the provider, and forgotten here.\n")
    kept.write_bytes(copy)
    result = postbearer.run("check", "alerts")
    assert result.returncode == 77
    assert b"invalid_grant" in result.stdout


def test_the_address_is_pasted(postbearer: Command, authorization_server: AuthorizationServer) -> None:
    process, browser = postbearer.start("login", "alerts", "--paste", "--port", "9"), Browser()
    url = shown(process, authorization_server.issuer)
    with pytest.raises(URLError):  # nobody listens where the browser ends
        sign_in(browser, url)
    result = ended(process, browser.address.encode() + b"\n")
    assert result.returncode == 0, result.stderr


def test_another_person_is_not_kept(postbearer: Command, authorization_server: AuthorizationServer) -> None:
    process = postbearer.start("login", "alerts")
    page = sign_in(Browser(), shown(process, authorization_server.issuer), login="other@example.org")
    result = ended(process)
    assert (result.returncode, page.status) == (77, 400)
    assert b"other@example.org has signed in, and not sender@example.org." in result.stderr
    assert b"Nobody has signed in" in postbearer.run("token", "alerts").stderr


def test_who_turns_back_at_the_page_is_told(
    postbearer: Command, authorization_server: AuthorizationServer
) -> None:
    process, browser = postbearer.start("login", "alerts"), Browser()
    browser.open(shown(process, authorization_server.issuer))
    browser.open(f"{browser.page.url}/abort")
    result = ended(process)
    assert result.returncode == 77
    assert b"access_denied: End-User aborted interaction" in result.stderr
    assert "declined" in browser.page.text


def test_a_code_is_typed_into_a_browser_elsewhere(
    postbearer: Command, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    process, browser = postbearer.start("login", "alerts", "--device"), Browser()
    assert process.stderr is not None
    told = process.stderr.readline().decode()  # Open URL in any browser and type CODE
    type_in(browser, told.split()[1], told.split()[-1])
    result = ended(process)
    assert result.returncode == 0, result.stderr
    assert postbearer.send().returncode == 0
    assert sink.wait_for(1)[0].sender == SENDER


@pytest.fixture
async def api(postbearer: Command) -> AsyncIterator[Api]:
    """A relay with an HTTP API, for the account of `postbearer`."""
    relay = '[relay]\nlisten = ["127.0.0.1:0"]\nallow-ephemeral = true\n'
    with short_folder() as folder:
        made = Api(folder, (postbearer.folder / "config.toml").read_text() + relay + HTTP)
        await made.start()
        yield made
        await made.running.stop(0.0)


async def signed_in(client: httpx2.AsyncClient) -> str:
    """How the sign-in that waits has ended."""
    async with asyncio.timeout(30):
        while True:
            told = (await client.get(AUTHORIZE)).json()
            if told["state"] != "waiting":
                return str(told["state"])


async def test_a_link_of_the_http_api_is_opened_and_its_answer_handed_in(api: Api) -> None:
    browser = Browser()
    async with api.http(api.token("admin")) as client:
        told = (await client.post(AUTHORIZE, json={})).json()
        with pytest.raises(URLError):  # nobody listens where the browser ends
            await asyncio.to_thread(sign_in, browser, told["url"])
        answer = {"id": told["id"], "redirect": browser.address}
        done = await client.post(f"{AUTHORIZE}/finish", json=answer)
        assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
        assert (await client.get("/v1/accounts/alerts")).json()["state"] == "ready"


async def test_the_browser_comes_back_to_the_console_and_the_account_sends(api: Api, sink: Sink) -> None:
    """The registered address is loopback's, at any port (RFC 8252 7.3): the relay's own is one."""
    browser, root = Browser(), api.url
    async with httpx2.AsyncClient(timeout=30) as client:

        async def posted(path: str, form: dict[str, str]) -> str:
            token = re.search(r'name="csrf" value="([^"]+)"', (await client.get(f"{root}/console/")).text)
            assert token
            answer = await client.post(f"{root}/console{path}", data={"csrf": token[1], **form})
            assert answer.status_code == 303
            return (await client.get(f"{root}{answer.headers['location']}")).text

        code = api.running.open_console().rpartition("=")[2]
        await client.post(f"{root}/console/login", data={"one_time_code": code})
        page = await posted("/accounts/alerts/sign-in", {"how": "browser"})
        link = re.search(r'href="(http[^"]+)" target="_blank"', page)
        assert link
        with suppress(URLError):
            await asyncio.to_thread(sign_in, browser, unescape(link[1]))
        assert browser.address.startswith(root)
        came = await client.get(browser.address, headers={"accept": "text/html"}, follow_redirects=True)
        assert (came.status_code, "Signed in" in came.text) == (200, True), came.text
        assert "Mail may leave from it" in (await client.get(f"{root}/console/accounts/alerts/sign-in")).text
    async with api.http(api.token("submit")) as client:
        taken = await client.post("/v1/messages", json={"to": RECIPIENT, "subject": "s", "text": "x"})
        assert taken.status_code == 202
    [message] = await asyncio.to_thread(sink.wait_for, 1)
    assert message.sender == SENDER


async def test_a_code_of_the_http_api_is_typed_elsewhere_and_mail_leaves(api: Api, sink: Sink) -> None:
    async with api.http(api.token("admin", "submit")) as client:
        waits = await client.post("/v1/messages", json={"to": RECIPIENT, "subject": "s", "text": "x"})
        assert waits.status_code == 202
        told = (await client.post(AUTHORIZE, json={"device": True})).json()
        await asyncio.to_thread(type_in, Browser(), told["url"], told["code"])
        assert await signed_in(client) == "done"
    [message] = await asyncio.to_thread(sink.wait_for, 1)
    assert (message.sender, message.addresses) == (SENDER, (RECIPIENT,))
