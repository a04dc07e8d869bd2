"""What a server says without end is bounded where it is kept, and not only where it is read."""

from __future__ import annotations

import logging
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.events import DeliveryEnded
from postbearer.log import JsonFormatter, sentence
from postbearer.outcome import State
from postbearer.reply import KEPT, LINES, TEXT, Reply
from postbearer.store import Status
from postbearer.testing import conversation
from postbearer.testing.stream import Send
from support.provider import CONTENT, envelope, opened, with_provider
from support.relay import relaying

LINE = b"5.7.1 " + b"no " * 80
LONG = b"".join(b"550-" + LINE + b"\r\n" for _ in range(4000)) + b"550 " + LINE + b"\r\n"  # about 1 MiB


@given(st.lists(st.binary(max_size=300).filter(lambda line: b"\n" not in line), min_size=1, max_size=200))
def test_the_text_of_a_reply_is_bounded_and_begins_as_it_does(lines: list[bytes]) -> None:
    reply = Reply(550, tuple(lines))
    assert len(reply.text) <= TEXT
    assert len(str(reply)) <= TEXT + 4
    short = reply.short
    assert sum(map(len, short.lines)) <= KEPT
    assert len(short.lines) <= LINES
    assert b"".join(reply.lines).startswith(b"".join(short.lines))
    assert (short is reply) is (sum(map(len, lines)) <= KEPT and len(lines) <= LINES)


@pytest.mark.parametrize("recipients", [1, 20])
async def test_a_reply_of_a_mib_to_each_recipient_costs_kilobytes_each(recipients: int) -> None:
    said = b"250 ok\r\n" + LONG * recipients + b"554 no valid recipients\r\n"
    script = conversation(opened(), Send(said))
    provider = with_provider(script)
    tracemalloc.start()
    receipt = await provider.deliver(envelope(*(f"u{n}@example.net" for n in range(recipients))), CONTENT)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {outcome.state for outcome in receipt.outcomes} == {State.FAILED}
    texts = [str(outcome) for outcome in receipt.outcomes]
    assert max(map(len, texts)) < 1200
    replies = [outcome.reply for outcome in receipt.outcomes if outcome.reply is not None]
    assert len(replies) == recipients
    assert max(len(b"".join(reply.lines)) for reply in replies) <= KEPT
    assert kept < len(said) + 1_000_000 + 20_000 * recipients


@pytest.mark.once
async def test_what_is_stored_and_logged_of_a_thousand_long_refusals_is_small() -> None:
    long = "550 5.7.1 " + "no " * 3000
    async with relaying() as relay:
        relay.providers["alerts"].always = long
        message = await relay.submit(*(f"user{number}@example.net" for number in range(1000)))
        await relay.settle()
        rows = (await relay.entry(message)).rows
        assert {row.status for row in rows} == {Status.FAILED}
        assert max(len(row.reply) for row in rows) <= TEXT + 4
        ends = [event for event in relay.said(DeliveryEnded) if event.id == message]
        assert sum(len(event.fates) for event in ends) == 1000  # nobody is left out
        for ended in ends:
            assert len(sentence(ended)) < 20_000
            record = logging.LogRecord("postbearer", logging.INFO, "", 0, sentence(ended), None, None)
            record.event = ended
            assert len(JsonFormatter().format(record)) < 400 * len(ended.fates) + 40_000
