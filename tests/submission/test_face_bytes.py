"""S1, S12, S18, S21 through a real socket: what arrives in the spool is what was sent, however it was cut."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.submitting import MESSAGE, Submission, running
from wire.test_server_end_of_data import BODY, SECOND, TAIL, VARIANTS, oracle

OPEN = b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
EIGHT_BIT = b"Subject: \xc3\xbc\r\n\r\n.dot\r\n..two\r\n\x80\xff\r\nno end of line"


async def test_all_parameters_reach_the_spool() -> None:
    async with running() as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        parameters = "SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb MT-PRIORITY=6"
        assert (await client.say(f"MAIL FROM:<jürgen@bücher.example> {parameters}")).startswith("250")
        rcpt = "RCPT TO:<anna@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;anna+40example.net"
        assert (await client.say(rcpt)).startswith("250")
        assert (await client.say("RCPT TO:<ben@example.net> NOTIFY=NEVER")).startswith("250")
        await client.say("DATA")
        assert (await client.say(MESSAGE + b".\r\n")).startswith("250 2.6.0 Queued as ")
        (message,) = await relay.messages()
        envelope = message.envelope
        assert envelope.reverse_path == "jürgen@bücher.example"
        assert (envelope.body, envelope.smtputf8, envelope.ret) == ("8BITMIME", True, "HDRS")
        assert (envelope.envid, envelope.priority) == ("a+b", 6)
        anna, ben = envelope.recipients
        assert (anna.notify, anna.orcpt) == (("SUCCESS", "DELAY"), "rfc822;anna@example.net")
        assert ben.notify == ("NEVER",)
        assert " with UTF8SMTP id " in message.received
        assert "[127.0.0.1]" in message.received


async def test_content_in_chunks_and_binary_content_is_kept_as_it_came() -> None:
    binary = bytes(range(256)) * 3
    async with running() as relay, await relay.client() as client:
        await client.addressed()
        assert (await client.say(b"BDAT 20\r\n" + EIGHT_BIT[:20])).startswith("250")
        rest = EIGHT_BIT[20:] + b"\r\n"
        assert (await client.say(b"BDAT 0\r\n")).startswith("250")
        assert (await client.say(b"BDAT %d LAST\r\n%b" % (len(rest), rest))).startswith("250 2.6.0 Queued")
        await client.say("MAIL FROM:<a@example.org> BODY=BINARYMIME")
        await client.say("RCPT TO:<b@example.net>")
        assert (await client.say(b"BDAT %d LAST\r\n%b" % (len(binary), binary))).startswith("250")
        first, second = await relay.contents()
        assert (first, second) == (EIGHT_BIT + b"\r\n", binary)


async def test_s12_octets_of_a_refused_chunk_are_never_commands() -> None:
    async with running() as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        evil = b"MAIL FROM:<x@evil.example>\r\n"
        assert (await client.say(b"BDAT %d LAST\r\n%b" % (len(evil), evil))).startswith("503")
        assert (await client.say("RCPT TO:<b@example.net>")).startswith("503")
        assert await relay.messages() == []


async def whole(relay: Submission, pieces: list[bytes]) -> tuple[list[str], list[bytes]]:
    """What was answered up to the end, and what was kept, when a client sends `pieces`."""
    before = len(await relay.messages())
    async with await relay.client() as client:
        for piece in pieces:
            client.send(piece)
            await asyncio.sleep(0)
        client.half_close()
        said = [re.sub(r"Queued as .*", "Queued", reply) for reply in await client.all_replies()]
    return said, (await relay.contents())[before:]


FLIGHTS = [
    OPEN + b"BDAT 5\r\nab\r\nc" + b"BDAT 6 LAST\r\n\r\nxy\r\n" + b"NOOP\r\nQUIT\r\n",
    OPEN + b"BDAT %d LAST\r\n%b" % (len(MESSAGE), MESSAGE) + OPEN[8:] + b"RSET\r\nQUIT\r\n",
    OPEN + b"RCPT TO:<c@example.net>\r\nBDAT 0 LAST\r\nWRONG\r\n",
    OPEN + b"BDAT 4 LAST\r\na\nb\n" + OPEN,
    b"EHLO x\r\nAUTH PLAIN =\r\nMAIL FROM:<> SIZE=1\r\nRCPT TO:<x@y>\r\nBDAT 3 LAST\r\nabc" + b"NOOP\n",
]


@pytest.mark.parametrize("flight", FLIGHTS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_s21_the_cut_makes_no_difference(flight: bytes, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(1, len(flight) - 1), max_size=8)))
    cut = [flight[start:end] for start, end in zip([0, *places], [*places, len(flight)], strict=True)]

    async def compare() -> None:
        async with running() as relay:
            expected = await whole(relay, [flight])
            assert await whole(relay, cut) == expected
            assert await whole(relay, [bytes([octet]) for octet in flight]) == expected

    asyncio.run(compare())


async def test_s1_a_sample_of_all_neighbours_of_a_dot(long: bool) -> None:
    clean = [
        variant for variant in VARIANTS if oracle(BODY + variant[0] + b"." + variant[1] + TAIL + SECOND)[0]
    ]
    async with running() as relay:
        for before, after in VARIANTS if long else [*VARIANTS[::16], *clean]:
            stream = BODY + before + b"." + after + TAIL + SECOND
            content, rest = oracle(stream)
            count = len(await relay.messages())
            async with await relay.client() as client:
                await client.addressed()
                await client.say("DATA")
                client.send(stream[: -len(SECOND)])
                first = await client.reply() if rest or (content is None and rest) else ""
                client.send(SECOND)
                client.half_close()
                said = [first, *await client.all_replies()] if first else await client.all_replies()
            kept = (await relay.contents())[count:]
            if content is None:
                assert (said, kept) == (["521 5.5.2 Bare CR, bare LF or NUL in the content"], []), (
                    before,
                    after,
                )
            else:
                assert said[0].startswith("250"), (before, after)
                assert kept[0] == content
                assert kept[1:] == [b"hi\r\n"] * (rest == TAIL + SECOND)


async def test_fifty_connections_at_once_that_pipeline() -> None:
    async def session(relay: Submission, number: int) -> None:
        async with await relay.client() as client:
            assert (await client.say("EHLO client.example.org")).startswith("250")
            for turn in range(4):
                body = b"Subject: %d.%d\r\n\r\n%b\r\n" % (number, turn, b"x" * number * 50)
                client.send(
                    b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\n"
                    b"BDAT %d LAST\r\n%b" % (len(body), body)
                )
            assert await client.replies(16) == ["250"] * 16

    async with running() as relay:
        await asyncio.gather(*(session(relay, number) for number in range(50)))
        subjects = sorted(content.split(b"\r\n")[0] for content in await relay.contents())
        assert subjects == sorted(b"Subject: %d.%d" % (n, turn) for n in range(50) for turn in range(4))
