"""A relay with a console, who asks it, and one browser for all tests that need one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import apsw
import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from support.chromium import chromium
from support.http_api import TRUSTS_NOBODY
from support.local import short_folder
from support.shown_relay import PASSWORD, ShownRelay, fill

CSRF = re.compile(r'name="csrf" value="([^"]+)"')
CODE = re.compile(r"code=([\w-]+)")


def text(page: str) -> str:
    """What a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


@dataclass
class Person:
    """Somebody at a browser without scripts: cookies, forms, and no redirect that is not looked at."""

    shown: ShownRelay
    http: httpx2.AsyncClient

    async def get(self, path: str, **more: Any) -> httpx2.Response:
        return await self.http.get(f"{self.shown.url}{path}", **more)

    async def page(self, path: str) -> str:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def until(self, path: str, words: str) -> str:
        """The page at `path`, once it says `words`."""
        for _ in range(600):
            page = await self.page(path)
            if words in text(page):
                return page
            await asyncio.sleep(0.05)
        raise AssertionError(f"{words!r} is not in: {text(page)}")

    async def post(self, path: str, data: dict[str, Any], **more: Any) -> httpx2.Response:
        """Send a form as it is, without what its page puts into it."""
        return await self.http.post(f"{self.shown.url}{path}", data=data, **more)

    async def send(self, path: str, data: dict[str, Any], *, of: str = "/") -> httpx2.Response:
        """Send a form of the page `of`."""
        found = CSRF.search(await self.page(of))
        assert found
        return await self.post(path, {"csrf": found[1], **data})

    async def told(self, answer: httpx2.Response) -> str:
        """The page that an answer leads to."""
        assert answer.status_code == 303, answer.text
        return (await self.http.get(f"{self.shown.running.addresses[-1]}{answer.headers['location']}")).text

    async def open(self) -> httpx2.Response:
        """Come in by a one-time code."""
        return await self.post("/login", {"one_time_code": code(self.shown)})

    async def log_in(self, name: str, **more: str) -> httpx2.Response:
        return await self.post("/login", {"name": name, "password": PASSWORD, **more})


def code(shown: ShownRelay) -> str:
    found = CODE.search(shown.running.open_console())
    assert found
    return found[1]


@contextmanager
def statements_read(note: Callable[[str, Any], object]) -> Iterator[None]:
    """Tell `note` each statement of a connection that only reads, and its values."""

    def traced(place: object, statement: str, values: Any) -> bool:
        note(statement, values)
        return True

    def hook(connection: apsw.Connection) -> None:
        if connection.readonly("main"):
            connection.exec_trace = traced

    apsw.connection_hooks.append(hook)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(hook)


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
async def shown(home: Path) -> AsyncIterator[ShownRelay]:
    made = ShownRelay(home)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def person(shown: ShownRelay) -> AsyncIterator[Person]:
    async with httpx2.AsyncClient(timeout=30, verify=TRUSTS_NOBODY) as http:
        yield Person(shown, http)


@pytest.fixture
async def inside(person: Person) -> AsyncIterator[Person]:
    """Somebody who may do everything, in front of mail of every kind."""
    await fill(person.shown)
    await person.open()
    yield person
    assert person.shown.ears.defects == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened
