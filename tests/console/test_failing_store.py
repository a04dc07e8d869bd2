"""In front of a queue that really fails no button is without an answer, and afterwards all is well."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from console.conftest import text
from console.test_as_used import inside
from console.test_pages import states
from postbearer.store import Query
from relay.disk import small_disk
from servers.postgresql import Postgresql
from support.local import short_folder
from support.shown_relay import ShownRelay, fill, started

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
KEY = "k" * 43 + "="
SOON = 60_000.0  # milliseconds: the machine may be busy
GONE = "The database cannot be reached"
NEXT = "Look whether it runs, and whether this machine reaches it. A relay that runs goes on by itself."
MIB = 1 << 20


@pytest_asyncio.fixture(loop_scope="module")
async def shown(fragile: Postgresql) -> AsyncIterator[ShownRelay]:
    with short_folder() as home, fragile.schema() as url:
        (home / "key").touch(mode=0o600)
        (home / "key").write_text(KEY)
        vault = f'[vault]\nkey = "file:{home / "key"}"\n'
        async with started(ShownRelay(home, queue=url, more=vault)) as made:
            await fill(made)
            yield made


async def waiting(shown: ShownRelay) -> str:
    found = await shown.running.spool.search(Query(account="news", recipient="ada@"))
    return found[0].message.id


async def press(page: Page, button: str) -> str:
    """What the page says that comes of it."""
    async with page.expect_navigation(timeout=SOON):
        await page.get_by_role("button", name=button, exact=True).first.click()
    return text(await page.content())


async def comes_back(page: Page, url: str) -> None:
    """Until the page is there again."""
    async with asyncio.timeout(SOON / 1000):
        while (answer := await page.goto(url)) is None or answer.status != 200:
            pass


async def test_a_database_that_is_stopped_and_started(
    browser: Browser, shown: ShownRelay, fragile: Postgresql
) -> None:
    """Under open pages: what each button says, what the first page says, and that nothing was half done."""
    message = await waiting(shown)
    window = await inside(browser, shown)
    page = window.page
    places = {
        f"/messages/{message}": ("Hold", "Retry now"),
        f"/messages/{message}/resend": ("Resend",),
        "/accounts/alerts": ("Pause",),
        "/audit": ("Verify it",),
        "/queue": (),
    }
    buttons = [(place, button) for place, names in places.items() for button in names]
    opened = [await window.context.new_page() for _ in buttons]
    for each, (place, _) in zip(opened, buttons, strict=True):
        await each.goto(f"{shown.url}{place}")
    await asyncio.to_thread(fragile.stop)
    try:
        for each, (place, button) in zip(opened, buttons, strict=True):
            told = await press(each, button)
            assert GONE in told, (place, told)
            assert NEXT in told, (place, told)
        for place in ("/", *places):
            await page.goto(f"{shown.url}{place}")
            await expect(page.locator("main")).to_contain_text(GONE, timeout=SOON)
            await expect(page.locator("main")).to_contain_text(NEXT)
    finally:
        await asyncio.to_thread(fragile.start)
    await comes_back(page, f"{shown.url}/messages/{message}")
    assert await states(shown, message) == ["ready", "ready"]
    assert "message is held" in await press(page, "Hold")
    assert await states(shown, message) == ["held", "held"]
    await window.context.close()


async def test_a_database_that_only_reads_for_a_while(
    browser: Browser, shown: ShownRelay, fragile: Postgresql
) -> None:
    """As one that was made a standby: pages are there, and what would write says why it does not."""
    message = await waiting(shown)
    window = await inside(browser, shown)
    page = window.page
    fragile.sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        await page.goto(f"{shown.url}/messages/{message}")
        told = await press(page, "Hold")
        await page.goto(f"{shown.url}/accounts/alerts")  # which counts what it may still send
        for each in (told, text(await page.content())):
            assert "The database only reads" in each
            assert "Name its primary." in each
    finally:
        fragile.sql(
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
    await page.goto(f"{shown.url}/messages/{message}")
    assert await states(shown, message) == ["ready", "ready"]
    async with asyncio.timeout(SOON / 1000):
        while "message is held" not in (told := await press(page, "Hold")):
            await page.goto(f"{shown.url}/messages/{message}")
    assert await states(shown, message) == ["held", "held"]
    await window.context.close()


async def test_a_disk_that_is_full(browser: Browser) -> None:
    """The first page says so; what needs no room is done; what does is refused, until there is some again."""
    with short_folder() as home, small_disk(home, 128 * MIB) as disk:
        made = ShownRelay(home, queue=f"sqlite:{disk}/spool.db")
        await made.start()
        try:
            await fill(made)
            message = await waiting(made)
            window = await inside(browser, made)
            page = window.page
            filler = full(disk)
            await page.goto(f"{made.url}/")
            await expect(page.locator("main")).to_contain_text("No mail is taken", timeout=SOON)
            await expect(page.locator("main")).to_contain_text("Next: free some room on it")
            for button in ("Hold", "Release", "Retry now"):
                await page.goto(f"{made.url}/messages/{message}")
                told = await press(page, button)
                assert re.search("1 message is|No room|There is no room|Free some disk space", told), told
            await page.goto(f"{made.url}/messages/{message}/resend")
            told = await press(page, "Resend")
            assert "There is no room for this message now" in told, told
            filler.unlink()
            await page.goto(f"{made.url}/")
            await expect(page.locator("main")).not_to_contain_text("No mail is taken", timeout=SOON)
            await page.goto(f"{made.url}/messages/{message}/resend")
            assert "This is the new message" in await press(page, "Resend")
            await window.context.close()
        finally:
            await made.stop()
        assert made.ears.defects == []


def full(disk: Path) -> Path:
    """The file that takes all there is."""
    found = os.statvfs(disk)
    file = disk / "filler"
    with file.open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, found.f_bavail * found.f_frsize)
    return file
