"""The console as it is used: two people at once, a restart under an open page, clocks that are wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from console.conftest import CSRF, Person, text
from console.test_pages import ids, states
from postbearer.console.wording import LOG
from postbearer.errors import StoreError
from postbearer.events import Warned
from postbearer.store import Query
from support.chromium import Window
from support.local import short_folder
from support.ports import free_ports
from support.shown_relay import SCRIPT, ShownRelay, fill


async def test_a_page_from_before_a_restart_does_nothing_and_says_why(person: Person) -> None:
    """As after an upgrade: its session and its token are gone."""
    shown = person.shown
    await fill(shown)
    await person.open()
    [waits, _] = await ids(shown, account="news")
    token = CSRF.search(await person.page(f"/messages/{waits}"))
    assert token
    await shown.restart()
    answer = await person.post(f"/messages/{waits}/act", {"csrf": token[1], "act": "hold"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login?over=1")
    assert "session is over" in text(await person.page("/login?over=1"))
    assert await states(shown, waits) == ["ready", "ready"]
    assert (await person.get("/static/console.0123456789abcdef.js")).status_code == 404


async def test_an_id_of_another_relay_is_no_message_here(person: Person) -> None:
    await person.open()
    for path in ("/messages/0123456789abcdef", "/messages/0123456789abcdef/read", "/jobs/0123456789abcdef"):
        answer = await person.get(path)
        assert answer.status_code == 404, path
        assert "There is no" in text(answer.text), path
    done = await person.send("/messages/0123456789abcdef/act", {"act": "cancel", "confirmed": "1"})
    assert done.status_code == 404


@pytest_asyncio.fixture(loop_scope="module")
async def kept() -> AsyncIterator[ShownRelay]:
    """One that has the same port after a restart."""
    with short_folder() as home:
        made = ShownRelay(home, http=f"127.0.0.1:{free_ports(1)[0]}")
        await made.start()
        await fill(made)
        yield made
        await made.stop()


async def inside(browser: Browser, shown: ShownRelay, **options: Any) -> Window:
    window = await Window.open(browser, locale="en-GB", **options)
    await window.page.goto(shown.running.open_console())
    await window.page.get_by_role("button", name="Open the console").click()
    await window.page.wait_for_url("**/console/")
    return window


@pytest.mark.servers
@pytest.mark.asyncio(loop_scope="module")
async def test_two_people_act_on_the_same_message(browser: Browser, kept: ShownRelay) -> None:
    [waits, _] = [each.message.id for each in await kept.running.spool.search(Query(account="news"))]
    first, second = await inside(browser, kept), await inside(browser, kept)
    for each in (first, second):
        await each.page.goto(f"{kept.url}/messages/{waits}")
    await first.page.locator("form.actions").first.get_by_role("button", name="Cancel").click()
    await first.page.get_by_role("button", name="Cancel").click()
    await expect(first.page.get_by_role("status").first).to_contain_text("is cancelled")
    await second.page.locator("form.actions").first.get_by_role("button", name="Hold").click()
    await expect(second.page.get_by_role("status").first).to_contain_text("Nothing was changed.")
    assert await states(kept, waits) == ["cancelled", "cancelled"]
    assert first.faults + second.faults == []
    for each in (first, second):
        await each.context.close()


@pytest.mark.servers
@pytest.mark.asyncio(loop_scope="module")
async def test_an_open_page_lives_through_a_restart(browser: Browser, kept: ShownRelay) -> None:
    """While nobody answers it stays as it is; then it asks to log in, as all sessions have ended."""
    window = await inside(browser, kept)
    page = window.page
    await page.clock.install()
    await page.goto(f"{kept.url}/")
    await kept.running.stop(0.0)
    await page.clock.run_for(6000)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Some mail is not leaving")
    await kept.begin()
    await page.clock.run_for(6000)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    await window.context.close()


@pytest.mark.servers
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("year", [2001, 2040])
async def test_a_browser_clock_that_is_wrong_changes_no_span(
    browser: Browser, kept: ShownRelay, year: int
) -> None:
    """How long ago, and in how long, is told by the relay's clock."""
    window = await inside(browser, kept)
    page = window.page
    await page.clock.install(time=f"{year}-06-01T12:00:00Z")
    await page.goto(f"{kept.url}/")
    oldest = page.locator("dl.facts > div", has_text="Oldest message").locator("dd").first
    await expect(oldest).not_to_contain_text("d")  # seconds or minutes, and no days
    await page.clock.run_for(6000)
    await expect(oldest).not_to_contain_text("d")
    told = await page.locator(".trouble time").first.text_content()
    assert told
    assert str(year) not in told
    assert window.faults == []
    await window.context.close()


@pytest.mark.servers
@pytest.mark.asyncio(loop_scope="module")
async def test_no_button_is_without_an_answer_when_the_store_fails(
    browser: Browser, kept: ShownRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*given: object, **more: object) -> int:
        raise StoreError("The disk is full.", hint="Free some.")

    [waits, _] = [each.message.id for each in await kept.running.spool.search(Query(account="news"))]
    window = await inside(browser, kept)
    page = window.page
    monkeypatch.setattr(kept.running.spool, "change", broken)
    for act in ("Hold", "Retry now"):
        await page.goto(f"{kept.url}/messages/{waits}")
        await page.locator("form.actions").first.get_by_role("button", name=act).click()
        await expect(page.get_by_text("The disk is full.")).to_be_visible()
        await expect(page.get_by_text("Free some.")).to_be_visible()
    monkeypatch.undo()
    assert await states(kept, waits) == ["ready", "ready"]
    await window.context.close()


@pytest.mark.servers
@pytest.mark.asyncio(loop_scope="module")
async def test_a_hidden_tab_asks_nothing_and_looks_once_when_it_is_seen_again(
    browser: Browser, kept: ShownRelay
) -> None:
    window = await inside(browser, kept)
    page = window.page
    await page.clock.install()
    await page.goto(f"{kept.url}/")
    window.sent.clear()
    await page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true})"
    )
    await page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
    await page.clock.run_for(300_000)
    assert [each for each in window.sent if "/static/" not in each] == []
    async with page.expect_request("**/console/"):
        await page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    assert len([each for each in window.sent if "/static/" not in each]) == 1
    await window.context.close()


@pytest.mark.servers
@pytest.mark.asyncio(loop_scope="module")
async def test_lines_of_the_log_appear_unless_one_pauses(browser: Browser, kept: ShownRelay) -> None:
    window = await inside(browser, kept)
    page, say = window.page, kept.running._observer.notice
    lines, state = page.locator("#lines li"), page.locator("#follow-state")
    async with page.expect_request("**/log/stream*"):
        await page.goto(f"{kept.url}/log?level=warning")
    await expect(state).to_have_text("Lines come as they are said.")

    say(Warned("alerts", f"{SCRIPT} one"))
    await expect(lines.first).to_contain_text(f"alerts {SCRIPT} one")
    await expect(lines.first.locator(".level")).to_have_text(LOG["warning"].word)

    await page.get_by_role("button", name="Pause").click()
    await expect(state).to_have_text("Paused.")
    say(Warned("", "two"))
    say(Warned("", "three"))
    await expect(lines.first).to_contain_text("one")

    await page.get_by_role("button", name="Go on").click()
    await expect(lines.first).to_contain_text("three")
    assert [text.split()[-1] for text in await lines.all_inner_texts()][:3] == ["three", "two", "one"]
    assert (window.faults, window.asked) == ([], [])
    await window.context.close()
