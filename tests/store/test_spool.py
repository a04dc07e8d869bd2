"""One contract for every spool: nothing accepted is lost, nothing is sent by two, people see the truth."""

import asyncio
import hashlib
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from postbearer.envelope import Envelope, Recipient
from postbearer.errors import LeaseLost, StoreError, UsageError
from postbearer.outcome import RecipientFate
from postbearer.store import (
    Lane,
    NewDelivery,
    Pause,
    Priority,
    Query,
    Report,
    Settlement,
    Spool,
    Status,
)
from support.spooling import START, TEXT, accept, claim, delivery, ending, message, statuses

MINUTE = 60.0


async def ids(spool: Spool, query: Query) -> list[str]:
    return [entry.message.id for entry in await spool.search(query)]


async def test_a_message_comes_back_as_it_was_accepted(spool: Spool) -> None:
    content = spool.stage("m1")
    await content.write(TEXT)
    recipients = (
        Recipient("you@example.org", ("SUCCESS", "FAILURE"), "rfc822;you@example.org"),
        Recipient("jürgen@example.org"),
    )
    envelope = Envelope(
        "", recipients, body="8BITMIME", smtputf8=True, ret="HDRS", envid="e1", require_tls=True, priority=3
    )
    made = replace(message("m1", content), envelope=envelope, eight_bit=True, subject="grün", report_of="m0")
    await spool.accept(made, content, [NewDelivery(account="work", recipients=recipients, client="app")])
    [claimed] = await claim(spool)
    assert claimed.message == made
    assert [each.recipient for each in claimed.targets] == list(recipients)
    entry = await spool.show("m1")
    assert entry
    assert entry.message == made


async def test_what_others_said_takes_little_room_whoever_writes_it_down(spool: Spool) -> None:
    to = [f"you{number}@example.org" for number in range(1000)]
    await accept(spool, "m1", recipients=to)
    [claimed] = await claim(spool)
    said = "421 4.0.0 " + "later " * 20_000
    results = [
        RecipientFate(
            recipient=each.recipient.address, status=Status.DEFERRED, reply=said, cause=said, remedy=said
        )
        for each in claimed.targets
    ]
    await spool.settle(claimed, Settlement(results=tuple(results), ended=START, error=said, server=said))
    await spool.pause(Pause(account="work", since=START, reason=said, remedy=said))
    entry = await spool.show("m1")
    assert entry
    assert all(row.reply.startswith("421 4.0.0 later") for row in entry.rows)
    kept = sum(len(text) for row in entry.rows for text in (row.reply, row.cause, row.remedy))
    assert kept <= 400_000
    assert all(len(each.error) + len(each.server) <= 2_000 for each in entry.attempts)
    assert all(len(each.reason) + len(each.remedy) <= 2_000 for each in await spool.pauses())


async def test_a_single_recipient_keeps_all_that_is_shown_of_a_reply(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.FAILED, reply="5" * 1000))
    entry = await spool.show("m1")
    assert entry
    assert entry.rows[0].reply == "5" * 1000


@pytest.mark.parametrize("size", [0, 1, 65_536, 256 * 1024, 256 * 1024 + 1, 1_000_000])
async def test_content_of_any_size_comes_back_in_blocks(spool: Spool, size: int) -> None:
    text = bytes(index % 251 for index in range(1_000)) * (size // 1_000 + 1)
    made = await accept(spool, "m1", text=text[:size])
    content = await spool.content(made)
    blocks = list(content.blocks(10_000))
    assert b"".join(blocks) == text[:size]
    assert {len(block) for block in blocks[:-1]} <= {10_000}
    assert b"".join(content.blocks()) == text[:size]  # as often as wanted
    assert content.size == size


async def test_content_is_measured_while_it_comes(spool: Spool) -> None:
    content = spool.stage("m1")
    for _ in range(5):
        await content.write(TEXT)
    assert content.size == 5 * len(TEXT)
    assert content.sha256 == hashlib.sha256(5 * TEXT).hexdigest()
    await content.discard()
    assert await spool.show("m1") is None


async def test_discarding_does_nothing_once_it_was_accepted(spool: Spool) -> None:
    content = spool.stage("m1")
    await content.write(b"x" * 600_000)
    made = message("m1", content)
    await spool.accept(made, content, [NewDelivery(account="work", recipients=made.envelope.recipients)])
    await content.discard()
    assert sum(map(len, (await spool.content(made)).blocks())) == 600_000


async def test_an_id_is_taken_once(spool: Spool) -> None:
    await accept(spool, "m1")
    with pytest.raises(StoreError, match="m1 already"):
        await accept(spool, "m1")
    assert len(await spool.search(Query())) == 1


async def test_what_begins_at_once_is_leased_as_it_is_accepted(spool: Spool) -> None:
    content = spool.stage("m1")
    await content.write(TEXT)
    made = message("m1", content, ("a@example.org", "b@example.org"))
    later = delivery(made, "alerts")
    [claimed] = await spool.accept(made, content, [delivery(made, at_once=True), later])
    assert (claimed.message, claimed.account, claimed.attempt) == (made, "work", 1)
    assert [each.recipient.address for each in claimed.targets] == ["a@example.org", "b@example.org"]
    assert await claim(spool) == []
    assert [lane.account for lane in await spool.lanes(START)] == ["alerts"]
    assert b"".join((await spool.content(made)).blocks()) == TEXT
    await spool.settle(claimed, ending(claimed, Status.DEFERRED, due=START + MINUTE))
    [again] = await claim(spool, START + MINUTE)
    assert (again.delivery, again.attempt, again.targets) == (claimed.delivery, 2, claimed.targets)


async def test_what_comes_held_waits_until_a_person_releases_it(spool: Spool) -> None:
    content = spool.stage("m1")
    await content.write(TEXT)
    kept = message("m1", content, ("a@example.org", "b@example.org"))
    first, second = (
        replace(delivery(kept), recipients=(each,), held=each.address.startswith("b"))
        for each in kept.envelope.recipients
    )
    await spool.accept(kept, content, [first, second])
    assert await statuses(spool, kept.id) == [Status.READY, Status.HELD]
    [claimed] = await claim(spool)
    assert [each.recipient for each in claimed.targets] == list(first.recipients)
    assert await claim(spool) == []
    assert await spool.change(kept.id, Status.READY, START, "b@example.org") == 1
    [claimed] = await claim(spool)
    assert [each.recipient for each in claimed.targets] == list(second.recipients)


async def test_what_is_claimed_is_nobody_elses(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    assert (claimed.attempt, claimed.warned) == (1, False)
    assert await claim(spool) == []
    assert await spool.lanes(START) == []
    assert await statuses(spool, "m1") == [Status.LEASED]


async def test_a_delivered_message_is_at_its_end(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org"))
    [claimed] = await claim(spool)
    done = ending(claimed, Status.DELIVERED, reply="250 2.0.0 taken")
    await spool.settle(claimed, replace(done, server="mx.example.org", queue_id="q7"))
    entry = await spool.show("m1")
    assert entry
    assert [(row.status, row.reply, row.due) for row in entry.rows] == [
        (Status.DELIVERED, "250 2.0.0 taken", None)
    ] * 2
    [attempt] = entry.attempts
    assert (attempt.number, attempt.began, attempt.ended) == (1, START, START)
    assert (attempt.server, attempt.queue_id, attempt.unknown) == ("mx.example.org", "q7", False)
    assert await claim(spool, START + MINUTE) == []


async def test_an_attempt_of_which_nothing_was_said_leaves_the_words_of_the_one_before(spool: Spool) -> None:
    await accept(spool, "m1")
    for said in ("450 4.2.0 later", ""):
        [claimed] = await claim(spool)
        await spool.settle(claimed, ending(claimed, Status.DEFERRED, reply=said, due=START))
    entry = await spool.show("m1")
    assert entry
    assert [row.reply for row in entry.rows] == ["450 4.2.0 later"]


async def test_a_deferred_one_comes_again_when_it_is_due(spool: Spool) -> None:
    await accept(spool, "m1")
    [first] = await claim(spool)
    await spool.settle(first, replace(ending(first, Status.DEFERRED, due=START + MINUTE), warned=True))
    assert await claim(spool, START + MINUTE - 1) == []
    [second] = await claim(spool, START + MINUTE)
    assert (second.attempt, second.warned) == (2, True)
    assert second.lease > first.lease


async def test_only_open_recipients_are_tried_again(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org", "c@example.org"))
    [claimed] = await claim(spool)
    a, b, c = claimed.targets
    results = (
        RecipientFate(recipient=a.recipient.address, status=Status.DELIVERED),
        RecipientFate(
            recipient=b.recipient.address,
            status=Status.DEFERRED,
            reply="450 later",
            cause="busy",
            remedy="wait",
        ),
        RecipientFate(recipient=c.recipient.address, status=Status.HELD),
    )
    await spool.settle(claimed, Settlement(results=results, ended=START, due=START + MINUTE))
    entry = await spool.show("m1")
    assert entry
    assert [(row.status, row.due) for row in entry.rows] == [
        (Status.DELIVERED, None),
        (Status.DEFERRED, START + MINUTE),
        (Status.HELD, None),
    ]
    assert (entry.rows[1].reply, entry.rows[1].cause, entry.rows[1].remedy) == ("450 later", "busy", "wait")
    [again] = await claim(spool, START + MINUTE)
    assert again.targets == (b,)


async def test_a_lease_that_is_over_changes_nothing(spool: Spool) -> None:
    await accept(spool, "m1")
    [old] = await claim(spool)
    await spool.settle(old, ending(old, Status.DEFERRED, due=START))
    [new] = await claim(spool)
    with pytest.raises(LeaseLost, match="m1"):
        await spool.settle(old, ending(old, Status.DELIVERED))
    assert await statuses(spool, "m1") == [Status.LEASED]
    await spool.settle(new, ending(new, Status.DELIVERED))
    with pytest.raises(LeaseLost):
        await spool.settle(new, ending(new, Status.FAILED))
    assert await statuses(spool, "m1") == [Status.DELIVERED]


async def test_what_was_not_tried_does_not_count(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    untried = replace(ending(claimed, Status.READY, due=START + MINUTE), counted=False)
    await spool.settle(claimed, untried)
    entry = await spool.show("m1")
    assert entry
    assert (entry.attempts, entry.rows[0].attempts, entry.rows[0].status) == ((), 0, Status.READY)
    [again] = await claim(spool, START + MINUTE)
    assert again.attempt == 1


async def test_a_result_nobody_knows_is_marked(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    lost = replace(ending(claimed, Status.DEFERRED, due=START), unknown=True, error="no reply")
    await spool.settle(claimed, lost)
    [again] = await claim(spool)
    await spool.settle(again, ending(again, Status.DELIVERED))
    entry = await spool.show("m1")
    assert entry
    assert entry.rows[0].unknown
    assert [(each.unknown, each.error) for each in entry.attempts] == [(True, "no reply"), (False, "")]


async def test_what_stays_open_can_move_to_another_account(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    await spool.settle(claimed, replace(ending(claimed, Status.DEFERRED, due=START), account="spare"))
    assert await claim(spool) == []
    [moved] = await claim(spool, account="spare")
    assert (moved.account, moved.attempt) == ("spare", 2)


async def test_a_report_comes_into_being_with_the_mark_it_reports(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    content = spool.stage("r1")
    await content.write(TEXT)
    about = replace(message("r1", content, ("app@example.org",)), report_of="m1")
    back = NewDelivery(account="work", recipients=about.envelope.recipients, client="reports", due=START)
    report = Report(message=about, content=content, delivery=back)
    await spool.settle(claimed, replace(ending(claimed, Status.FAILED), reports=(report,)))
    [carried] = await claim(spool, client="reports")
    assert carried.message == about
    assert b"".join((await spool.content(about)).blocks()) == TEXT


async def test_a_report_may_be_as_large_as_the_message_it_returns(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    content, text = spool.stage("r1"), TEXT + b"returned\r\n" * 100_000
    for start in range(0, len(text), 50_000):
        await content.write(text[start : start + 50_000])
    about = replace(message("r1", content, ("app@example.org",)), report_of="m1")
    back = NewDelivery(account="work", recipients=about.envelope.recipients, client="reports", due=START)
    report = Report(message=about, content=content, delivery=back)
    await spool.settle(claimed, replace(ending(claimed, Status.FAILED), reports=(report,)))
    await content.discard()  # too late to do anything
    assert b"".join((await spool.content(about)).blocks()) == text


async def test_a_lease_that_is_over_makes_no_report(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    about = replace(claimed.message, id="r1")
    back = NewDelivery(account="work", recipients=())
    report = Report(message=about, content=spool.stage("r1"), delivery=back)
    with pytest.raises(LeaseLost):
        await spool.settle(claimed, replace(ending(claimed, Status.FAILED), reports=(report,)))
    assert await spool.show("r1") is None


async def test_lanes_tell_when_their_first_one_is_due(spool: Spool) -> None:
    await accept(spool, "m1", due=START + 5)
    await accept(spool, "m2", due=START + 3)
    await accept(spool, "m3", client="other", due=START + 9)
    await accept(spool, "m4", account="alerts")
    lanes = await spool.lanes(START)
    assert [(lane.account, lane.client, lane.due) for lane in lanes] == [
        ("alerts", "app", START),
        ("work", "app", START + 3),
        ("work", "other", START + 9),
    ]


async def test_a_claim_takes_the_longest_due_first_and_no_more_than_asked(spool: Spool) -> None:
    for name, due in (("m1", 3.0), ("m2", 1.0), ("m3", 2.0), ("m4", 99.0)):
        await accept(spool, name, due=START + due)
    first = await claim(spool, START + 10, most=2)
    assert [each.message.id for each in first] == ["m2", "m3"]
    rest = await claim(spool, START + 10, most=2)
    assert [each.message.id for each in rest] == ["m1"]


async def test_lanes_are_apart_by_priority(spool: Spool) -> None:
    content = spool.stage("m1")
    await content.write(TEXT)
    made = message("m1", content)
    urgent = NewDelivery(account="work", recipients=made.envelope.recipients, priority=Priority.URGENT)
    await spool.accept(made, content, [urgent])
    [lane] = await spool.lanes(START)
    assert lane.priority is Priority.URGENT
    assert await spool.claim({replace(lane, priority=Priority.BULK): 1}, START) == []
    [claimed] = await spool.claim({lane: 1}, START)
    assert claimed.priority is Priority.URGENT


async def test_many_at_once_get_one_each(spool: Spool) -> None:
    names = [f"m{number:02}" for number in range(40)]
    await asyncio.gather(*(accept(spool, name) for name in names))
    batches = await asyncio.gather(*(claim(spool) for _ in range(60)))
    taken = [each.message.id for batch in batches for each in batch]
    assert sorted(taken) == names


async def test_pauses_are_rows_of_their_own(spool: Spool) -> None:
    await accept(spool, "m1")
    pause = Pause(account="work", since=START, reason="AADSTS7000222", remedy="renew", probe=START + 900)
    await spool.pause(pause)
    later = replace(pause, probe=None, probes=2, passes=True)
    await spool.pause(later)
    assert await spool.pauses() == [later]
    assert len(await spool.lanes(START)) == 1  # nothing happens to its messages
    assert await spool.resume("work")
    assert not await spool.resume("work")
    assert await spool.pauses() == []


async def test_who_subscribed_hears_what_may_go_on_and_of_pauses(spool: Spool) -> None:
    heard: list[object] = []
    spool.subscribe(heard.append, lambda: heard.append("pauses"))
    await accept(spool, "m1")
    assert heard == [[("work", Priority.NORMAL, "app")]]
    heard.clear()
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DEFERRED))
    assert await spool.change("m1", Status.HELD, START) == 1
    assert not await spool.resume("work")
    assert heard == []  # nothing of it lets anything begin that its own node does not know
    assert await spool.change("m1", Status.READY, START) == 1
    await spool.pause(Pause(account="work", since=START, reason="refused"))
    assert await spool.resume("work")
    assert heard == [None, "pauses", "pauses"]


async def test_who_takes_what_begins_at_once_hears_nothing_of_it(spool: Spool) -> None:
    heard: list[object] = []
    spool.subscribe(heard.append, lambda: heard.append("pauses"))
    content = spool.stage("m1")
    await content.write(TEXT)
    made = message("m1", content)
    [claimed] = await spool.accept(made, content, [delivery(made, at_once=True)])
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert heard == []


async def test_search_finds_by_what_people_know(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("Alice@example.org",))
    await accept(spool, "m2", account="alerts", accepted=START + 10)
    await accept(spool, "m3", accepted=START + 20)
    [claimed] = await claim(spool, account="alerts")
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert await ids(spool, Query()) == ["m1", "m2", "m3"]
    assert await ids(spool, Query(id="m2")) == ["m2"]
    assert await ids(spool, Query(address="alice@")) == ["m1"]
    assert await ids(spool, Query(address="%")) == []
    assert await ids(spool, Query(address="APP@example")) == ["m1", "m2", "m3"]
    assert await ids(spool, Query(account="alerts")) == ["m2"]
    assert await ids(spool, Query(client="nobody")) == []
    assert await ids(spool, Query(message_id="M3@")) == ["m3"]
    assert await ids(spool, Query(statuses=(Status.READY, Status.HELD))) == ["m1", "m3"]
    assert await ids(spool, Query(older_than=START + 10)) == ["m1"]
    assert await ids(spool, Query(newer_than=START + 10)) == ["m3"]


async def test_case_does_not_matter_in_any_script(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("МАРИЯ@example.org",))
    await accept(spool, "m2", recipients=("jörg@example.org",))
    assert await ids(spool, Query(address="мария@")) == ["m1"]
    assert await ids(spool, Query(address="JÖRG@EXAMPLE")) == ["m2"]


@pytest.mark.parametrize("one_by_one", [0, 1, 2, 5])
async def test_an_address_is_found_wherever_it_stands(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, one_by_one: int
) -> None:
    """Among the first messages, which are looked at one by one, as well as among all others."""
    monkeypatch.setattr("postbearer.store.reads.ONE_BY_ONE", one_by_one)
    for number, recipient in enumerate(
        ("jörg@example.org", "ben@example.net", "Ben@example.org", "x@example.com")
    ):
        await accept(spool, f"m{number}", recipients=("all@example.org", recipient))
    assert await ids(spool, Query(address="nobody@")) == []
    assert await ids(spool, Query(address="BEN@")) == ["m1", "m2"]
    assert await ids(spool, Query(address="ben@", limit=1)) == ["m1"]
    assert await ids(spool, Query(address="ben@", limit=1, after="m1")) == ["m2"]
    assert await ids(spool, Query(address="JÖRG@")) == ["m0"]
    assert await ids(spool, Query(address="example.com")) == ["m3"]
    assert await ids(spool, Query(address="app@example")) == ["m0", "m1", "m2", "m3"]
    assert await ids(spool, Query(address="all@", account="nobody")) == []
    assert await ids(spool, Query(address="all@", account="work", limit=3)) == ["m0", "m1", "m2"]


@pytest.mark.parametrize("one_by_one", [0, 1, 5])
async def test_senders_and_recipients_and_what_was_said_are_told_apart(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, one_by_one: int
) -> None:
    monkeypatch.setattr("postbearer.store.reads.ONE_BY_ONE", one_by_one)
    await accept(spool, "m1", recipients=("app@example.org",), author="Jörg <jörg@example.org>")
    await accept(spool, "m2", recipients=("jörg@example.org", "ben@example.org"), author="Ada")
    await accept(spool, "m3", recipients=("ben@example.org",), author="app@example.org")
    assert await ids(spool, Query(sender="JÖRG@")) == ["m1"]
    assert await ids(spool, Query(sender="ada")) == ["m2"]
    assert await ids(spool, Query(sender="APP@example")) == ["m1", "m2", "m3"]
    assert await ids(spool, Query(recipient="app@")) == ["m1"]
    assert await ids(spool, Query(recipient="Jörg@")) == ["m2"]
    assert await ids(spool, Query(recipient="ben@", sender="ada")) == ["m2"]
    assert await ids(spool, Query(recipient="success")) == []
    assert await ids(spool, Query(reply="full")) == []
    for claimed in await claim(spool, most=3):
        reply = "452 4.2.2 Mailbox FÜLL" if claimed.message.id == "m2" else ""
        cause = "" if claimed.message.id == "m2" else "Nobody is at home."
        await spool.settle(claimed, ending(claimed, Status.DEFERRED, reply=reply, cause=cause))
    assert await ids(spool, Query(reply="füll")) == ["m2"]
    assert await ids(spool, Query(reply="at Home")) == ["m1", "m3"]
    assert await ids(spool, Query(reply="4.2.2", recipient="jörg")) == ["m2"]


async def test_a_subject_is_found_in_any_case_and_script(spool: Spool) -> None:
    await accept(spool, "m1", subject="Invoice 2026-11")
    await accept(spool, "m2", subject="Störung: 100 % _VOLL_", recipients=("invoice@example.org",))
    await accept(spool, "m3")
    assert await ids(spool, Query(subject="INVOICE")) == ["m1"]
    assert await ids(spool, Query(subject="STÖRUNG:")) == ["m2"]
    assert await ids(spool, Query(subject="0 % _voll_")) == ["m2"]
    assert await ids(spool, Query(subject="%")) == ["m2"]
    assert await ids(spool, Query(subject="_n")) == []
    assert await ids(spool, Query(subject="o", recipient="invoice@")) == ["m2"]
    assert await ids(spool, Query(subject="o", limit=1, after="m1")) == ["m2"]
    matching = Query(subject="invoice", statuses=(Status.READY,))
    assert await spool.jobs.count(matching) == 1


async def test_when_the_last_so_many_were_accepted(spool: Spool) -> None:
    for number in range(5):
        await accept(spool, f"m{number}", accepted=START + number)
    assert await spool.latest(math.inf, 0) == START + 4
    assert await spool.latest(math.inf, 4) == START
    assert await spool.latest(math.inf, 5) is None
    assert await spool.latest(START + 2, 1) == START
    assert await spool.latest(START, 0) is None


async def test_what_was_said_in_an_attempt_comes_back_and_goes_with_its_message(
    spool: Spool, tmp_path: Path
) -> None:
    await accept(spool, "m1")
    said = "S: 220 Hello\nC: EHLO x\nS: 451 Später \x00"
    for transcript, counted, status in (
        (said, True, Status.DEFERRED),
        ("no try", False, Status.DEFERRED),
        ("", True, Status.DEFERRED),
        ("x" * 100_000, True, Status.FAILED),
    ):
        [claimed] = await claim(spool)
        settlement = replace(ending(claimed, status, due=START), transcript=transcript, counted=counted)
        await spool.settle(claimed, settlement)
    entry = await spool.show("m1")
    assert entry is not None
    first, second, third = (each.transcript for each in entry.attempts)
    assert first.replace("\N{REPLACEMENT CHARACTER}", "\x00") == said
    assert second == ""
    assert 10_000 < len(third) < 17_000
    assert all(each.attempts == () for each in await spool.search(Query()))
    await spool.retire(START + 1)
    assert await spool.show("m1") is None
    if (tmp_path / "spool.db").exists():
        with closing(apsw.Connection(str(tmp_path / "spool.db"), apsw.SQLITE_OPEN_READONLY)) as connection:
            assert connection.execute("SELECT count(*) FROM transcript").get == 0


async def test_of_what_was_said_the_last_counts(spool: Spool) -> None:
    await accept(spool, "m1")
    for reply in ("450 4.3.0 Later", "452 4.2.2 Full"):
        [claimed] = await claim(spool)
        await spool.settle(claimed, ending(claimed, Status.DEFERRED, due=START, reply=reply))
    assert await ids(spool, Query(reply="later")) == []
    assert await ids(spool, Query(reply="full")) == ["m1"]


async def test_search_goes_on_where_it_stopped(spool: Spool) -> None:
    for number in range(5):
        await accept(spool, f"m{number}")
    assert await ids(spool, Query(limit=2)) == ["m0", "m1"]
    assert await ids(spool, Query(limit=2, after="m1")) == ["m2", "m3"]
    assert await ids(spool, Query(limit=2, after="m4")) == []
    with pytest.raises(UsageError, match="no message m9 to go on behind"):
        await spool.search(Query(after="m9"))


async def test_a_person_holds_releases_and_cancels(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org"), due=START + 500)
    assert await spool.change("m1", Status.HELD, START) == 2
    assert await spool.change("m1", Status.HELD, START) == 0
    assert await spool.lanes(START) == []
    assert await spool.change("m1", Status.READY, START, "A@Example.org") == 1
    [claimed] = await claim(spool)  # at once, whenever it was due
    assert [each.recipient.address for each in claimed.targets] == ["a@example.org"]
    assert await spool.change("m1", Status.CANCELLED, START) == 0  # it is being sent
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert await statuses(spool, "m1") == [Status.DELIVERED, Status.HELD]
    assert await spool.change("m1", Status.CANCELLED, START) == 1
    assert await statuses(spool, "m1") == [Status.DELIVERED, Status.CANCELLED]
    assert await spool.change("m1", Status.READY, START) == 0
    assert await spool.change("nothing", Status.HELD, START) == 0


async def test_a_deferred_one_can_be_tried_now(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DEFERRED, due=START + 3600))
    assert await spool.change("m1", Status.READY, START) == 1
    assert len(await claim(spool)) == 1


async def test_nobody_makes_a_message_delivered_by_hand(spool: Spool) -> None:
    await accept(spool, "m1")
    with pytest.raises(UsageError, match="delivered"):
        await spool.change("m1", Status.DELIVERED, START)


async def test_what_waits_is_counted_by_account(spool: Spool) -> None:
    assert list(await spool.waiting()) == []
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org"), accepted=START - 60)
    await accept(spool, "m2", due=START + 3600)
    await accept(spool, "m3", account="other")
    await accept(spool, "m4")
    await spool.change("m4", Status.HELD, START)
    found = {each.account: (each.messages, each.oldest) for each in await spool.waiting()}
    assert found == {"work": (2, START - 60), "other": (1, START)}
    await claim(spool, START)  # until an attempt has ended, it has not left
    assert {each.account: each.messages for each in await spool.waiting()} == {"work": 2, "other": 1}


async def test_what_is_late_is_found_in_pages_and_told_of_once(spool: Spool) -> None:
    for number in range(3):
        await accept(spool, f"m{number}", accepted=START - 100, due=START + 50)
    await accept(spool, "young")
    await accept(spool, "elsewhere", account="other", accepted=START - 100)
    first = await spool.late("work", START - 50, 0, 2)
    second = await spool.late("work", START - 50, first[-1].delivery, 2)
    assert [each.message.id for each in (*first, *second)] == ["m0", "m1", "m2"]
    assert [each.recipient.address for each in first[0].targets] == ["you@example.org"]
    assert await spool.warn(first[0], None)
    assert not await spool.warn(first[0], None)
    assert [each.message.id for each in await spool.late("work", START - 50, 0, 9)] == ["m1", "m2"]
    claimed = {each.message.id: each.warned for each in await claim(spool, START + 49, most=9)}
    assert claimed == {"young": False}  # what was warned of is due as it was
    claimed = {each.message.id: each.warned for each in await claim(spool, START + 50, most=1)}
    assert claimed == {"m0": True}
    await spool.change("m1", Status.CANCELLED, START)
    assert not await spool.warn(first[1], None)


async def test_a_delay_report_comes_with_its_mark_or_not_at_all(spool: Spool) -> None:
    await accept(spool, "m1", accepted=START - 100)
    (late,) = await spool.late("work", START, 0, 9)
    content = spool.stage("r1")
    await content.write(TEXT)
    made = replace(message("r1", content), report_of="m1")
    delivery = NewDelivery(account="other", recipients=made.envelope.recipients, client="app", due=START)
    report = Report(message=made, content=content, delivery=delivery)
    assert await spool.warn(late, report)
    assert not await spool.warn(late, replace(report, message=replace(made, id="r2")))
    assert sorted(each.message.id for each in await spool.search(Query())) == ["m1", "r1"]
    (claimed,) = await claim(spool, START, account="other")
    assert b"".join((await spool.content(claimed.message)).blocks()) == TEXT


async def test_statistics_count_recipients(spool: Spool) -> None:
    assert (await spool.statistics()).oldest is None
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org"))
    await accept(spool, "m2", account="alerts", accepted=START + 60)
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    found = await spool.statistics()
    assert found.counts == {Status.DELIVERED: 2, Status.READY: 1}
    assert found.by_account == {"work": {Status.DELIVERED: 2}, "alerts": {Status.READY: 1}}
    assert found.oldest == START + 60


async def test_only_what_is_long_at_its_end_is_removed(spool: Spool) -> None:
    for name in ("done", "fresh", "open"):
        await accept(spool, name, text=name.encode() * 200_000)
    for number, ended in ((0, START), (1, START + 100)):
        [claimed] = await claim(spool)
        assert claimed.message.id == ("done", "fresh")[number]
        await spool.settle(claimed, ending(claimed, Status.DELIVERED, at=ended))
    assert await spool.retire(START + 50) == 1
    assert await ids(spool, Query()) == ["fresh", "open"]
    assert await spool.show("done") is None
    assert await spool.retire(START + 50) == 0


async def test_a_message_stays_until_all_its_deliveries_are_over(spool: Spool) -> None:
    content = spool.stage("m1")
    await content.write(TEXT)
    made = message("m1", content, ("a@example.org", "b@example.org"))
    a, b = (
        NewDelivery(account="work", recipients=(each,), client="app", due=START)
        for each in made.envelope.recipients
    )
    await spool.accept(made, content, [a, b])
    first, second = await claim(spool, most=2)
    await spool.settle(first, ending(first, Status.DELIVERED))
    assert await spool.retire(START + 1) == 0
    await spool.settle(second, ending(second, Status.FAILED))
    assert await spool.retire(START + 1) == 1


async def test_everything_open_can_be_carried_elsewhere(spool: Spool) -> None:
    for name in ("m1", "m2", "m3"):
        await accept(spool, name, text=TEXT + name.encode())
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    seen = {entry.message.id: b"".join(content.blocks()) async for entry, content in spool.export()}
    assert seen == {"m2": TEXT + b"m2", "m3": TEXT + b"m3"}


async def test_there_is_room(spool: Spool) -> None:
    assert await spool.room(1_000_000)


async def test_a_lane_is_only_a_name(spool: Spool) -> None:
    nowhere = Lane(account="'; DROP TABLE message; --", priority=Priority.NORMAL, client='"', due=0)
    assert await spool.claim({nowhere: 5}, START) == []
