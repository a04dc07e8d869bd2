"""``postbearer login`` at an authorization server nobody here wrote: pages, consent, redirect, rotation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.error import URLError

import pytest

from support.browser import Browser, Page

from .authorization import AuthorizationServer
from .dovecot import Dovecot
from .sending import SENDER, Command, command, ended
from .sink import Sink

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
    browser.open(told.split()[1])
    browser.submit(user_code=told.split()[-1])
    browser.submit()  # it is this device
    browser.submit(login=SENDER, password="any")
    browser.submit()  # consent
    result = ended(process)
    assert result.returncode == 0, result.stderr
    assert postbearer.send().returncode == 0
    assert sink.wait_for(1)[0].sender == SENDER
