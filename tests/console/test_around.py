"""Webhooks, API clients and settings: what they tell, what can be done there, and who may."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from console.conftest import Person, text
from postbearer.api import ApiTokens, TokenScope
from postbearer.console.site import PAGES
from postbearer.control import Right
from postbearer.state import StateFolder
from support.hooks import Hooks, receiving
from support.shown_relay import SCRIPT, ShownRelay, fill

HOOK = """
[[webhooks]]
name = "shop"
url = "{url}"
secrets = ["file:{secret}"]
allow-private = true
"""


@pytest.fixture
async def inside(person: Person) -> AsyncIterator[Person]:
    await person.open()
    yield person
    assert person.shown.ears.defects == []


def tokens(shown: ShownRelay) -> ApiTokens:
    return ApiTokens(StateFolder(shown.home / "state"))


async def ask(shown: ShownRelay, token: str, path: str = "/v1/messages") -> int:
    async with httpx2.AsyncClient() as http:
        headers = {"authorization": f"Bearer {token}"}
        return (await http.get(f"{shown.running.addresses[-1]}{path}", headers=headers)).status_code


async def test_api_clients_are_told_with_their_use_and_their_failures(inside: Person) -> None:
    shown = inside.shown
    made = tokens(shown)
    desk = made.create("desk", [TokenScope.READ], now=time.time()).reveal()
    old = made.create("old", [TokenScope.READ], now=1.0, expires=2.0).reveal()
    assert "desk made" in text(await inside.page("/clients"))
    assert await ask(shown, desk) == 200
    assert await ask(shown, desk, "/v1/configuration") == 403
    assert await ask(shown, old) == 401
    page = await inside.page("/clients")
    told = text(page)
    assert re.search(r"desk made .*? read .*? ago 1 request 1 It has no scope admin\.", told)
    assert "old expired" in told
    assert "It had expired." in told
    assert desk not in page
    assert desk[4:] not in page
    asked = await inside.send("/clients/desk/revoke", {})
    assert "Revoke the token desk?" in text(asked.text)
    assert await ask(shown, desk) == 200
    done = await inside.send("/clients/desk/revoke", {"confirmed": "1"})
    assert "The token desk is revoked" in text(await inside.told(done))
    assert await ask(shown, desk) == 401
    assert "desk made" not in text(await inside.page("/clients"))
    assert "revoke token" in text(await inside.page("/audit"))
    again = await inside.send("/clients/desk/revoke", {"confirmed": "1"})
    assert "There is no token" in text(await inside.told(again))


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with receiving() as made:
        yield made


async def test_webhooks_are_tested_enabled_and_sent_to_again(inside: Person, hooks: Hooks) -> None:
    shown = inside.shown
    assert "There are none." in text(await inside.page("/webhooks"))
    secret = shown.home / "hook-secret"
    secret.touch(mode=0o600)
    secret.write_text("whsec_Y2FuYXJ5OiAzMiBvY3RldHMgb2YgYSByZWFsIGtleSE=")
    shown.more = HOOK.format(url=hooks.url, secret=secret)
    await shown.reload()
    await shown.send("alerts@example.org", "ops@example.org", "Backup finished")
    await shown.settled(1)
    page = await inside.page("/webhooks")
    assert "shop works" in text(page)
    assert "whsec_" not in page
    done = await inside.send("/webhooks/shop/act", {"act": "test"})
    assert "The test event reached shop in" in text(await inside.told(done))
    assert "webhook.test" in hooks.kinds()
    done = await inside.send("/webhooks/shop/act", {"act": "replay", "span": "hour"})
    assert "is sent again" in text(await inside.told(done))
    for form, told in (
        ({"act": "replay", "span": "year"}, "Choose a span of time."),
        ({"act": "explode"}, "That cannot be done to a webhook."),
    ):
        assert told in text(await inside.told(await inside.send("/webhooks/shop/act", form)))
    none = await inside.send("/webhooks/shup/act", {"act": "enable"})
    assert "Did you mean shop?" in text(await inside.told(none))
    hooks.always = (410, {})
    done = await inside.send("/webhooks/shop/act", {"act": "test"})
    assert "did not reach shop" in text(await inside.told(done))


async def test_settings_are_explained_without_secrets(inside: Person) -> None:
    shown = inside.shown
    shown.more = (
        shown.login("alice", "see")
        + f'''
[[relay.clients]]
name = "{SCRIPT}"
networks = ["192.0.2.1"]
'''
    )
    await shown.reload()
    page = await inside.page("/settings")
    told = text(page)
    assert "accounts.alerts" in told
    assert "SMTP user name, token user and default sender." in told
    assert "argon2id" not in page.replace("argon2id hash", "")
    assert SCRIPT not in page
    assert SCRIPT in told
    assert "nobody set it" not in told
    everything = text(await inside.page("/settings?all"))
    assert "nobody set it" in everything
    assert "on-unknown" in everything
    done = await inside.send("/settings/reload", {})
    assert "The relay goes on as before: No relay runs by itself here." in text(await inside.told(done))


async def test_every_page_asks_for_its_right(person: Person) -> None:
    """Whoever may not do something is told so by every page, and nobody comes in without a login."""
    shown = person.shown
    shown.more = "".join(shown.login(name, name) for name in ("see", "operate", "admin"))
    await shown.reload()
    await fill(shown)
    pages = [page for page in PAGES if page.needs is not None]
    for page in pages:
        path = re.sub(r"\{\w+\}", "x", page.path)
        answer = await (person.post(path, {}) if page.method == "POST" else person.get(path))
        assert answer.status_code == 303, page.path
        assert "/console/login" in answer.headers["location"]
    rights = {
        "see": {Right.LOOK},
        "operate": {Right.LOOK, Right.OPERATE},
        "admin": {Right.LOOK, Right.OPERATE, Right.ADMIN},
    }
    for name, may in rights.items():
        await person.log_in(name)
        for page in pages:
            if page.path == "/logout":
                continue
            path = re.sub(r"\{\w+\}", "x", page.path)
            if page.method == "POST":
                answer = await person.send(path, {})
            else:
                async with person.http.stream("GET", f"{shown.url}{path}") as answer:
                    pass
            assert (answer.status_code == 403) is (page.needs not in may), (name, page.method, page.path)
