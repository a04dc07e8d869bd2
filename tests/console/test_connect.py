"""Connecting a mailbox from the page: form, set-up, secret, sign-in, doctor; and what the file holds then."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import trustme

from console.conftest import Person, text
from postbearer.console.forms import read_form
from support.browser import Browser
from support.editable_relay import CANARY, EDITABLE, EditableRelay, editable

APP = "00000000-0000-0000-0000-000000000000"
FORM = {
    "provider": "microsoft",
    "grant": "client-credentials",
    "address": "desk@example.org",
    "tenant": "example.org",
    "client-id": APP,
}


@pytest.fixture
async def shown(home: Path, request: pytest.FixtureRequest) -> AsyncIterator[EditableRelay]:
    async with editable(home, getattr(request, "param", EDITABLE)) as made:
        yield made


@pytest.fixture
async def inside(person: Person) -> Person:
    await person.open()
    return person


async def test_every_provider_has_a_form_with_its_set_up(inside: Person) -> None:
    listed = await inside.page("/connect")
    names = re.findall(r"connect\?provider=([a-z0-9-]+)", listed)
    assert names[0] == "microsoft"
    assert names[-1] == "smtp"
    for name in names:
        page = text(await inside.page(f"/connect?provider={name}"))
        assert "Connect the mailbox" in page, name
    page = text(await inside.page("/connect?provider=microsoft&grant=client-credentials"))
    assert "New-ServicePrincipal -AppId <client id>" in page
    assert "postbearer check" not in page  # the page has that itself


async def test_ids_stand_in_the_commands_as_they_were_typed(inside: Person) -> None:
    answer = await inside.send("/connect", {**FORM, "fill": "1"}, of="/connect?provider=microsoft")
    page = unescape(re.sub(r"</?span[^>]*>", "", answer.text))
    assert f"New-ServicePrincipal -AppId {APP}" in page
    assert f"example.org/adminconsent?client_id={APP}" in page
    assert "Add-MailboxPermission -Identity desk@example.org" in page
    assert "desk" not in inside.shown.accounts  # type: ignore[attr-defined]


async def test_a_secret_is_sealed_and_shown_by_no_page(inside: Person, shown: EditableRelay) -> None:
    form = {**FORM, "client-secret": CANARY}
    wrong = await inside.send("/connect", {**form, "tenant": "no tenant", "address": "desk"}, of="/connect")
    assert wrong.status_code == 422
    assert CANARY not in wrong.text
    page = text(wrong.text)
    assert "Write it as user@example.org." in page
    assert "It was given, and is kept for now" in page
    assert 'id="f-address" name="address" value="desk"' in wrong.text
    assert "desk" not in shown.accounts
    right = await inside.send("/connect", FORM, of="/connect?like=alerts")  # another page forgets it
    assert (right.status_code, "client-secret" in right.text) == (422, True)
    right = await inside.send("/connect", form, of="/connect")
    assert right.headers["location"] == "/console/accounts/desk/check?new=1"
    reference = shown.accounts["desk"]["client-secret"]
    assert reference.startswith("sealed:")
    assert (await shown.load().secret_source(reference).read()).reveal() == CANARY
    assert "desk" in shown.running.dispatcher.account_states
    page = await inside.until("/accounts/desk/check", "something is wrong")
    assert "token" in page
    assert CANARY not in page
    again = await inside.send("/connect", form, of="/connect")
    assert (again.status_code, "Choose another name" in again.text) == (303, False)  # desk-2
    again = await inside.send("/connect", {**form, "name": "desk"}, of="/connect")
    assert (again.status_code, "Choose another name" in again.text) == (409, True)


async def test_a_certificate_is_a_file(inside: Person, shown: EditableRelay) -> None:
    made = trustme.CA().issue_cert("app.example.org")
    pem = made.private_key_and_cert_chain_pem.bytes()
    found = re.search(r'name="csrf" value="([^"]+)"', await inside.page("/connect?provider=microsoft"))
    assert found
    answer = await inside.http.post(
        f"{shown.url}/connect",
        data={**FORM, "csrf": found[1], "certificate": ""},
        files={"certificate-file": ("app.pem", pem, "application/x-pem-file")},
    )
    assert answer.status_code == 303, text(answer.text)
    assert shown.accounts["desk"]["certificate"].startswith("sealed:")
    broken = await inside.http.post(
        f"{shown.url}/connect",
        data={**FORM, "csrf": found[1], "name": "other"},
        files={"certificate-file": ("app.pfx", bytes(range(256)), "application/x-pkcs12")},
    )
    assert (broken.status_code, "cannot be used" in broken.text) == (422, True)


def test_a_file_comes_whole_through_a_form() -> None:
    import base64

    octets = bytes(range(256)) + b"\r\n\r\n--x\r\n" + bytes(range(256))
    body = (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc3\xa9\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + octets + b"\r\n--b--\r\n"
    )
    form = read_form("multipart/form-data; boundary=b", body)
    assert form["a"] == ["é"]
    assert base64.b64decode(form["f"][0]) == octets
    for wrong in (b"", b"--b", body[:40], b"--b\r\n\r\nx\r\n--b--\r\n"):
        with pytest.raises(ValueError, match="part"):
            read_form("multipart/form-data; boundary=b", wrong)
    with pytest.raises(ValueError, match="part"):
        read_form("multipart/form-data", body)


async def test_a_second_mailbox_by_a_code_until_its_test_message(
    inside: Person, shown: EditableRelay
) -> None:
    """From an account that is there, to mail in the inbox, and no command on the way."""
    form = {"like": "alerts", "grant": "device-code", "address": "other@example.org", "name": "other"}
    answer = await inside.send("/connect", form, of="/connect?like=alerts&grant=device-code")
    assert answer.status_code == 303, text(answer.text)
    assert answer.headers["location"] == "/console/accounts/other/sign-in"
    answer = await inside.send("/accounts/other/sign-in", {"how": "code"})
    page = await inside.told(answer)
    found = re.search(r'id="code">([^<]+)<', page)
    assert found, text(page)
    shown.sandbox.authorization.approve(found[1], "other@example.org")
    await inside.until("/accounts/other/sign-in", "Mail may leave from it")
    await inside.send("/accounts/other/check", {"send_to": "you@example.org"})
    await inside.until("/accounts/other/check", "all is well")
    [message] = [each for each in shown.sandbox.inbox.messages if "you@example.org" in str(each)]
    assert b"other@example.org" in message.content
    assert "refresh" not in shown.file


async def test_what_a_server_says_to_open_is_no_script(
    inside: Person, shown: EditableRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authorization server is not trusted to name a page: RFC 8628 3.2 has it send any URI."""
    form = {"like": "alerts", "grant": "device-code", "address": "other@example.org", "name": "other"}
    assert (await inside.send("/connect", form, of="/connect?like=alerts")).status_code == 303
    server = shown.sandbox.authorization
    begin = server.begin_device

    def hostile(form: Any, base: str) -> dict[str, object]:
        return {**begin(form, base), "verification_uri": "javascript:alert(1)//<script>"}

    monkeypatch.setattr(server, "begin_device", hostile)
    page = await inside.told(await inside.send("/accounts/other/sign-in", {"how": "code"}))
    assert "javascript:alert(1)" in page
    assert 'href="javascript:' not in page


async def test_the_browser_comes_back_by_itself(inside: Person, shown: EditableRelay) -> None:
    form = {"like": "alerts", "grant": "authorization-code", "address": "other@example.org", "name": "other"}
    assert (await inside.send("/connect", form, of="/connect?like=alerts")).status_code == 303
    page = await inside.told(await inside.send("/accounts/other/sign-in", {"how": "browser"}))
    found = re.search(r'href="(http[^"]+/authorize[^"]+)"', page)
    assert found, text(page)
    url = unescape(found[1])
    assert "code_challenge_method=S256" in url
    browser = Browser()
    await asyncio.to_thread(browser.open, url)
    with suppress(OSError):
        await asyncio.to_thread(browser.submit, user="other@example.org")
    state = re.search(r"state=([^&]+)", url)
    assert state
    http = inside.http
    root = shown.running.addresses[-1]
    for query in ("code=x", "code=x&state=other", f"code=x&state={state[1]}&state={state[1]}", "state="):
        assert (await http.get(f"{root}/console/sign-in?{query}")).status_code == 409, query
    answer = await http.get(browser.address, headers={"accept": "text/html"}, follow_redirects=True)
    assert "Signed in" in answer.text, text(answer.text)
    await inside.until("/accounts/other/sign-in", "Mail may leave from it")
    answer = await http.get(browser.address, headers={"accept": "text/html"}, follow_redirects=True)
    assert answer.status_code == 409


@pytest.mark.parametrize("shown", [""], indirect=True)
async def test_where_nothing_may_be_changed_the_command_stands_there(
    inside: Person, shown: EditableRelay
) -> None:
    before = shown.file
    page = await inside.page("/connect?provider=microsoft&grant=client-credentials")
    assert "Connect the mailbox</button>" not in page
    assert "postbearer accounts add NAME --provider microsoft --grant client-credentials" in text(page)
    answer = await inside.send("/connect", {**FORM, "client-secret": CANARY}, of="/connect")
    assert answer.status_code == 403
    assert shown.file == before


async def test_only_an_admin_connects_and_signs_in(shown: EditableRelay, person: Person) -> None:
    with (shown.home / "postbearer.toml").open("a") as file:
        file.write(shown.login("olga", "operate"))
    await shown.running.reload(shown.load())
    await person.log_in("olga")
    for path in ("/connect", "/accounts/alerts/sign-in"):
        assert (await person.get(path)).status_code == 403
        assert (await person.send(path, {"how": "code"})).status_code == 403
    assert (await person.get("/accounts/alerts/check")).status_code == 200
    assert "Connect a mailbox" not in await person.page("/accounts")


async def test_no_key_that_reads_or_runs_comes_in_by_the_form(inside: Person, shown: EditableRelay) -> None:
    form = {**FORM, "client-secret": "file:/etc/passwd", "command": "id", "ca-file": "/x", "proxy": "x"}
    answer = await inside.send("/connect", form, of="/connect")
    assert answer.status_code == 303
    table = shown.accounts["desk"]
    assert not table.keys() & {"command", "ca-file", "proxy"}
    assert table["client-secret"].startswith("sealed:")  # it is that very text


async def test_what_waits_leaves_by_another_account(inside: Person, shown: EditableRelay) -> None:
    for number in range(3):
        await shown.send("billing@example.org", f"a{number}@example.org", "Invoice")
    page = await inside.page("/accounts/billing")
    assert "Send what waits by another account" in page
    assert "How full its limit is" in await inside.page("/accounts/alerts")
    asked = await inside.send("/accounts/billing/move", {"to": "news"})
    assert "Send 3\u00a0messages by news?" in text(asked.text).replace("3 m", "3\u00a0m")
    stale = await inside.send("/accounts/billing/move", {"to": "news", "count": "2"})
    assert "3 messages match now" in await inside.told(stale)
    none = await inside.send("/accounts/billing/move", {"to": "nobody"})
    assert "There is no account" in await inside.told(none)
    done = await inside.send("/accounts/billing/move", {"to": "news", "count": "3"})
    assert "/jobs/" in done.headers["location"]
    for _ in range(400):
        if len(shown.sandbox.inbox.messages) == 3:
            break
        await asyncio.sleep(0.05)
    assert len(shown.sandbox.inbox.messages) == 3
    none = await inside.send("/accounts/billing/move", {"to": "news"})
    assert "Nothing waits for billing" in await inside.told(none)


async def test_the_page_of_an_account_tells_token_and_limit(inside: Person, shown: EditableRelay) -> None:
    await shown.send("alerts@example.org", "ops@example.org", "Backup finished")
    await shown.settled(1)
    page = text(await inside.page("/accounts/alerts"))
    assert re.search(r"left of (1 h|59 min 59 s); renewed by itself", page)
    assert "What was sent in any minute, against the 30 messages that are allowed." in page
    rows = re.findall(r'data-count="(\d+)"', await inside.page("/accounts/alerts"))
    assert rows[:2] == ["1", "29"]
    assert len(rows) == 120
    assert "Sign in again" not in page  # nobody signs in for it
