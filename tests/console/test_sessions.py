"""Sessions are seen and ended, and passkeys log in, with a device that Chromium plays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from playwright.async_api import Page, expect

from console.conftest import Person
from postbearer.console.passkeys import LIFETIME, Challenges
from postbearer.testing import ManualClock
from support.chromium import Window, chromium
from support.http_api import TRUSTS_NOBODY
from support.shown_relay import PASSWORD, ShownRelay

UNKNOWN = "This passkey is not known here."


async def logged_in(shown: ShownRelay, name: str, **fields: str) -> Person:
    person = Person(shown, httpx2.AsyncClient(timeout=30, headers=fields, verify=TRUSTS_NOBODY))
    assert (await person.log_in(name)).status_code == 303
    return person


async def test_sessions_are_seen_and_ended_by_whose_they_are(shown: ShownRelay) -> None:
    shown.more = shown.login("alice", "operate") + shown.login("bob", "see") + shown.login("eve", "admin")
    await shown.reload()
    phone = await logged_in(shown, "alice", **{"user-agent": "Phone <b>1</b>"})
    desk = await logged_in(shown, "alice", **{"user-agent": "Desk"})
    bob = await logged_in(shown, "bob", **{"user-agent": "Bob's"})
    mine = await desk.page("/sessions")
    assert "Phone &lt;b&gt;1&lt;/b&gt;" in mine
    assert "Bob" not in mine
    assert mine.count("this one") == 1
    [row] = [part for part in mine.split("<tr>") if "Phone" in part]
    phones = row.split('name="session" value="')[1].split('"')[0]
    by_bob = await bob.send("/sessions/end", {"session": phones}, of="/sessions")
    assert "There was no other session to end." in await bob.told(by_bob)
    assert (await phone.get("/")).status_code == 200
    ended = await desk.send("/sessions/end", {"session": phones}, of="/sessions")
    assert "1 session is ended." in await desk.told(ended)
    assert (await phone.get("/")).status_code == 303
    eve = await logged_in(shown, "eve")
    assert "Bob" in await eve.page("/sessions")
    ended = await eve.send("/sessions/end", {"session": "others"}, of="/sessions")
    assert "2 sessions are ended." in await eve.told(ended)
    assert [(await each.get("/")).status_code for each in (desk, bob, eve)] == [303, 303, 200]
    assert "session ended" in await eve.page("/audit")
    for each in (phone, desk, bob, eve):
        await each.http.aclose()


@pytest.fixture
async def page(shown: ShownRelay) -> AsyncIterator[Page]:
    """A browser with a device that holds passkeys, and is told yes."""
    shown.more = shown.login("alice", "operate")
    await shown.reload()
    async with chromium() as browser:
        window = await Window.open(browser, locale="en-GB")
        cdp = await window.context.new_cdp_session(window.page)
        await cdp.send("WebAuthn.enable")
        device = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": device})
        yield window.page
        assert window.faults == []
        await window.context.close()


def by_name(shown: ShownRelay, path: str) -> str:
    """A passkey belongs to a name: an address has none."""
    return f"{shown.url.replace('127.0.0.1', 'localhost')}{path}"


async def by_password(page: Page, shown: ShownRelay) -> None:
    await page.goto(by_name(shown, "/login"))
    await page.get_by_label("Name").fill("alice")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in", exact=True).click()
    await page.wait_for_url("**/console/")


async def add(page: Page, shown: ShownRelay, name: str = "Telephone") -> None:
    await by_password(page, shown)
    await page.get_by_role("link", name="alice").click()
    await page.get_by_label("Its name").fill(name)
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("status").first).to_contain_text(f"The passkey {name} is added")


async def log_out(page: Page) -> None:
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/console/login")


@pytest.mark.servers
async def test_a_passkey_logs_in_alone_until_it_is_removed(page: Page, shown: ShownRelay) -> None:
    await add(page, shown)
    kept = shown.home / "state" / "passkeys"
    assert kept.stat().st_mode & 0o777 == 0o600
    await log_out(page)
    await shown.restart()  # it outlives the relay; its session would not
    await page.goto(by_name(shown, "/queue"))
    await page.get_by_role("button", name="Log in with a passkey").click()
    await page.wait_for_url("**/console/queue")
    await page.get_by_role("link", name="alice").click()
    assert json.loads(kept.read_text())["passkeys"][0]["count"] > 1
    await page.get_by_role("button", name="Remove Telephone").click()
    await expect(page.get_by_role("status").first).to_contain_text("The passkey is removed here.")
    await log_out(page)
    await page.get_by_role("button", name="Log in with a passkey").click()
    await expect(page.get_by_role("alert")).to_contain_text(UNKNOWN)


@pytest.mark.servers
async def test_another_password_ends_its_passkeys(page: Page, shown: ShownRelay) -> None:
    await add(page, shown)
    await log_out(page)
    shown.more = shown.login("alice", "operate")  # the same password, with another salt
    await shown.reload()
    await page.get_by_role("button", name="Log in with a passkey").click()
    await expect(page.get_by_role("alert")).to_contain_text(UNKNOWN)


@pytest.mark.servers
async def test_what_a_passkey_signed_is_good_once_and_here_only(page: Page, shown: ShownRelay) -> None:
    await add(page, shown)
    await log_out(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    await page.get_by_role("button", name="Log in with a passkey").click()
    await page.wait_for_url("**/console/")
    [body] = [each for each in sent if "passkey=" in each]
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with httpx2.AsyncClient(timeout=30) as http:
        for place in (by_name(shown, "/login/passkey"), f"{shown.url}/login/passkey"):
            again = await http.post(place, content=body, headers=form)
            assert again.status_code == 401
            assert UNKNOWN in again.text


@pytest.mark.servers
async def test_a_second_one_on_the_same_device_is_told(page: Page, shown: ShownRelay) -> None:
    await add(page, shown)
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_text("This device has a passkey for you already.")).to_be_visible()


async def test_what_is_no_passkey_is_refused_and_counted(person: Person) -> None:
    shown = person.shown
    shown.more = shown.login("alice", "operate")
    await shown.reload()
    odd = ("", "{", "[]", "null", '{"id": 1}', '{"id": "x", "rawId": "x", "type": "public-key"}', "\x00", "x")
    for each in odd:
        answer = await person.post("/login/passkey", {"passkey": each})
        assert (answer.status_code, UNKNOWN in answer.text) == (401, True), each
    await person.post("/login/passkey", {"passkey": "x"})
    await person.post("/login/passkey", {"passkey": "x"})
    assert (await person.post("/login/passkey", {"passkey": "x"})).status_code == 429
    assert (await person.log_in("alice")).status_code == 429


async def test_a_one_time_code_has_no_passkeys_and_odd_ones_are_refused(person: Person) -> None:
    await person.open()
    answer = await person.send("/passkeys", {"passkey": "x"}, of="/sessions")
    assert answer.status_code == 403
    shown = person.shown
    shown.more = shown.login("alice", "see")
    await shown.reload()
    await person.log_in("alice")
    for each in ("", "{", "null", '{"id": "x"}'):
        answer = await person.send("/passkeys", {"passkey": each}, of="/sessions")
        assert answer.status_code == 422, answer.text
        assert "was not taken" in answer.text
    assert not (shown.home / "state" / "passkeys").exists()
    gone = await person.send("/passkeys/remove", {"passkey": "x"}, of="/sessions")
    assert "There is no such passkey any more." in await person.told(gone)


async def test_without_the_package_nothing_is_offered_but_the_way_to_it(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbearer.console.passkeys.find_spec", lambda name: None)
    shown = person.shown
    shown.more = shown.login("alice", "see")
    await shown.reload()
    assert "passkey" not in await person.page("/login")
    await person.log_in("alice")
    assert "pip install 'postbearer[passkeys]'" in (await person.page("/sessions")).replace("&#39;", "'")
    assert (await person.post("/login/passkey", {"passkey": "x"})).status_code == 422


def test_challenges_are_good_once_for_a_while_and_for_their_purpose() -> None:
    clock = ManualClock()
    challenges = Challenges(clock)
    first, second, late = (challenges.make("login") for _ in range(3))
    assert challenges.use(first, "login")
    assert not challenges.use(first, "login")
    assert not challenges.use(second, "session")
    assert not Challenges(clock).use(second, "login")
    for odd in (b"", b"x", second[:-1], second + b"\0", bytes(len(second))):
        assert not challenges.use(odd, "login")
    clock.advance(LIFETIME + 1)
    assert not challenges.use(late, "login")
