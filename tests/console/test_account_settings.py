"""Changing the settings of an account: form, what would change, the file then; and who is in the way."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from console.conftest import Person, text
from postbearer.config import account_keys
from postbearer.errors import ConfigError
from support.editable_relay import CANARY, EDITABLE, EditableRelay, editable

PAGE = "/accounts/news/settings"


@pytest.fixture
async def shown(home: Path, request: pytest.FixtureRequest) -> AsyncIterator[EditableRelay]:
    async with editable(home, getattr(request, "param", EDITABLE)) as made:
        yield made


@pytest.fixture
async def inside(person: Person) -> Person:
    await person.open()
    return person


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


def fields(page: str) -> dict[str, str]:
    """What a browser would send of the form, as it stands there."""
    found = {name: unescape(value) for name, value in re.findall(r'name="([\w.-]+)" value="([^"]*)"', page)}
    for name, inner in re.findall(r'<textarea [^>]*name="([\w.-]+)"[^>]*>\n?(.*?)</textarea>', page, re.S):
        found[name] = unescape(inner)
    for name, inner in re.findall(r'<select [^>]*name="([\w.-]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r"<option selected>([^<]*)<", inner)
        found[name] = unescape(chosen[1]) if chosen else ""
    return {name: value for name, value in found.items() if not name.endswith("-drop") and name != "sure"}


async def reviewed(person: Person, **changes: str) -> httpx2.Response:
    """Have the form as it is now sent with some `changes`."""
    form = fields(await person.page(PAGE)) | {key.replace("_", "-"): each for key, each in changes.items()}
    return await person.post(PAGE, form)


async def applied(person: Person, page: str) -> httpx2.Response:
    form = {"csrf": hidden(page, "csrf"), "draft": hidden(page, "draft")}
    return await person.post(f"{PAGE}/apply", form)


async def test_every_key_is_on_the_page_with_what_holds_and_where_it_is_from(inside: Person) -> None:
    page = await inside.page(PAGE)
    told = text(page)
    assert "In force: sandbox-app , from the configuration." in told
    assert "In force: 10 min , usual at the provider." in told
    assert "In force: force , usual, as nobody set it." in told
    for key in account_keys():
        if key.entry not in ("secret", "table", "text"):
            assert f"{key.key}</code>" in page, key.key
    form = fields(page)
    assert form["address"] == "alerts@example.org"
    assert form["limits.connections"] == "1"
    for never in ("command", "ca-file", "proxy", "tls-certificate", "servers", "token-url", "grant-settings"):
        assert never not in form
    assert "servers" in told  # it is shown, with the command
    assert "postbearer config set accounts.news.KEY VALUE" in told


async def test_a_form_that_was_not_touched_changes_nothing(inside: Person, shown: EditableRelay) -> None:
    before = shown.file
    answer = await reviewed(inside)
    assert answer.status_code == 422
    assert "nothing was typed that differs" in text(answer.text)
    assert shown.file == before


async def test_a_change_is_shown_then_written_and_put_back(inside: Person, shown: EditableRelay) -> None:
    path = shown.home / "postbearer.toml"
    path.write_text("# Mind this file.\n" + path.read_text())
    before = shown.file
    changes: dict[str, Any] = {
        "limits.connections": "3",
        "timeout": "2m",
        "sender": "allow",
        "aliases": "desk@example.org\nhelp@example.org",
    }
    page = (await inside.post(PAGE, fields(await inside.page(PAGE)) | changes)).text
    told = text(page)
    assert "- limits.connections = 1 + limits.connections = 3" in told
    assert '+ timeout = "2m"' in told
    assert '+ aliases = ["desk@example.org", "help@example.org"]' in told
    assert shown.file == before  # nothing was written yet
    answer = await applied(inside, page)
    told = await inside.told(answer)
    assert "The settings of news are changed, and the relay goes by them." in told
    news = shown.accounts["news"]
    assert (news["limits"], news["timeout"]) == ({"connections": 3}, "2m")
    assert shown.file.startswith("# Mind this file.\n")
    assert "change account" in await inside.page("/audit")
    await inside.until("/accounts/news/check", "works")
    again = await inside.told(await applied(inside, page))  # once more, as by the button Back
    assert "this change was written already" in again
    assert "Put it back" in await inside.page(PAGE)
    back = await inside.send(f"{PAGE}/put-back", {}, of=PAGE)
    assert "The settings of news are as they were before." in await inside.told(back)
    assert "timeout" not in shown.accounts["news"]
    assert "aliases" not in shown.accounts["news"]
    assert shown.accounts["news"]["limits"] == {"connections": 1}


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("timeout", "soon", "is not a duration"),
        ("timeout", "0", "is zero, and would leave no time"),
        ("limits.connections", "many", "must be a whole number"),
        ("limits.connections", "true", "must be a whole number"),
        ("timeout", "nan", "is not a finite number"),
        ("limits.connections", "0", "must be at least 1"),
        ("limits.size", "-1", "is negative"),
        ("limits.size", "9" * 5000, "has too many digits"),
        ("address", "", "is missing"),
        ("address", "no address", "Write it as user@example.org."),
        ("sender", "sometimes", "cannot be 'sometimes'"),
        ("client-secret-expires", "tomorrow", "must be a day"),
        ("fallback", "news", "is the account itself"),
        ("overflow", "nobody", "which does not exist"),
        ("dkim-selectors", "s1\n../x", "Write the selector alone"),
        ("ehlo-name", "<script>alert(1)</script>", "&lt;script&gt;"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    inside: Person, shown: EditableRelay, key: str, value: str, told: str
) -> None:
    before = shown.file
    answer = await inside.post(PAGE, fields(await inside.page(PAGE)) | {key: value})
    assert answer.status_code == 422
    beside = re.search(rf'id="h-{re.escape(key)}"><span class="why">(.*?)</span>', answer.text, re.S)
    assert beside, text(answer.text)
    assert told in unescape(beside[1]) or told in answer.text
    assert "<script>alert" not in answer.text
    assert f'<a href="#f-{key}">' in answer.text  # the page is long
    assert fields(answer.text)[key] == value
    assert shown.file == before


async def test_a_secret_is_replaced_and_shown_by_no_page(inside: Person, shown: EditableRelay) -> None:
    form = fields(await inside.page(PAGE))
    wrong = await inside.post(PAGE, form | {"client-secret": CANARY, "timeout": "soon"})
    assert wrong.status_code == 422
    assert CANARY not in wrong.text
    assert "is kept for now" in text(wrong.text)
    page = (await inside.post(PAGE, fields(wrong.text) | {"timeout": "2m"})).text
    assert '+ client-secret = "sealed:…"' in text(page)
    assert CANARY not in page
    assert (await applied(inside, page)).status_code == 303
    assert shown.accounts["news"]["client-secret"].startswith("sealed:")
    for path in (PAGE, "/audit", "/log", "/settings?all"):
        assert CANARY not in await inside.page(path)


async def test_of_two_at_once_the_second_is_told_and_nothing_is_half_done(
    inside: Person, shown: EditableRelay
) -> None:
    form = fields(await inside.page(PAGE))
    mine = (await inside.post(PAGE, form | {"timeout": "2m"})).text
    theirs = (await inside.post(PAGE, form | {"timeout": "3m", "limits.connections": "2"})).text
    assert (await applied(inside, theirs)).status_code == 303
    late = await applied(inside, mine)
    assert late.status_code == 409
    assert "The settings of news were changed meanwhile" in text(late.text)
    assert "You had typed: 2m" in text(late.text)
    assert fields(late.text)["timeout"] == "3m"
    stale = await inside.post(PAGE, form | {"timeout": "4m"})
    assert stale.status_code == 409
    assert (shown.accounts["news"]["timeout"], shown.accounts["news"]["limits"]) == ("3m", {"connections": 2})
    again = (await inside.post(PAGE, fields(late.text) | {"timeout": "2m"})).text
    assert '- timeout = "3m" + timeout = "2m"' in text(again)


async def test_a_change_by_hand_in_the_file_counts_as_somebody_else(
    inside: Person, shown: EditableRelay
) -> None:
    page = (await reviewed(inside, timeout="2m")).text
    path = shown.home / "postbearer.toml"
    path.write_text(path.read_text().replace("[accounts.news]\n", '[accounts.news]\non-unknown = "hold"\n'))
    assert (await applied(inside, page)).status_code == 409
    assert "timeout" not in shown.accounts["news"]
    other = path.read_text().replace("[accounts.billing]\n", '[accounts.billing]\non-unknown = "hold"\n')
    page = (await reviewed(inside, timeout="2m")).text
    path.write_text(other)  # of another account: it is kept, and in nobody's way
    assert (await applied(inside, page)).status_code == 303
    assert shown.accounts["billing"]["on-unknown"] == "hold"
    assert shown.accounts["news"]["timeout"] == "2m"


async def test_a_relay_that_does_not_take_it_goes_on_as_before(
    inside: Person, shown: EditableRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (await reviewed(inside, timeout="2m")).text
    before = shown.file

    async def refused(*_: object) -> None:
        raise ConfigError("This cannot hold now.")

    monkeypatch.setattr(shown.running, "reload", refused)
    answer = await applied(inside, page)
    assert "This cannot hold now." in text(answer.text)
    assert shown.file == before


async def test_who_may_not_ask_for_them_changes_none(inside: Person, shown: EditableRelay) -> None:
    """Keys that run, read, or say where secrets go: a form that has them all the same."""
    before = shown.accounts["news"]
    evil = {
        "command": "touch /tmp/x",
        "servers": "evil.example.org:587",
        "token-url": "https://evil.example.org/",
        "ca-file": "/etc/passwd",
        "proxy": "socks5://evil.example.org:1080",
        "provider": "smtp",
        "nothing": "x",
    }
    page = (await inside.post(PAGE, fields(await inside.page(PAGE)) | {**evil, "timeout": "2m"})).text
    assert "evil" not in page
    assert (await applied(inside, page)).status_code == 303
    assert {**shown.accounts["news"], "timeout": "2m"} == {**before, "timeout": "2m"}


async def test_a_page_of_before_an_upgrade_takes_nothing_away(inside: Person, shown: EditableRelay) -> None:
    """It has fewer fields than there are now."""
    form = fields(await inside.page(PAGE))
    few = {key: form[key] for key in ("csrf", "version", "draft")} | {"timeout": "2m"}
    page = (await inside.post(PAGE, few)).text
    assert (await applied(inside, page)).status_code == 303
    assert shown.accounts["news"]["limits"] == {"connections": 1}
    assert shown.accounts["news"]["timeout"] == "2m"


async def test_a_draft_is_of_one_session_and_one_account(inside: Person, shown: EditableRelay) -> None:
    page = (await reviewed(inside, timeout="2m")).text
    form = {"csrf": hidden(page, "csrf"), "draft": hidden(page, "draft")}
    answer = await inside.post("/accounts/alerts/settings/apply", form)
    assert "Begin anew" in await inside.told(answer)
    async with httpx2.AsyncClient(timeout=30) as http:
        other = Person(shown, http)
        await other.open()
        answer = await other.send(f"{PAGE}/apply", {"draft": form["draft"]}, of=PAGE)
        assert "Begin anew" in await other.told(answer)
    assert "timeout" not in shown.accounts["news"]


@pytest.mark.parametrize("shown", [""], indirect=True)
async def test_elsewhere_the_page_shows_what_holds_and_the_command(
    person: Person, shown: EditableRelay
) -> None:
    await person.open()
    page = await person.page(PAGE)
    assert "postbearer config set accounts.news.KEY VALUE" in text(page)
    assert "client-id sandbox-app from the configuration" in text(page)
    assert "See what would change" not in page
    before = shown.file
    answer = await person.send(PAGE, {"version": "", "timeout": "2m"}, of=PAGE)
    assert answer.status_code == 403
    assert shown.file == before
