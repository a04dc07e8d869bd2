"""The console as people use it: one walk with scripts and one without, in light and dark, wide and narrow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from postbearer.store import Query, Status
from support.chromium import Window
from support.local import short_folder
from support.shown_relay import ShownRelay, fill, started

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
PICTURES = Path(__file__).parents[2] / "docs" / "how-to" / "console"
WIDE, NARROW = {"width": 1120, "height": 800}, {"width": 320, "height": 640}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown() -> AsyncIterator[ShownRelay]:
    with short_folder() as home:
        async with started(ShownRelay(home)) as made:
            await fill(made)
            yield made


async def inside(browser: Browser, shown: ShownRelay, **options: Any) -> Window:
    window = await Window.open(browser, **{"viewport": WIDE, "locale": "en-GB", **options})
    await window.page.goto(shown.running.open_console())
    await window.page.get_by_role("button", name="Open the console").click()
    await window.page.wait_for_url("**/console/")
    return window


async def every_page(shown: ShownRelay) -> dict[str, str]:
    """Pages by name, one of each kind."""
    [refused] = [
        each.message.id
        for each in await shown.running.spool.search(Query(address="nobody@"))
        if each.message.subject.startswith("Disk")
    ]
    [invoice] = [
        each.message.id for each in await shown.running.spool.search(Query(account="billing", address="ada@"))
    ]
    return {
        "overview": "/",
        "queue": "/queue",
        "message": f"/messages/{refused}",
        "read": f"/messages/{invoice}/read",
        "accounts": "/accounts",
        "account": "/accounts/alerts",
        "check": "/accounts/alerts/check",
        "sign-in": "/accounts/alerts/sign-in",
        "connect": "/connect",
        "connect-form": "/connect?provider=microsoft",
        "audit": "/audit",
        "jobs": "/jobs",
        "webhooks": "/webhooks",
        "clients": "/clients",
        "settings": "/settings?all",
        "problem": "/messages/none",
    }


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_walk_through_the_console(browser: Browser, shown: ShownRelay, scripts: bool) -> None:
    """Find a message, hold it, release it, cancel it; pause an account and resume it; leave."""
    name = "with" if scripts else "without"
    await shown.send("billing@example.org", f"{name}@example.org", f"Walk {name} scripts")
    window = await inside(browser, shown, java_script_enabled=scripts)
    page = window.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("Some mail is not leaving")
    await page.get_by_role("link", name="Queue", exact=True).click()
    await page.get_by_label("Search", exact=True).fill(f"{name}@example")
    await page.get_by_role("button", name="Show", exact=True).click()
    assert f"q={name}%40example" in page.url
    await page.get_by_role("link", name=f"Walk {name} scripts").click()
    [entry] = await shown.running.spool.search(Query(address=f"{name}@"))
    for act, told, status in (
        ("Hold", "1 message is held", "held"),
        ("Release", "1 message is released", "ready"),
        ("Cancel", "1 message is cancelled", "cancelled"),
    ):
        await page.locator("form.actions").first.get_by_role("button", name=act).click()
        if act == "Cancel":
            await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("status").first).to_contain_text(told)
        now = await shown.running.spool.show(entry.message.id)
        assert now is not None
        if status != "ready":  # what is ready may have been tried by now
            assert [str(row.status) for row in now.rows] == [status]
    await page.get_by_role("link", name="Accounts", exact=True).first.click()
    await page.get_by_role("link", name="alerts", exact=True).click()
    await page.get_by_role("button", name="Pause", exact=True).first.click()
    await expect(page.get_by_role("status").first).to_contain_text("The account alerts is paused")
    await page.get_by_role("link", name="Overview", exact=True).click()
    await page.get_by_role("button", name="Resume alerts").click()
    await expect(page.get_by_role("status").first).to_contain_text("sends again")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert (window.faults, window.asked) == ([], [])
    await window.context.close()


async def test_a_page_stays_fresh_while_it_is_seen_and_never_under_a_choice(
    browser: Browser, shown: ShownRelay
) -> None:
    window = await inside(browser, shown)
    page = window.page
    await page.clock.install()
    await page.goto(f"{shown.url}/queue?q=fresh")
    await expect(page.get_by_text("Nothing fits.")).to_be_visible()
    await shown.send("news@example.org", "fresh@example.org", "Fresh")
    shown.running._http._state.looks.forget()  # its clock goes on, too
    await page.clock.run_for(6000)
    await expect(page.get_by_role("link", name="Fresh", exact=True)).to_be_visible()
    await page.get_by_role("checkbox").check()
    await expect(page.get_by_text("1 chosen:")).to_be_visible()
    window.sent.clear()
    await page.clock.run_for(20_000)
    assert window.sent == []  # the row that was chosen stays where it is
    await page.get_by_role("checkbox").uncheck()
    await page.get_by_role("button", name="Pause", exact=True).click()
    window.sent.clear()  # between the two it may have looked
    await page.clock.run_for(20_000)
    assert window.sent == []
    await page.get_by_role("button", name="Go on").click()
    await hide(page)
    await page.clock.run_for(20_000)
    assert window.sent == []
    assert window.faults == []
    await window.context.close()


async def hide(page: Page) -> None:
    """As when another tab is in front."""
    await page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")


async def test_the_keyboard_is_enough(browser: Browser, shown: ShownRelay) -> None:
    window = await inside(browser, shown)
    page = window.page
    await page.keyboard.press("/")  # of the overview: to the queue
    await page.wait_for_url("**/queue")
    await page.keyboard.press("/")
    await expect(page.get_by_label("Search", exact=True)).to_be_focused()
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("x")
    await expect(page.get_by_role("checkbox").first).to_be_checked()
    await page.keyboard.press("?")
    await expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    assert await window.axe() == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("heading", name="Keys")).to_be_hidden()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/messages/*")
    await page.keyboard.press("Tab")
    assert window.faults == []
    await window.context.close()


async def test_a_search_is_completed_as_it_is_typed(browser: Browser, shown: ShownRelay) -> None:
    window = await inside(browser, shown)
    page = window.page
    await page.goto(f"{shown.url}/queue")
    field = page.get_by_label("Search", exact=True)
    await field.press_sequentially("sta")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await expect(field).to_have_value("state:")
    await expect(page.get_by_role("option", name="state:held")).to_be_visible()
    assert await window.axe() == []
    await page.keyboard.type("del")
    await page.get_by_role("option", name="state:delivered").click()
    await page.keyboard.type("account:ale")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(field).to_have_value("state:delivered account:alerts ")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/queue?q=state%3Adelivered+account%3Aalerts*")
    await expect(page.get_by_role("link", name="Backup finished")).to_be_visible()
    assert window.faults == []
    await window.context.close()


async def test_times_are_the_readers_and_the_exact_one_is_there(browser: Browser, shown: ShownRelay) -> None:
    window = await inside(browser, shown, timezone_id="Asia/Kolkata")
    await window.page.goto(f"{shown.url}{(await every_page(shown))['message']}")
    time = window.page.locator("time[data-show=moment]").first
    iso = await time.get_attribute("datetime")
    told = await time.text_content()
    assert iso
    assert told
    hour, minute = int(iso[11:13]), int(iso[14:16])
    there = (hour * 60 + minute + 330) % 1440
    assert f"{there // 60:02}:{there % 60:02}" in told
    assert re.search(r"UTC$", await time.get_attribute("title") or "")
    await window.context.close()


HOSTILE = (
    "<script>parent.document.title='x'; fetch('{home}/a')</script>",
    "<img src='{home}/b' onerror=\"alert(1)\"><img src=x onerror=alert(2)>",
    "<link rel=stylesheet href='{home}/c.css'><style>@import '{home}/d.css';</style>",
    "<meta http-equiv=refresh content='0;url={home}/e'>",
    "<iframe src='{home}/f'></iframe><iframe srcdoc='<script>alert(3)</script>'></iframe>",
    "<object data='{home}/g'></object><embed src='{home}/h'>",
    "<form action='{home}/i'><input autofocus onfocus=alert(4)></form>",
    "<svg onload=alert(5)><use href='{home}/j#x'/></svg>",
    "<math><mi xlink:href='javascript:alert(6)'>x</mi></math>",
    "<base href='{home}/'><a href='k' ping='{home}/l'>k</a>",
    "<body background='{home}/m' style=\"background:url('{home}/n')\">",
    "<video src='{home}/o' autoplay poster='{home}/p'></video><audio src='{home}/q'>",
    "<link rel=dns-prefetch href='{home}'><link rel=preload as=image href='{home}/r'>",
    "<link rel=prefetch href='{home}/s'><link rel=preconnect href='{home}'>",
    "<FRAMESET><frame src='{home}/u'></FRAMESET><iFrame\nsrc={home}/v></iframe><fencedframe src='{home}/w'>",
    "</iframe><script>alert(7)</script><template><script>alert(8)</script></template>",
    "<details open ontoggle=alert(9)><summary>x</summary></details><marquee onstart=alert(10)>",
    "<style>@font-face{{font-family:x;src:url({home}/t)}}*{{font-family:x}}</style>text",
)


async def test_the_preview_runs_nothing_and_asks_for_nothing(browser: Browser, shown: ShownRelay) -> None:
    """Each thing that has run, or called home, in somebody's mail reader."""
    calls = 0

    def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    listening = await asyncio.start_server(called, "127.0.0.1", 0)
    home = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        window = await inside(browser, shown)
        for number, hostile in enumerate(HOSTILE):
            html = f"<p>Hello{hostile.format(home=home)}</p>"
            await shown.send("billing@example.org", f"h{number}@example.org", "Hostile", html=html)
            [entry] = await shown.running.spool.search(Query(address=f"h{number}@"))
            await window.page.goto(f"{shown.url}/messages/{entry.message.id}/read")
            frame = window.page.frame_locator("iframe.preview")
            await expect(frame.get_by_text("Hello")).to_be_visible()
            assert (await window.page.title()).startswith("Hostile"), hostile
            assert window.page.url.endswith("/read"), hostile
            await shown.running.spool.change(entry.message.id, Status.CANCELLED, 0.0)
        await window.page.wait_for_timeout(200)  # for what comes late
        assert calls == 0
        assert not [each for each in window.faults if re.fullmatch(r"\d+", each)]  # what alert() said
        await window.context.close()


async def test_pictures_for_the_documentation(
    browser: Browser, shown: ShownRelay, request: pytest.FixtureRequest
) -> None:
    """They are made anew by `--pictures`; what stands in the documentation is there in any case."""
    pages = await every_page(shown)
    names = [f"{name}.png" for name in ("overview", "queue", "message", "account")]
    if request.config.getoption("--pictures"):
        PICTURES.mkdir(exist_ok=True)
        window = await inside(browser, shown, viewport={"width": 960, "height": 700})
        for name in names:
            await window.page.goto(f"{shown.url}{pages[name.removesuffix('.png')]}")
            await window.page.evaluate("document.querySelector('.where').textContent = 'relay.example.org'")
            await window.page.screenshot(path=PICTURES / name)
        await window.context.close()
    assert {path.name for path in PICTURES.glob("*.png")} >= set(names)
