"""Changing settings as people do it: with scripts and without, in light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from console.test_in_a_browser import NARROW, PICTURES, inside
from support.editable_relay import EditableRelay, editable
from support.local import short_folder

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def shown() -> AsyncIterator[EditableRelay]:
    with short_folder() as home:
        async with editable(home) as made:
            yield made


@pytest.mark.parametrize(("scripts", "scheme"), [(True, "light"), (False, "dark")])
async def test_a_secret_that_is_wrong_is_put_back(
    browser: Browser, shown: EditableRelay, scripts: bool, scheme: Any
) -> None:
    """From the account's page to a change that does not work, and back, without a word of documentation."""
    window = await inside(browser, shown, java_script_enabled=scripts, color_scheme=scheme)
    page, before = window.page, shown.accounts["news"]

    async def looked_at() -> None:
        if scripts:
            assert await window.axe() == []
        assert not await window.too_wide()
        await page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        assert not await window.too_wide()
        await page.set_viewport_size({"width": 1120, "height": 800})

    await page.goto(f"{shown.url}/accounts/news")
    await page.get_by_role("link", name="Its settings").click()
    await looked_at()
    await page.get_by_label("Connections").fill("many")
    await page.get_by_label("Client secret client-secret").fill("wrong-secret-of-a-test")
    await page.get_by_role("button", name="See what would change").click()
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was changed.")
    await expect(page.get_by_label("Connections")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("Connections")).to_have_value("many")
    await looked_at()
    await page.get_by_label("Connections").fill("4")
    await page.get_by_role("button", name="See what would change").click()
    await expect(page.locator("pre").first).to_contain_text("+ limits.connections = 4")
    await expect(page.locator("pre").first).to_contain_text('+ client-secret = "sealed:…"')
    await looked_at()
    await page.get_by_role("link", name="Change something else").click()
    await expect(page.get_by_label("Connections")).to_have_value("4")
    await page.get_by_label("Connections").fill("3")
    await page.get_by_role("button", name="See what would change").click()
    await page.get_by_role("button", name="Change news").click()
    await window.until("something is wrong")
    assert shown.accounts["news"]["limits"] == {"connections": 3}
    await looked_at()
    await page.get_by_role("button", name="Put the old settings back").click()
    await expect(page.get_by_role("status").first).to_contain_text("are as they were before")
    assert shown.accounts["news"] == before
    assert (window.faults, window.asked) == ([], [])
    await window.context.close()


async def test_a_picture_of_settings(
    browser: Browser, shown: EditableRelay, request: pytest.FixtureRequest
) -> None:
    """It is made anew by `--pictures`; what stands in the documentation is there in any case."""
    if request.config.getoption("--pictures"):
        window = await inside(browser, shown, viewport={"width": 960, "height": 760})
        await window.page.goto(f"{shown.url}/accounts/alerts/settings")
        await window.page.evaluate("document.querySelector('.where').textContent = 'relay.example.org'")
        await window.page.screenshot(path=PICTURES / "settings.png")
        await window.context.close()
    assert (PICTURES / "settings.png").exists()
