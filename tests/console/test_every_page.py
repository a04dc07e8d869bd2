"""What holds of every page: found in the table of pages, so that a new one is covered by itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from unittest.mock import patch

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from console.conftest import CSRF, Person
from console.test_in_a_browser import NARROW, WIDE, every_page, inside
from postbearer.console import log as console_log
from postbearer.console.site import PAGES
from postbearer.console.visit import ConsolePage
from postbearer.control import Right
from support.chromium import Window
from support.local import short_folder
from support.shown_relay import PASSWORD, ShownRelay, fill, started

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NOTHING = "sandbox; default-src 'none'"  # of what a stranger wrote: the text of a message, a file
ZOOMED = {"width": 560, "height": 400}  # what is left of WIDE at 200 %
SEEN = [each.path for each in PAGES if each.method == "GET" and each.path]
FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body || at.reached) return null;
  at.reached = true;
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  return {
    tag: `${at.tagName} ${at.outerHTML.slice(0, 90)}`,
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    size: Math.min(box.width, box.height),
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    first: at.matches('.skip'),
  };
}"""


def named(page: ConsolePage) -> str:
    return f"{page.method} {page.path or '(empty)'}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown() -> AsyncIterator[ShownRelay]:
    with short_folder() as home, patch.object(console_log, "LONGEST_STREAM", 0.0):
        made = ShownRelay(home)
        made.more = "".join(made.login(name, name) for name in ("see", "admin"))
        async with started(made):
            await fill(made)
            yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def examples(shown: ShownRelay) -> Mapping[str, str]:
    """One thing of each kind, by how paths name it."""
    pages = await every_page(shown)
    async with httpx2.AsyncClient(timeout=30) as http:
        person = Person(shown, http)
        await person.log_in("admin")
        job = await person.send("/queue/all", {"act": "hold", "account": "news"}, of="/queue")
        count = re.search(r'name="count" value="(\d+)"', job.text)
        assert count, job.text
        form = {"act": "hold", "account": "news", "count": count[1]}
        begun = await person.send("/queue/all", form, of="/queue")
    return {
        "/messages/{id}": pages["message"],
        "/accounts/{name}": "/accounts/alerts",
        "/jobs/{id}": begun.headers["location"].removeprefix("/console"),
    }


def filled(path: str, examples: Mapping[str, str]) -> str:
    """`path` with something that is there in it."""
    for pattern, example in examples.items():
        if path.startswith(pattern):
            path = example + path.removeprefix(pattern)
    assert "{" not in path, f"Name an example for {path} in the fixture `examples`."
    return path


# Who may ask --------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
async def test_who_may_not_ask_is_told_nothing(shown: ShownRelay, page: ConsolePage) -> None:
    """Without a login, with too small a role, without the form's token, and by another site."""
    url = f"{shown.url}{re.sub('{[^}]*}', 'x', page.path)}"
    async with httpx2.AsyncClient(timeout=30) as http:
        person = Person(shown, http)

        async def ask(**more: Any) -> httpx2.Response:
            more = more if page.method == "GET" else {"data": {"act": "x"}, **more}
            answer = await http.request(page.method, url, **more)
            policy = answer.headers["content-security-policy"]
            assert policy == POLICY or policy.startswith(NOTHING)
            return answer

        elsewhere = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
        assert (await ask(headers=elsewhere)).status_code == 403
        assert (await ask(headers={"host": "rebound.example.org"})).status_code == 421
        if page.needs is None:
            return
        answer = await ask()
        assert (answer.status_code, answer.text) == (303, "")
        assert answer.headers["location"].startswith("/console/login")
        await person.log_in("see")
        if page.method == "POST":
            assert (await ask()).status_code == 403  # another page of the web knows no token
            assert (await ask(headers={"origin": "https://example.org"})).status_code == 403
            token = CSRF.search(await person.page("/"))
            assert token
            answer = await ask(data={"act": "x", "csrf": token[1]})
        else:
            answer = await ask()
        assert (answer.status_code == 403) is (page.needs is not Right.LOOK)


async def test_below_a_base_path_every_page_leads_below_it(
    shown: ShownRelay, examples: Mapping[str, str]
) -> None:
    """Links, forms, files and redirects; the proxy takes the path off, or leaves it."""
    before, shown.more = shown.more, f'base-path = "/mail"\n{shown.more}'
    await shown.reload()
    try:
        async with httpx2.AsyncClient(timeout=30, base_url=shown.running.addresses[-1]) as http:
            given = {"name": "admin", "password": PASSWORD}
            assert (await http.post("/mail/console/login", data=given)).status_code == 303
            [cookie] = http.cookies.jar
            shown_cookie = {"cookie": f"{cookie.name}={cookie.value}"}  # as the proxy passes it on
            for path in SEEN:
                for top in ("/mail/console", "/console"):
                    answer = await http.get(f"{top}{filled(path, examples)}", headers=shown_cookie)
                    assert answer.status_code < 500, path
                    assert not re.search(r'\b(?:href|src|action)="/(?!mail/console)', answer.text), path
                    assert answer.headers.get("location", "/mail/console").startswith("/mail/console")
    finally:
        shown.more = before
        await shown.reload()


# How it looks -------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(browser: Browser, shown: ShownRelay) -> AsyncIterator[Window]:
    opened = await inside(browser, shown)
    yield opened
    await opened.context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scriptless(browser: Browser, window: Window) -> AsyncIterator[BrowserContext]:
    """The same person, with scripts off."""
    kept: Any = await window.context.storage_state()
    context = await browser.new_context(java_script_enabled=False, storage_state=kept, viewport=WIDE)  # type: ignore[arg-type]
    yield context
    await context.close()


@pytest.mark.servers
@pytest.mark.parametrize("path", [*SEEN, "/nothing"])
async def test_everybody_can_use_every_page(
    window: Window, scriptless: BrowserContext, shown: ShownRelay, examples: Mapping[str, str], path: str
) -> None:
    """By axe-core in light and dark, at 320 px, at 200 %, by keyboard, and with scripts off."""
    url = f"{shown.url}{filled(path, examples)}"
    page = window.page
    asked = await window.context.request.get(url)
    kind, policy = asked.headers["content-type"], asked.headers["content-security-policy"]
    if kind.startswith("text/event-stream"):
        assert policy == POLICY  # what is said in it is read by our script
        return
    if "text/html" not in kind or policy != POLICY:
        assert policy.startswith(NOTHING)  # it stands in a frame, or is a file
        return
    window.faults.clear()
    await page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    for scheme in ("dark", "light"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.goto(url)
        assert await window.axe() == [], scheme
    assert await page.locator("h1").count() == 1
    assert await page.title()
    await every_time_is_exact(page)
    await the_keyboard_is_enough(page)
    for size in (NARROW, ZOOMED):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        await page.goto(url)
        assert not await window.too_wide(), size
    assert await window.axe() == []
    assert (window.faults, window.asked) == ([], [])
    heading = await page.locator("h1").inner_text()
    plain = await scriptless.new_page()
    await plain.goto(url)
    assert await plain.locator("h1").inner_text() == heading
    assert await plain.locator("main").inner_text()
    for time in await plain.locator("time[data-show=moment]").all():
        assert (await time.inner_text()).endswith("UTC")
    await plain.close()


async def every_time_is_exact(page: Page) -> None:
    """On hover, to the second, and in the world's time."""
    for time in await page.locator("time").all():
        title = await time.get_attribute("title") or ""
        assert re.search(r"\d\d:\d\d:\d\d UTC$", title), title


async def the_keyboard_is_enough(page: Page) -> None:
    """What is reached by Tab is seen, and shows that it is; the first leads past what is on every page."""
    await page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached: list[str] = []
    for _ in range(200):
        await page.keyboard.press("Tab")
        found = await page.evaluate(FOCUS)
        if found is None:
            break
        assert found["ring"], found
        assert found["inside"], found
        assert found["size"] > 8, found
        assert found["first"] is (not reached), found
        reached.append(found["tag"])
    links = await page.locator("main a:visible, main button:visible:enabled, main input:visible").count()
    assert len(reached) >= min(links, 150)
    await page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
