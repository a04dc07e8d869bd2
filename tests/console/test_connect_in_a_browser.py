"""Connecting a mailbox as people do it: once with scripts and once without, in light and dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from console.test_in_a_browser import PICTURES, inside
from support.editable_relay import EditableRelay, editable
from support.local import short_folder

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
APP = "00000000-0000-0000-0000-000000000000"
NAMES = ("connect", "check")


@pytest_asyncio.fixture(loop_scope="module")
async def shown() -> AsyncIterator[EditableRelay]:
    with short_folder() as home:
        async with editable(home) as made:
            yield made


@pytest.mark.parametrize(("scripts", "scheme"), [(True, "light"), (False, "dark")])
async def test_a_second_mailbox_is_connected_by_a_code(
    browser: Browser, shown: EditableRelay, scripts: bool, scheme: Any
) -> None:
    """From the first page to a message in the inbox, without a word of documentation."""
    window = await inside(browser, shown, java_script_enabled=scripts, color_scheme=scheme)
    page = window.page

    async def looked_at() -> None:
        if scripts:
            assert await window.axe() == []
        assert not await window.too_wide()

    await page.get_by_role("link", name="Accounts", exact=True).click()
    await page.get_by_role("link", name="Connect a mailbox").click()
    await looked_at()
    await page.get_by_role("link", name="As alerts").click()
    await page.get_by_label("How it proves itself").select_option("device-code")
    await page.get_by_role("button", name="Choose").click()
    await page.get_by_role("textbox", name="Mailbox").fill("not an address")
    await page.get_by_role("button", name="Connect the mailbox").click()
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was changed.")
    await expect(page.get_by_role("textbox", name="Mailbox")).to_have_value("not an address")
    await looked_at()
    await page.get_by_role("textbox", name="Mailbox").fill("other@example.org")
    await page.get_by_role("button", name="Connect the mailbox").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in for other")
    await page.get_by_role("button", name="By a code").click()
    code = await page.locator("#code").inner_text()
    await looked_at()
    shown.sandbox.authorization.approve(code.strip(), "other@example.org")
    await window.until("Mail may leave from it")
    await page.get_by_role("button", name="Check it").click()
    await window.until("all is well")
    await page.get_by_label("Send a test message").fill("you@example.org")
    await page.get_by_role("button", name="Check it again").click()
    await window.until("A message left for you@example.org")
    await looked_at()
    assert len(shown.sandbox.inbox.messages) == 1
    await page.get_by_role("link", name="other", exact=True).click()
    await expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    await looked_at()
    assert "other" in shown.accounts
    assert (window.faults, window.asked) == ([], [])
    await window.context.close()


async def test_commands_are_filled_in_while_ids_are_typed(browser: Browser, shown: EditableRelay) -> None:
    window = await inside(browser, shown)
    page = window.page
    await page.goto(f"{shown.url}/connect?provider=microsoft")
    await page.get_by_label("Application (client) id").fill(APP)
    await page.get_by_role("textbox", name="Mailbox").fill("desk@example.org")
    steps = page.locator("ol.checklist")
    await expect(steps).to_contain_text(f"New-ServicePrincipal -AppId {APP}")
    await expect(steps).to_contain_text("Add-MailboxPermission -Identity desk@example.org")
    await page.get_by_role("textbox", name="Mailbox").fill("")
    await expect(steps).to_contain_text("Add-MailboxPermission -Identity <mailbox>")
    assert window.faults == []
    await window.context.close()


async def test_pictures_of_connecting(
    browser: Browser, shown: EditableRelay, request: pytest.FixtureRequest
) -> None:
    """They are made anew by `--pictures`; what stands in the documentation is there in any case."""
    names = [f"{name}.png" for name in NAMES]
    if request.config.getoption("--pictures"):
        window = await inside(browser, shown, viewport={"width": 960, "height": 700})
        page = window.page
        await page.goto(f"{shown.url}/connect?provider=microsoft")
        await page.get_by_label("Application (client) id").fill(APP)
        await page.get_by_role("textbox", name="Mailbox").fill("desk@example.org")
        await page.evaluate("document.querySelector('.where').textContent = 'relay.example.org'")
        await page.screenshot(path=PICTURES / names[0])
        await page.goto(f"{shown.url}/accounts/alerts/check")
        await page.get_by_role("button", name="Check it").click()
        await page.get_by_text("all is well").wait_for()
        await page.evaluate("document.querySelector('.where').textContent = 'relay.example.org'")
        await page.evaluate(_PORTS)
        await page.screenshot(path=PICTURES / names[1])
        await window.context.close()
    assert all((PICTURES / name).exists() for name in names)


_PORTS = """() => { for (const each of document.querySelectorAll("#live .hint, #live p"))
  if (!each.children.length) each.textContent = each.textContent.replace(/:\\d{4,5}/g, ":587")
    .replace(/file:\\S+/, "file:/run/secrets/alerts"); }"""
