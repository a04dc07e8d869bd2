"""One message in as few round trips as the server allows, counted."""

from __future__ import annotations

import pytest

from postbearer.message import BytesContent
from postbearer.outcome import State
from postbearer.testing import Expect, ExpectContent, ExpectOctets, conversation, lines
from postbearer.testing.stream import Step
from support.provider import ALL, CONTENT, MESSAGE, TWO_TRIPS, envelope, one_flight, opened, with_provider

LINES: list[Step] = [Expect(line) for line in MESSAGE.decode().split("\r\n")[:-1]]


async def test_one_round_trip_with_pipelining_and_chunking() -> None:
    provider = with_provider(opened() + one_flight() + one_flight())
    await provider.deliver(envelope(), CONTENT)
    opening = provider.streams[0].turns
    receipt = await provider.deliver(envelope(), CONTENT)
    assert provider.streams[0].turns - opening == 1
    assert len(provider.streams) == 1
    assert receipt.outcomes[0].state is State.DELIVERED
    assert receipt.queue_id == "ABC123"


async def test_the_flight_leaves_in_one_write() -> None:
    provider = with_provider(opened() + one_flight("250 ok", "250 ok"))
    await provider.deliver(envelope("anna@example.net", "bert@example.net"), CONTENT)
    assert provider.tap.writes[-1] == (
        b"MAIL FROM:<alerts@example.org> SIZE=%d\r\n" % len(MESSAGE)
        + b"RCPT TO:<anna@example.net>\r\nRCPT TO:<bert@example.net>\r\n"
        + b"BDAT %d LAST\r\n" % len(MESSAGE)
        + MESSAGE
    )


async def test_an_extension_that_the_server_gets_wrong_is_left_unused() -> None:
    transaction = conversation(
        [Expect("MAIL FROM:<alerts@example.org>"), lines("250 ok"), Expect("RCPT"), lines("250 ok")],
        [Expect("DATA"), lines("354 go"), ExpectContent(), lines("250 ok")],
    )
    provider = with_provider(opened() + transaction, unused=("chunking", "pipelining", "size"))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DELIVERED


async def test_two_round_trips_with_pipelining() -> None:
    transaction = conversation(
        Expect("MAIL"),
        Expect("RCPT"),
        Expect("DATA"),
        lines("250 ok", "250 ok", "354 go"),
        ExpectContent(),
        lines("250 ok"),
    )
    provider = with_provider(opened(*TWO_TRIPS) + transaction * 2)
    await provider.deliver(envelope(), CONTENT)
    opening = provider.streams[0].turns
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DELIVERED
    assert provider.streams[0].turns - opening == 2


async def test_four_round_trips_with_neither() -> None:
    transaction = conversation(
        [Expect("MAIL"), lines("250 ok"), Expect("RCPT"), lines("250 ok")],
        [Expect("DATA"), lines("354 go"), ExpectContent(), lines("250 ok")],
    )
    provider = with_provider(opened("8BITMIME") + transaction * 2)
    await provider.deliver(envelope(), CONTENT)
    opening = provider.streams[0].turns
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DELIVERED
    assert provider.streams[0].turns - opening == 4


async def test_large_content_waits_until_somebody_is_accepted() -> None:
    large = BytesContent((b"x" * 62 + b"\r\n") * 8192)  # 512 KiB
    provider = with_provider(
        conversation(
            opened(),
            [Expect("MAIL"), Expect("RCPT"), lines("250 ok", "250 ok")],
            [Expect("BDAT 262144"), ExpectOctets(262144), Expect("BDAT 262144 LAST"), ExpectOctets(262144)],
            lines("250 chunk", "250 ok"),
        )
    )
    receipt = await provider.deliver(envelope(), large)
    assert receipt.outcomes[0].state is State.DELIVERED


async def test_large_content_is_not_sent_for_nobody() -> None:
    large = BytesContent((b"x" * 62 + b"\r\n") * 8192)
    provider = with_provider(
        conversation(opened(), [Expect("MAIL"), Expect("RCPT"), lines("250 ok", "550 5.1.1 unknown")])
    )
    receipt = await provider.deliver(envelope(), large)
    assert receipt.outcomes[0].state is State.FAILED
    assert b"BDAT" not in provider.tap.sent


async def test_no_chunk_follows_a_refused_one() -> None:
    large = BytesContent((b"x" * 62 + b"\r\n") * 16384 * 2)  # 2 MiB: more than a window
    steps: list[Step] = []
    for _ in range(4):
        steps += [Expect("BDAT 262144"), ExpectOctets(262144)]
    provider = with_provider(
        conversation(
            opened("PIPELINING", "CHUNKING"),
            [Expect("MAIL"), Expect("RCPT"), lines("250 ok", "250 ok")],
            steps,
            lines("552 5.3.4 too big", "503 no", "503 no", "503 no"),
            [Expect("RSET"), lines("250 ok")],
            one_flight(),
        )
    )
    receipt = await provider.deliver(envelope(), large)
    assert receipt.outcomes[0].state is State.FAILED
    assert str(receipt.outcomes[0].reply) == "552 5.3.4 too big"
    again = await provider.deliver(envelope(), CONTENT)  # RSET came first (RFC 3030 2)
    assert again.outcomes[0].state is State.DELIVERED
    assert len(provider.streams) == 1


async def test_an_old_connection_is_tried_before_content_leaves() -> None:
    """It may be dead without our knowing; then nothing must be in doubt."""
    provider = with_provider(
        conversation(
            opened(),
            one_flight(),
            [Expect("MAIL"), Expect("RCPT"), lines("250 ok", "250 ok")],
            [Expect("BDAT"), *LINES, lines("250 ok")],
        )
    )
    await provider.deliver(envelope(), CONTENT)
    provider.clock.advance(6)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DELIVERED


@pytest.mark.parametrize("keywords", [ALL, TWO_TRIPS, ("8BITMIME",)])
async def test_everybody_refused_leaves_the_connection_usable(keywords: tuple[str, ...]) -> None:
    refused = "550 5.1.1 unknown"
    first: dict[tuple[str, ...], list[Step]] = {
        ALL: one_flight(refused, final="503 5.5.1 no recipients"),
        TWO_TRIPS: conversation(
            [Expect("MAIL"), Expect("RCPT"), Expect("DATA"), lines("250 ok", refused, "354 go")],
            [Expect("."), lines("554 5.5.1 nobody")],
        ),
        ("8BITMIME",): [Expect("MAIL"), lines("250 ok"), Expect("RCPT"), lines(refused)],
    }
    reset: list[Step] = [] if keywords == TWO_TRIPS else [Expect("RSET"), lines("250 ok")]
    provider = with_provider(conversation(opened(*keywords), first[keywords], reset, first[keywords]))
    for _ in range(2):
        receipt = await provider.deliver(envelope(), CONTENT)
        assert receipt.outcomes[0].state is State.FAILED
        assert str(receipt.outcomes[0].reply) == refused
    assert len(provider.streams) == 1
