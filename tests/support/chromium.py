"""Debian's chromium, driven by playwright: what a page breaks of its own rules is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

PROGRAM = "/usr/bin/chromium"
SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb"),
)
AXE = Path(__file__).parents[1] / "servers" / "node" / "node_modules" / "axe-core" / "axe.min.js"
_SERIOUS = ("serious", "critical")
_LOOK = "() => axe.run(document, {resultTypes: ['violations']})"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One browser; each test opens windows of its own in it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=list(SWITCHES))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Window:
    """A window with its own cookies. `faults`: errors, and what its policy forbade; `asked`: other hosts."""

    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    scripts: bool = True

    @classmethod
    async def open(cls, browser: Browser, **options: Any) -> Window:
        context = await browser.new_context(**options)
        page = await context.new_page()
        made = cls(context, page, scripts=options.get("java_script_enabled", True))
        page.on("pageerror", lambda error: made.faults.append(str(error)))
        page.on("console", lambda told: made._told(told.type, told.text))
        context.on("request", made._request)
        page.on("dialog", lambda dialog: made.faults.append(dialog.message))
        return made

    def _told(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.faults.append(text)

    def _request(self, request: Request) -> None:
        self.sent.append(request.url)
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.asked.append(request.url)

    async def axe(self) -> list[str]:
        """What axe-core finds that is serious or critical."""
        await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate(_LOOK)
        return [
            f"{each['id']}: {node['html']:.200} {node.get('failureSummary', '')}"
            for each in found["violations"]
            if each["impact"] in _SERIOUS
            for node in each["nodes"]
        ]

    async def until(self, words: str) -> None:
        """Until the page says so: scripts bring it; without them one asks for it."""
        for _ in range(120):
            if await self.page.get_by_text(words).count():
                return
            if not self.scripts:
                await self.page.get_by_role("link", name="Refresh").click()
            await self.page.wait_for_timeout(250)
        raise AssertionError(await self.page.inner_text("main"))

    async def too_wide(self) -> bool:
        """Whether one has to scroll to the side."""
        wide: bool = await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide
