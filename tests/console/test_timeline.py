"""The way of a message: branches for what leaves apart, what people did, what came later; very many."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import apsw
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from console.conftest import Person, text
from console.test_in_a_browser import NARROW, inside
from console.test_pages import ids
from postbearer.console.timeline import timeline
from postbearer.console.wording import number, octets
from postbearer.control import AttemptRow, AuditRow, MessageDetail, MessageNews, RecipientRow
from postbearer.store import Status
from support.local import short_folder
from support.shown_relay import EVIL, ShownRelay

MANY = 1_000_000
BUILD = """
INSERT INTO message
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :count)
SELECT 1, 'million', :now, 'app', '{"reverse_path":"app@example.org","recipients":[' || group_concat(
    printf('{"address":"r%d@example.org","notify":[],"orcpt":""}', n)) || ']}',
  '', 600, '', 0, 0, :now + 432000, '<million@example.org>', 'app@example.org', 'To a million', '' FROM up;
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :count / 500)
INSERT INTO delivery (id, message, account, priority, client, due, since)
SELECT n, 1, 'news', 1, 'app', :now, :now FROM up;
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :count)
INSERT INTO recipient (delivery, state, address, notify, orcpt)
SELECT (n - 1) / 500 + 1, iif(n % 250000 = 0, 'h', 'r'), printf('r%d@example.org', n), '', '' FROM up;
INSERT INTO fate SELECT 1, state, count(*) FROM recipient GROUP BY state;
"""


def row(address: str, state: Status = Status.READY, delivery: str = "1", **more: Any) -> RecipientRow:
    known: dict[str, Any] = {"account": "alerts", "due": None, "attempts": 0, "reply": "", "cause": ""}
    known |= {"remedy": "", "unknown": False, "meaning": "", "priority": "normal", "id": ""}
    return RecipientRow(address=address, state=state, delivery=delivery, **(known | more))


def attempt(number: int, began: float, delivery: str = "1", **more: Any) -> AttemptRow:
    known: dict[str, Any] = {"ended": began + 1, "server": "", "queue_id": "", "error": "", "unknown": False}
    return AttemptRow(number=number, delivery=delivery, began=began, transcript="", **(known | more))


def act(action: str, at: float, **more: Any) -> AuditRow:
    names = ("known_by", "account", "message", "recipient", "detail", "result", "hash")
    known: dict[str, Any] = dict.fromkeys(names, "") | {"number": 1, "by": "ada", "count": 1}
    return AuditRow(action=action, at=at, **(known | more))


def message(recipients: list[RecipientRow], attempts: list[AttemptRow]) -> MessageDetail:
    names = ("id", "client", "sender", "message_id", "author", "subject", "report_of", "cursor", "sha256")
    return MessageDetail(
        **dict.fromkeys(names, ""),
        accepted=0.0,
        age=0.0,
        expires=0.0,
        size=0,
        send_at=None,
        tags={},
        recipients=tuple(recipients),
        others=0,
        counts={},
        attempts=tuple(attempts),
        received="",
    )


def news(*acts: AuditRow) -> MessageNews:
    return MessageNews(acts=acts, reports=())


def test_what_leaves_apart_is_a_branch_with_its_attempts_and_its_fates() -> None:
    rows = [
        row("a@example.org", Status.DELIVERED, reply="250 ok"),
        row("b@example.org", Status.FAILED, reply="550 no"),
        *(row(f"c{number}@example.org", Status.DELIVERED, reply="250 ok") for number in range(5)),
        row("d@example.org", Status.DEFERRED, "2", account="news", due=9.0),
        row("e@example.org", Status.READY, "3", account="news"),
        row("f@example.org", Status.READY, "4", account="news"),
    ]
    tried = [attempt(1, 5.0), attempt(1, 6.0, "2", error="busy"), attempt(2, 7.0, "2")]
    way = timeline(message(rows, tried), news(act("hold", 4.0)))
    assert [(each.account, each.recipients, len(each.steps)) for each in way.branches] == [
        ("alerts", 7, 1),
        ("news", 1, 2),
        ("news", 2, 0),  # what was not tried yet stands together
    ]
    assert [(each.state, each.addresses, each.others) for each in way.branches[0].fates] == [
        ("delivered", ["a@example.org", "c0@example.org", "c1@example.org"], 3),
        ("failed", ["b@example.org"], 0),
    ]
    assert [fate.due for fate in way.branches[1].fates] == [9.0]
    assert [each.title for each in way.acts] == ["Held"]


def test_of_one_branch_all_stands_in_the_order_in_which_it_was() -> None:
    acts = act("hold", 1.0), act("release", 2.0), act("resend", 8.0, detail="as m2"), act("odd", 9.0)
    way = timeline(message([row("a@example.org")], [attempt(1, 3.0)]), news(*acts))
    [branch] = way.branches
    assert way.acts == ()
    assert [getattr(step, "title", "attempt") for step in branch.steps] == [
        *("Held", "Released", "attempt", "Sent again", "odd")
    ]
    refused = timeline(message([], []), news(act("resend", 1.0, result="No.", detail="as m2")))
    assert (refused.acts[0].title, refused.acts[0].anew) == ("Not done: resend", "")


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0"),
        (10_000, "10\u202f000"),
        (10_001, "≈\u202f10\u202fk"),
        (999_499, "≈\u202f999\u202fk"),
        (999_996, "≈\u202f1\u202fM"),
        (1_234_567, "≈\u202f1.23\u202fM"),
        (5_000_000_000, "≈\u202f5000\u202fM"),
    ],
)
def test_a_large_number_is_rounded_in_its_unit(count: int, told: str) -> None:
    assert number(count) == told


def test_a_size_is_never_told_by_powers() -> None:
    assert [octets(size) for size in (0, 1023, 1024, 1_048_000, 1 << 40)] == [
        *("0\u202foctets", "1023\u202foctets", "1\u202fKiB", "1023\u202fKiB", "1024\u202fGiB")
    ]


async def way(person: Person, identifier: str) -> str:
    page = await person.page(f"/messages/{identifier}")
    return text(page.partition('<ol class="timeline" id="timeline">')[2].partition("</section>")[0])


async def test_later_news_stand_at_the_end_of_the_way(inside: Person) -> None:
    """Each recipient's fate, the report to the sender, who held it, and what it was sent again as."""
    shown = inside.shown
    [refused] = await ids(shown, recipient="nobody@")
    told = await way(inside, refused)
    assert re.search(r"failed nobody@example.org Said by the server: 550 5.1.1", told)
    assert "sent ops@example.org Said by the server: 250 2.0.0" in told
    [report] = await ids(shown, report_of=refused)
    assert re.search(rf"Its sender was told \S+ \S+ UTC by the report {report} sent", told)
    [waits, _] = await ids(shown, account="news")
    place = f"/messages/{waits}"
    await inside.send(f"{place}/act", {"act": "hold", "address": "ada@example.org"})
    done = await inside.send(f"{place}/resend", {"key": "k", "everybody": "1"})
    new = done.headers["location"].rpartition("/")[2]
    told = await way(inside, waits)
    assert "by console (one-time code), for ada@example.org: 1 recipient" in told
    assert "Sent again " in told
    assert f", as {new} : 2 recipients" in told
    assert "held ada@example.org" in told
    assert "waiting grace@example.org The account news is paused" in told
    assert f'href="/console/messages/{new}"' in await inside.page(place)


async def test_what_a_server_said_is_told_as_its_words_and_as_text(inside: Person) -> None:
    shown = inside.shown
    await shown.send("alerts@example.org", "mallory@example.org, ops@example.org", "Refused")
    await shown.settled(7)
    [refused] = await ids(shown, recipient="mallory@")
    page = await inside.page(f"/messages/{refused}")
    assert EVIL not in page
    assert f"Said by the server: {EVIL}" in await way(inside, refused)


# Very many ----------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowded() -> AsyncIterator[ShownRelay]:
    """One with a message for a million, put into its queue while it did not run, and its account paused."""
    with short_folder() as home:
        made = ShownRelay(home)
        await made.start()
        await made.pause("news")
        await made.running.stop(0.0)
        connection = apsw.Connection(str(home / "state" / "spool.db"))
        with connection:
            connection.execute(BUILD, {"count": MANY, "now": time.time()})
        connection.close()
        await made.begin()
        yield made
        await made.stop()


@pytest.mark.servers
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scripts", [True, False])
async def test_a_message_for_a_million_is_looked_at_page_by_page(
    browser: Browser, crowded: ShownRelay, scripts: bool
) -> None:
    window = await inside(browser, crowded, java_script_enabled=scripts, viewport=NARROW)
    page = window.page
    await page.goto(f"{crowded.url}/queue?state=held")
    line = page.locator("#m-million")
    await expect(line).to_contain_text("r1@example.org and ≈\u202f1\u202fM\u00a0others")
    await expect(line.locator("td").nth(2)).to_contain_text("held 4")
    await line.get_by_role("link", name="To a million").click()
    await expect(page.locator("p.summary")).to_contain_text("≈\u202f1\u202fM")
    await expect(page.locator("li.recipient")).to_have_count(100)
    await expect(page.locator("#timeline")).to_contain_text("r1@example.org, r2@example.org")
    assert not await window.too_wide()
    await page.get_by_role("link", name="Next 100").click()
    await expect(page.locator("li.recipient").first).to_contain_text("r101@example.org")
    await page.get_by_role("link", name="4 recipients").click()
    await expect(page.get_by_role("heading", name="Recipients: held")).to_be_visible()
    held = [f"r{place}@example.org" for place in range(250_000, MANY + 1, 250_000)]
    assert await page.locator("li.recipient strong").all_inner_texts() == held
    assert window.faults == []
    await window.context.close()


async def test_by_http_a_message_is_told_page_by_page(inside: Person) -> None:
    shown = inside.shown
    many = [f"r{number}@example.org" for number in range(250)]
    await shown.raw("billing@example.org", many, b"Subject: To all\r\n\r\nHello\r\n")
    [message_] = await ids(shown, address="r249@")
    token = (shown.home / "state" / "api-token").read_text().strip()
    place = f"{shown.running.addresses[-1]}/v1/messages/{message_}"
    headers = {"authorization": f"Bearer {token}"}

    async def ask(**query: Any) -> Any:
        return (await inside.http.get(place, params=query, headers=headers)).json()

    whole = await ask()
    assert [each["address"] for each in whole["recipients"]] == many
    listed = await inside.http.get(f"{place.rpartition('/')[0]}", params={"q": message_}, headers=headers)
    [line] = listed.json()["messages"]
    assert [each["address"] for each in line["recipients"]] == many[:10]
    assert (line["others"], line["counts"]) == (240, whole["counts"])
    assert line["recipients"] == whole["recipients"][:10]
    assert (whole["cursor"], sum(whole["counts"].values())) == ("", 250)
    found, cursor = [], ""
    while True:
        answer = await ask(limit=100, **({"cursor": cursor} if cursor else {}))
        found += answer["recipients"]
        cursor = answer["cursor"]
        if not cursor:
            break
    assert [each["id"] for each in found] == [each["id"] for each in whole["recipients"]]
    assert (await ask(limit=0))["status"] == 422
    assert (await ask(cursor="x"))["status"] == 400
    assert (await ask(state="odd"))["status"] == 422
    assert (await ask(state="failed"))["recipients"] == []
