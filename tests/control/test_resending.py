"""A message is sent once more: as a new one, by the door that every message comes in by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postbearer.control import Operations, Principal, Right, WayIn, of_this_process
from postbearer.engine import Submitter
from postbearer.envelope import Recipient
from postbearer.errors import Conflict, NotPermitted, StoreError, SubmissionRefused, UsageError
from postbearer.message import BytesContent
from postbearer.store import Query
from support.relay import APP, Relay, account, relaying

ME = of_this_process()
OPERATOR = Principal("olga", "uid 1002", frozenset({Right.LOOK, Right.OPERATE}))
TEXT = b"From: app@example.org\r\nMessage-ID: <1@example.org>\r\nSubject: hi\r\n\r\nHello.\r\n"


def operations(relay: Relay, client: Submitter | None = APP, *, admits: bool = True) -> Operations:
    way = WayIn(relay.intake, lambda name: client, lambda client: admits)
    return Operations(relay.spool, relay.clock, relay.dispatcher, way_in=way)


async def count(relay: Relay) -> int:
    return len(await relay.spool.search(Query(limit=1000)))


async def test_a_new_message_has_the_content_and_the_recipients_of_the_first() -> None:
    async with relaying() as relay:
        wishes = Recipient("anna@example.net", notify=("NEVER",))
        old = await relay.submit(wishes, "ben@example.net", content=TEXT, priority=4)
        await relay.settle()
        done = await operations(relay).resending.resend(old, by=OPERATOR)
        assert (done.original, done.recipients) == (old, ("anna@example.net", "ben@example.net"))
        assert done.id != old
        first, second = await relay.entry(old), await relay.entry(done.id)
        assert second.message.sha256 == first.message.sha256
        assert second.message.client == "app"
        assert second.message.envelope == first.message.envelope
        await relay.settle()
        assert await relay.statuses(done.id) == ["delivered", "delivered"]
        [record] = [each.record for each in await relay.spool.audit.read(None, 10)]
        assert (record.action, record.message, record.detail, record.count, record.by) == (
            *("resend", old, f"as {done.id}", 2),
            "olga",
        )


async def test_some_recipients_may_be_chosen_and_others_only_by_who_may_read_messages() -> None:
    async with relaying() as relay:
        resending = operations(relay).resending
        wishes = Recipient("anna@example.net", notify=("NEVER",))
        old = await relay.submit(wishes, "ben@example.net", content=TEXT)
        to = ["anna@EXAMPLE.net", "anna@example.net"]
        done = await resending.resend(old, to, by=OPERATOR)
        assert (await relay.entry(done.id)).message.envelope.recipients == (wishes,)
        before = await count(relay)
        with pytest.raises(NotPermitted, match=r"was not for eve@example\.net.*\"admin\""):
            await resending.resend(old, ["ben@example.net", "eve@example.net"], by=OPERATOR)
        with pytest.raises(UsageError):
            await resending.resend(old, ["no address"], by=ME)
        assert await count(relay) == before
        other = await resending.resend(old, ["eve@example.net"], by=ME)
        assert other.recipients == ("eve@example.net",)


async def test_the_rules_are_those_of_now_and_of_the_client() -> None:
    async with relaying() as relay:
        old = await relay.submit(content=TEXT)
        narrow = Submitter(name="app", senders=("@shop.example.org",))
        with pytest.raises(UsageError, match=r"may not come in again: app may not send as app@example\.org"):
            await operations(relay, narrow).resending.resend(old, by=ME)
        with pytest.raises(UsageError, match=r"larger than 10 octets"):
            await operations(relay, replace(APP, size=10)).resending.resend(old, by=ME)
        with pytest.raises(UsageError, match="handed in by app, which is no client any more") as gone:
            await operations(relay, None).resending.resend(old, by=ME)
        assert "[[relay.clients]]" in gone.value.hint
        with pytest.raises(SubmissionRefused, match="not taken now: app has had its messages of this minute"):
            await operations(relay, admits=False).resending.resend(old, by=ME)
        with pytest.raises(UsageError, match="No relay runs"):
            await Operations(relay.spool, relay.clock).resending.resend(old, by=ME)
        assert await count(relay) == 1
        assert await relay.spool.audit.read(None, 10) == []


async def test_what_is_asked_twice_under_one_key_is_one_message() -> None:
    async with relaying() as relay:
        resending = operations(relay).resending
        old = await relay.submit("anna@example.net", "ben@example.net", content=TEXT)
        first = await resending.resend(old, key="k", by=ME)
        assert (await resending.resend(old, key="k", by=ME)).id == first.id
        with pytest.raises(Conflict):
            await resending.resend(old, ["ben@example.net"], key="k", by=ME)
        assert await count(relay) == 2
        assert len(await relay.spool.audit.read(None, 10)) == 1
        assert (await resending.resend(old, by=ME)).id != (await resending.resend(old, by=ME)).id


async def test_a_message_whose_content_is_gone_is_refused_with_words() -> None:
    async with relaying() as relay:
        resending = operations(relay).resending
        old = await relay.submit(content=TEXT)
        await relay.settle()
        await relay.spool.retire(relay.clock.now() + 1)
        with pytest.raises(UsageError, match="There is no message") as gone:
            await resending.resend(old, by=ME)
        assert "forgotten after some days, content and all" in gone.value.hint


async def test_content_that_cannot_be_read_to_its_end_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Torn(BytesContent):
        def blocks(self, size: int = 65536) -> Any:
            yield b"From: a@example.org\r\n"
            raise StoreError("Its hash differs.")

    async def torn(message: object) -> Torn:
        return Torn(TEXT)

    async with relaying() as relay:
        old = await relay.submit(content=TEXT)
        monkeypatch.setattr(relay.spool, "content", torn)
        with pytest.raises(StoreError, match="Its hash differs"):
            await operations(relay).resending.resend(old, by=ME)
        assert await count(relay) == 1


async def test_a_report_is_not_sent_again() -> None:
    async with relaying(account()) as relay:
        relay.providers["alerts"].answers = ["550 5.1.1 no"]
        old = await relay.submit(content=TEXT)
        await relay.settle()
        [report] = await relay.reports()
        with pytest.raises(UsageError, match="a report about another message"):
            await operations(relay).resending.resend(report.message.id, by=ME)
        assert (await operations(relay).resending.resend(old, by=ME)).original == old
