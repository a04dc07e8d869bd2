"""Log and alerts: what the relay said, followed live; what is open, and what was told to whom."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from console.conftest import Person, text
from postbearer.console import log as console_log
from postbearer.control import LogQuery
from postbearer.daemon.recent_log import KEPT, RecentLog
from postbearer.events import AccountPaused, Attempted, Several, Warned
from postbearer.store import Pause
from postbearer.testing import ManualClock
from support.relay import Ears
from support.shown_relay import SCRIPT, fill


@pytest.fixture
async def inside(person: Person) -> AsyncIterator[Person]:
    await person.open()
    yield person
    assert person.shown.ears.defects == []


def test_the_last_lines_are_remembered_and_no_more() -> None:
    clock, recent = ManualClock(), RecentLog()
    events = Several(Ears(), clock=clock)
    events.add(recent)
    for number in range(KEPT + 10):
        events.notice(Warned("a" if number % 2 else "b", f"Line {number}"))
    assert not recent.hears(Attempted)
    page = recent.page(LogQuery(limit=3))
    assert [line.text for line in page.lines] == [f"Line {KEPT + n}" for n in (7, 8, 9)]
    assert page.last == page.lines[-1].number
    assert recent.page(LogQuery(after=page.last)).lines == ()
    assert len(recent.page(LogQuery(limit=1000)).lines) == KEPT
    assert [line.account for line in recent.page(LogQuery(account="a", limit=2)).lines] == ["a", "a"]
    assert [line.text for line in recent.page(LogQuery(word="LINE 999")).lines] == ["Line 999"]
    assert recent.page(LogQuery(level="error")).lines == ()
    assert len(recent.page(LogQuery(after=10**12, limit=2)).lines) == 2  # of an earlier run


async def test_the_log_is_filtered_and_shows_nothing_as_a_page(inside: Person) -> None:
    shown = inside.shown
    await fill(shown)
    told = text(await inside.page("/log"))
    assert "accepted from local for 1 recipient" in told
    assert "attempt 1" in told
    of_billing = await inside.page("/log?account=billing")
    assert "<strong>billing</strong>" in of_billing
    assert "<strong>alerts</strong>" not in of_billing
    assert "Nothing fits yet." in text(await inside.page("/log?word=no-such-word"))
    shown.running._observer.notice(Warned("", f"{SCRIPT} said a server"))
    page = await inside.page("/log?level=warning&word=said+a+server")
    assert SCRIPT not in page
    assert SCRIPT in text(page)
    assert "accepted from" not in page
    assert (await inside.get("/log?level=odd&account=%3Cscript%3E")).status_code == 200


async def test_lines_come_as_they_are_said_and_on_from_where_one_was(inside: Person) -> None:
    shown = inside.shown
    shown.running._observer.notice(Warned("", "first"))

    async def read(headers: dict[str, str], until: str) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        async with inside.http.stream("GET", f"{shown.url}/log/stream", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            number = 0
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    number = int(line[4:])
                elif line.startswith("data: "):
                    found.append((number, json.loads(line[6:])["text"]))
                    if found[-1][1] == until:
                        return found
        return found

    following = asyncio.create_task(read({}, "second"))
    await asyncio.sleep(0)
    shown.running._observer.notice(Warned("", "second"))
    lines = await asyncio.wait_for(following, 20)
    assert [text for _, text in lines][-2:] == ["first", "second"]
    shown.running._observer.notice(Warned("", "third"))
    again = await asyncio.wait_for(read({"last-event-id": str(lines[-1][0])}, "third"), 20)
    assert [text for _, text in again] == ["third"]


async def test_who_logs_out_follows_no_longer(inside: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_log, "CALM", 0.01)
    shown = inside.shown
    async with inside.http.stream("GET", f"{shown.url}/log/stream") as answer:
        await inside.send("/logout", {})
        await asyncio.wait_for(answer.aread(), 20)
    assert (await inside.get("/log/stream")).status_code == 303


async def test_alerts_tell_what_is_open_and_who_was_told(inside: Person) -> None:
    shown = inside.shown
    assert "Nobody is told when a person must act." in text(await inside.page("/alerts"))
    out = shown.home / "told"
    program = shown.home / "tell"
    program.write_text(f"#!/bin/sh\ncat >> {out}\n")
    program.chmod(0o700)
    shown.more = f'\n[notify]\ncommand = ["{program}"]\n'
    await shown.reload()
    await shown.running.spool.pause(Pause(account="alerts", since=time.time(), reason=SCRIPT, remedy="Look."))
    shown.running._observer.notice(AccountPaused("alerts", reason=SCRIPT, remedy="Look.", person=True))
    page = ""
    for _ in range(500):
        page = await inside.page("/alerts")
        if "Nobody was told anything yet." not in page:
            break
        await asyncio.sleep(0.02)
    told = text(page)
    assert "paused alerts" in told
    assert "The account alerts is paused" in told
    assert SCRIPT in told
    assert SCRIPT not in page
    assert json.loads(out.read_text())["data"]["cause"] == SCRIPT
