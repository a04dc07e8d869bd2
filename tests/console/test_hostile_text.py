"""What others wrote is text on every page; found in the table of pages, so a new one is covered by itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from unittest.mock import patch

import httpx2
import pytest
import pytest_asyncio

from console.conftest import Person
from console.test_every_page import NOTHING, POLICY, SEEN, filled
from postbearer.console import log as console_log
from postbearer.store import Job, JobAction, NewDelivery, Pause, Query
from postbearer.store.operating import AuditRecord
from support.local import short_folder
from support.shown_relay import EVIL, SCRIPT, ShownRelay, started
from support.spooling import message

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADDRESS = '"<script>top()</script>"@example.org'
BEGINS = ("<script>document", "<script>top", "<img src=x", "<svg/onload")  # of what must not be markup
SHOWS = ("/", "/queue", "/messages/hostile", "/messages/hostile/read", "/audit", "/jobs/hostile", "/accounts")
CONTENT = f"""From: "{SCRIPT}" <app@example.org>
Subject: {SCRIPT} \u202egpj.exe
X-Evil: <img src=x onerror="top()">
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html

<svg/onload=top()>{SCRIPT}
--b
Content-Type: text/plain
Content-Disposition: attachment; filename="../<svg/onload=top()>"

x
--b--
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person() -> AsyncIterator[Person]:
    """Somebody who may see all, in front of a queue into which what is hostile was put past every check."""
    with short_folder() as home, patch.object(console_log, "LONGEST_STREAM", 0.0):
        made = ShownRelay(home)
        made.more = made.login("admin", "admin")
        async with started(made), httpx2.AsyncClient(timeout=30) as http:
            await put(made)
            found = Person(made, http)
            await found.log_in("admin")
            yield found


async def put(shown: ShownRelay) -> None:
    """In subject, address, file name, header, tag, client, reply, log, reason, audit and job."""
    spool, now = shown.running.spool, time.time()
    await spool.pause(Pause(account="news", since=now, reason=SCRIPT, remedy=SCRIPT))
    content = spool.stage("hostile")
    await content.write(CONTENT.replace("\n", "\r\n").encode())
    made = replace(
        message("hostile", content, (ADDRESS, "ops@example.org"), now),
        client=SCRIPT,
        author=ADDRESS,
        subject=SCRIPT,
        message_id=SCRIPT,
        tags=((SCRIPT, SCRIPT),),
        expires=now + 86_400,
    )
    new = NewDelivery(account="news", client=SCRIPT, due=now, recipients=made.envelope.recipients)
    await spool.accept(made, content, [new])
    told = AuditRecord(
        at=now,
        by=SCRIPT,
        known_by=SCRIPT,
        action=SCRIPT,
        account=SCRIPT,
        detail=SCRIPT,
        message="hostile",
        recipient=SCRIPT,
        result=SCRIPT,
    )
    job = Job(
        id="hostile",
        action=JobAction.HOLD,
        matching=Query(subject=SCRIPT),
        account=SCRIPT,
        by=SCRIPT,
        known_by=SCRIPT,
        created=now,
    )
    await spool.jobs.begin(job, told)
    await shown.raw("alerts@example.org", ["mallory@example.org"], b"Subject: x\r\n\r\nx\r\n")  # gets EVIL
    await shown.settled(1)


EXAMPLES = {
    "/messages/{id}": "/messages/hostile",
    "/accounts/{name}": "/accounts/news",
    "/jobs/{id}": "/jobs/hostile",
}


@pytest.mark.parametrize("path", SEEN)
async def test_what_others_wrote_is_text(person: Person, path: str) -> None:
    answer = await person.get(filled(path, EXAMPLES))
    assert answer.status_code < 500, answer.text
    policy, kind = answer.headers["content-security-policy"], answer.headers.get("content-type", "")
    if policy != POLICY:
        assert policy.startswith(NOTHING)  # it stands in a frame that runs nothing, or is a file
        return
    if "text/html" in kind:
        found = [each for each in (*BEGINS, SCRIPT, EVIL) if each in answer.text]
        assert found == []


@pytest.mark.parametrize("path", SHOWS)
async def test_and_it_is_there_to_be_read(person: Person, path: str) -> None:
    """Else the test above would say nothing."""
    assert "&lt;script&gt;" in await person.page(path)


async def test_what_a_server_said_is_there_too(person: Person) -> None:
    [refused] = await person.shown.running.spool.search(Query(recipient="mallory@"))
    page = await person.page(f"/messages/{refused.message.id}")
    assert "&lt;img src=x" in page
    assert "<img" not in page
