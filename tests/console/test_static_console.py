"""The walk through the console that stands on the documentation's site."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import expect

from support.chromium import Window, chromium
from support.static_console import write

pytestmark = pytest.mark.servers


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *given: object) -> None:
        """Nothing."""


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    await write(tmp_path)
    return tmp_path


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def all_of(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


async def test_it_is_walked_through_without_a_relay(folder: Path, site: str) -> None:
    files = all_of(folder)
    assert sum(map(len, files.values())) < 1_000_000
    pages = {name: octets.decode() for name, octets in files.items() if name.endswith(".html")}
    assert {"index.html", "queue.html", "accounts-news.html", "messages-1.html", "audit.html"} <= set(pages)
    for name, page in pages.items():
        assert "<script" not in page, name
        assert 'name="csrf"' not in page, name
        assert not re.search(r'\b(?:action|href|src)="/', page), name
        for link in re.findall(r'\b(?:href|src|action)="([^"#]+)', page):
            assert link in files or link.startswith("data:"), (name, link)
    async with chromium() as browser:
        window = await Window.open(browser, viewport={"width": 1120, "height": 800})
        for name in pages:
            await window.page.goto(f"{site}/{name}")
        await window.page.goto(site)
        assert await window.axe() == []
        await window.page.get_by_role("link", name="Queue", exact=True).click()
        await window.page.get_by_role("link", name="Invoice 2026-1107").click()
        await window.page.get_by_role("link", name="Read it").click()
        await expect(window.page.frame_locator("iframe.preview").get_by_text("Invoice")).to_be_visible()
        await window.page.go_back()
        await window.page.get_by_role("button", name="Hold").first.click()
        await expect(window.page.get_by_text("This is a walk on sample data")).to_be_visible()
        assert (window.faults, window.asked) == ([], [])
        await window.context.close()
