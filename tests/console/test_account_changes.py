"""Renaming and removing an account from its page, and what is in the way of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.conftest import Person, text
from console.test_connect import EditableRelay
from postbearer.store import Query
from support.shown_relay import started


@pytest.fixture
async def shown(home: Path, request: pytest.FixtureRequest) -> AsyncIterator[EditableRelay]:
    more = getattr(request, "param", 'accounts = "editable"\n')
    async with started(EditableRelay(home, more=more)) as made:
        yield made


@pytest.fixture
async def inside(person: Person) -> Person:
    await person.shown.pause("news")
    await person.shown.send("news@example.org", "ada@example.org, grace@example.org", "What is new")
    await person.open()
    return person


async def act(person: Person, account: str, what: str, **fields: str) -> str:
    return text(await person.told(await person.send(f"/accounts/{account}/{what}", fields)))


async def waiting(person: Person) -> list[str]:
    return [each.message.id for each in await person.shown.running.spool.search(Query(account="news"))]


async def test_an_account_is_renamed_with_what_waits_for_it(inside: Person) -> None:
    assert "Rename or remove it" in text(await inside.page("/accounts/news"))
    told = await act(inside, "news", "rename", to="bulletin")
    assert "The account news is called bulletin now, with its sign-in and what waits for it." in told
    assert len(await inside.shown.running.spool.search(Query(account="bulletin"))) == 1
    file = (inside.shown.home / "postbearer.toml").read_text()
    assert ("[accounts.bulletin]" in file, "[accounts.news]" in file) == (True, False)
    assert "Nothing was done: " in await act(inside, "bulletin", "rename", to="Not A Name")
    assert "Nothing was done: " in await act(inside, "bulletin", "rename", to="alerts")
    assert "give the name that it is to have" in await act(inside, "bulletin", "rename", to=" ")


async def test_an_account_is_removed_once_its_name_was_typed_and_nothing_waits(inside: Person) -> None:
    assert "type its name" in await act(inside, "news", "remove", name="alerts")
    assert "recipients wait for the account news" in await act(inside, "news", "remove", name="news")
    assert (await inside.get("/accounts/news")).status_code == 200
    await inside.send(
        "/queue/act", {"act": "cancel", "message": await waiting(inside), "confirmed": "1"}, of="/queue"
    )
    refused = await act(inside, "news", "remove", name="news")
    assert "Nothing was done: " in refused  # a route names it
    file = inside.shown.home / "postbearer.toml"
    assert "[accounts.news]" in file.read_text()


async def test_an_account_that_nothing_needs_goes(inside: Person) -> None:
    form = {"like": "alerts", "address": "desk@example.org", "name": "desk"}
    assert (await inside.send("/connect", form, of="/connect?like=alerts")).status_code == 303
    assert "The account desk is removed, and its sign-in is forgotten." in await act(
        inside, "desk", "remove", name="desk"
    )
    assert (await inside.get("/accounts/desk")).status_code == 404
    assert "[accounts.desk]" not in (inside.shown.home / "postbearer.toml").read_text()


@pytest.mark.parametrize("shown", [""], indirect=True)
async def test_elsewhere_the_page_shows_the_commands(person: Person) -> None:
    await person.open()
    told = text(await person.page("/accounts/news/change"))
    assert "postbearer accounts rename news NEW-NAME" in told
    assert "Nothing was done: The configuration lets nobody change accounts" in await act(
        person, "news", "rename", to="bulletin"
    )
