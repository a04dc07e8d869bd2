"""What was done to messages is taken back by one step, to exactly those to whom it was done."""

from __future__ import annotations

import re
from html import unescape

import pytest
from playwright.async_api import expect

from console.conftest import Person, text
from console.test_pages import states
from postbearer.store import Query
from support.chromium import Window, chromium


async def of_news(person: Person, *, to: str = "example.org") -> list[str]:
    """The messages that wait for the account that is paused."""
    found = await person.shown.running.spool.search(Query(account="news", recipient=to))
    return [each.message.id for each in found]


async def accounts(person: Person, message: str) -> set[str]:
    entry = await person.shown.running.spool.show(message)
    assert entry is not None
    return {row.account for row in entry.rows}


async def do(person: Person, message: str, **fields: str) -> str:
    """Do something to a message, and what its page says then."""
    done = await person.send(f"/messages/{message}/act", {"confirmed": "1", **fields})
    return await person.told(done)


async def take_back(person: Person, page: str) -> str:
    """Click what the page offers, and what the next one says."""
    [undo] = re.findall(r'name="undo" value="(\w+)"', page)
    return text(await person.told(await person.send("/undo", {"undo": undo}, of="/queue")))


async def test_a_hold_and_a_release(inside: Person) -> None:
    [message] = await of_news(inside, to="ada@")
    page = await do(inside, message, act="hold", address="ada@example.org")
    assert await states(inside.shown, message) == ["held", "ready"]
    page = await do(inside, message, act="hold")  # the other one
    assert await states(inside.shown, message) == ["held", "held"]
    assert "Taken back: 1 message is released." in await take_back(inside, page)
    assert await states(inside.shown, message) == ["held", "ready"]  # who was held before is held
    page = await do(inside, message, act="release")
    assert await states(inside.shown, message) == ["ready", "ready"]
    assert "Taken back: 1 message is held again." in await take_back(inside, page)
    assert await states(inside.shown, message) == ["held", "ready"]


async def test_what_was_moved_goes_back_to_where_it_came_from(inside: Person) -> None:
    chosen = await of_news(inside)
    fields = {"act": "move", "message": chosen, "target": "billing", "confirmed": "1"}
    page = await inside.told(await inside.send("/queue/act", fields, of="/queue"))
    assert [await accounts(inside, each) for each in chosen] == [{"billing"}, {"billing"}]
    assert "Undo: move back 2 messages" in text(page)
    assert "Taken back: 2 messages are moved back." in await take_back(inside, page)
    assert [await accounts(inside, each) for each in chosen] == [{"news"}, {"news"}]


async def test_who_was_cancelled_gets_a_new_message(inside: Person) -> None:
    [message] = await of_news(inside, to="ada@")
    page = await do(inside, message, act="cancel", address="grace@example.org")
    assert await states(inside.shown, message) == ["ready", "cancelled"]
    assert "Undo: resend 1 message" in text(page)
    assert "Taken back: 1 message is resent as new messages." in await take_back(inside, page)
    assert await states(inside.shown, message) == ["ready", "cancelled"]
    new = [each for each in await of_news(inside, to="grace@") if each != message]
    assert [await states(inside.shown, each) for each in new] == [["ready"]]


async def test_what_cannot_be_taken_back_is_not_offered(inside: Person) -> None:
    first, second = await of_news(inside)
    await do(inside, first, act="hold")
    page = await do(inside, second, act="retry")
    assert "Undo:" not in page
    old = await do(inside, second, act="hold")
    await do(inside, second, act="retry", address="nobody@example.org")  # nothing changed: the offer is gone
    assert "something else was done since" in await take_back(inside, old)
    assert "Undo:" not in await do(inside, second, act="move", target="nowhere")


async def test_what_has_left_meanwhile_has_left(inside: Person) -> None:
    [message] = await of_news(inside, to="linus@")
    await do(inside, message, act="hold")
    page = await do(inside, message, act="release")
    await inside.send("/accounts/news/act", {"act": "resume"})
    await inside.shown.settled(7)
    told = await take_back(inside, page)
    assert "1 message could not be taken back: it has left, or has come to its end." in told
    assert "Taken back" not in told
    assert await states(inside.shown, message) == ["delivered"]


async def test_a_page_that_keeps_itself_fresh_leaves_the_offer_to_the_next_one(inside: Person) -> None:
    [message] = await of_news(inside, to="linus@")
    await inside.send(f"/messages/{message}/act", {"act": "hold"})
    assert "Undo:" not in (await inside.get("/queue", headers={"hx-request": "true"})).text
    assert "Undo: release 1 message" in text(await inside.page("/queue"))


async def job(person: Person, **fields: str) -> str:
    """Do something to all that fits, and what the page of the job says at its end."""
    asked = await person.send("/queue/all", fields, of="/queue")
    given = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    begun = await person.post("/queue/all", {**given, "act": fields["act"]})
    place = begun.headers["location"].removeprefix("/console")
    while "It has come to its end." not in (page := await person.page(place)):
        pass
    return page


async def test_a_job_that_moved_what_waits_is_taken_back_by_another(inside: Person) -> None:
    chosen = await of_news(inside)
    page = await job(inside, act="move", account="news", target="billing")
    assert "Undo: Send what fits through news again" in text(page)
    form = page.partition('action="/console/queue/all"')[2].partition("</form>")[0]
    fields = {k: unescape(v) for k, v in re.findall(r'name="(\w+)" value="([^"]*)"', form)}
    asked = await inside.post("/queue/all", fields)
    assert "By: news , as far as it may carry them." in text(asked.text)
    given = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    begun = await inside.post("/queue/all", {**{k: unescape(v) for k, v in given.items()}, "act": "move"})
    assert begun.status_code == 303
    while "It has come to its end." not in await inside.page(
        begun.headers["location"].removeprefix("/console")
    ):
        pass
    assert [await accounts(inside, each) for each in chosen] == [{"news"}, {"news"}]
    several = text(await job(inside, act="move", q="example.org", target="alerts"))
    assert "It came from several accounts, so no one step moves it back." in several


async def test_what_a_job_cancelled_is_listed(inside: Person) -> None:
    page = await job(inside, act="cancel", account="news")
    assert "While it is kept here, each can be resent from its page" in text(page)
    [look] = re.findall(r'<a href="/console(/queue\?[^"]+)">Look at what fits', page)
    assert text(await inside.page(unescape(look))).count("What is new in December") == 2


@pytest.mark.servers
@pytest.mark.parametrize("scripts", [True, False])
async def test_undo_in_a_browser(inside: Person, scripts: bool) -> None:
    [message] = await of_news(inside, to="linus@")
    async with chromium() as browser:
        window = await Window.open(browser, java_script_enabled=scripts)
        page = window.page
        await page.goto(inside.shown.running.open_console())
        await page.get_by_role("button", name="Open the console").click()
        await page.goto(f"{inside.shown.url}/messages/{message}")
        await page.locator("form.actions").first.get_by_role("button", name="Hold").click()
        await page.get_by_role("button", name="Undo: release 1 message").click()
        await expect(page.get_by_role("status").first).to_contain_text("Taken back: 1 message is released.")
        assert await states(inside.shown, message) == ["ready"]
        await expect(page.get_by_role("button", name="Undo:")).to_have_count(0)
        assert (window.faults, window.asked) == ([], [])
        await window.context.close()
