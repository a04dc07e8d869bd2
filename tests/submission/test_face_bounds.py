"""S13, S16: slow, silent, many and confused clients; the others do not feel them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from postbearer.engine import Submitter
from postbearer.serving import link
from postbearer.submission import Admission, ConnectionLimit, RateLimit, SessionLimits, networks
from postbearer.testing import ManualClock
from postbearer.wire import LineLimits
from support.submitting import MESSAGE, Talk, offering, running


async def test_s16_a_silent_client_is_told_so_and_let_go() -> None:
    async with running(bounds=SessionLimits(command=0.05)) as relay, await relay.client() as client:
        assert await client.all_replies() == ["421 4.4.2 Took too long"]


async def test_s16_a_command_that_trickles_in_is_no_command() -> None:
    async with running(bounds=SessionLimits(command=0.1)) as relay, await relay.client() as client:
        trickle = asyncio.create_task(trickling(client, b"N"))
        assert await client.all_replies() == ["421 4.4.2 Took too long"]
        trickle.cancel()


async def test_s16_a_client_that_only_chats_is_let_go() -> None:
    offer = offering(limits=LineLimits(max_junk=10**6))
    async with (
        running(bounds=SessionLimits(session=0.1), offer=offer) as relay,
        await relay.client() as client,
    ):
        trickle = asyncio.create_task(trickling(client, b"NOOP\r\n"))
        assert (await client.all_replies())[-1] == "421 4.4.2 Took too long"
        trickle.cancel()


async def test_s16_content_has_to_come_at_a_rate() -> None:
    async with running(bounds=SessionLimits(grace=0.1, slowest=500.0)) as relay:
        async with await relay.client() as client:
            await client.addressed()
            await client.say("DATA")
            trickle = asyncio.create_task(trickling(client, b"x"))
            assert await client.all_replies() == ["421 4.4.2 Took too long"]
            trickle.cancel()
        assert await relay.messages() == []


async def test_s16_between_chunks_too() -> None:
    async with running(bounds=SessionLimits(grace=0.1)) as relay, await relay.client() as client:
        await client.addressed()
        assert (await client.say(b"BDAT 2\r\nab")).startswith("250")
        assert await client.all_replies() == ["421 4.4.2 Took too long"]


async def trickling(client: Talk, piece: bytes) -> None:
    while True:
        client.send(piece)
        await asyncio.sleep(0.02)


async def test_s16_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LINGER", 0.1)
    offer = offering(limits=LineLimits(max_junk=10**9))
    async with running(bounds=SessionLimits(write=0.1), offer=offer) as relay:
        end = socket.socket()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.setblocking(False)
        loop = asyncio.get_running_loop()
        with end:
            await loop.sock_connect(end, ("127.0.0.1", relay.port))
            await loop.sock_sendall(end, b"EHLO client.example.org\r\n")
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    while True:  # until the server has hung up, whose patience is short
                        await loop.sock_sendall(end, b"NOOP\r\n" * 10_000)
                        if not relay.listener._tasks:
                            break
        async with await relay.client() as other:
            assert (await other.deliver()).startswith("250")


async def test_s16_no_more_than_so_many_connections() -> None:
    async with running(bounds=SessionLimits(connections=3)) as relay, contextlib.AsyncExitStack() as stack:
        inside = [await stack.enter_async_context(await relay.client()) for _ in range(3)]
        async with await Talk.open("127.0.0.1", relay.port) as fourth:
            assert await fourth.all_replies() == ["421 4.7.0 Too many connections, try again later"]
        assert (await inside[0].deliver()).startswith("250")
        await inside[0].say("QUIT")
        assert await inside[0].reply() == ""
        async with await relay.client() as fifth:
            assert (await fifth.deliver()).startswith("250")


def test_s16_one_address_does_not_take_all_places() -> None:
    doors = ConnectionLimit(
        SessionLimits(connections=5, connections_per_client=2, connections_of_this_machine=4)
    )
    with contextlib.ExitStack() as stack:
        said = [stack.enter_context(doors.enter("192.0.2.1")) for _ in range(3)]
        assert said == ["", "", "Too many connections from your address"]
        said = [
            stack.enter_context(doors.enter(peer))
            for peer in ("192.0.2.2", "127.0.0.1", "uid 0", "192.0.2.3")
        ]
        assert said == ["", "", "", "Too many connections"]
    with doors.enter("192.0.2.1") as again:
        assert again == ""


def test_s16_all_of_a_loopback_network_and_of_an_ipv6_network_is_one_machine() -> None:
    doors = ConnectionLimit(SessionLimits(connections_per_client=2, connections_of_this_machine=3))
    with contextlib.ExitStack() as stack:

        def enter(*peers: str) -> list[bool]:
            return [not stack.enter_context(doors.enter(peer)) for peer in peers]

        assert enter("127.0.0.1", "127.0.0.2", "127.9.9.9", "127.0.0.3") == [True, True, True, False]
        assert enter("2001:db8::1", "2001:db8::ffff:2", "2001:db8::3") == [True, True, False]
        assert enter("2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1")[-2:] == [True, False]


@pytest.mark.parametrize("greedy", range(4))
def test_s16_no_kind_of_client_takes_the_last_places_of_another(greedy: int) -> None:
    doors = ConnectionLimit(SessionLimits(connections_of_this_machine=200))
    kinds = [
        [(f"uid {n % 4}", False) for n in range(250)],
        [(f"127.0.0.{n}", False) for n in range(250)],
        [(f"192.0.2.{n}", True) for n in range(250)],
        [(f"198.51.100.{n}", False) for n in range(250)],
    ]
    with contextlib.ExitStack() as stack:

        def enter(kind: int, most: int) -> int:
            peers = kinds[kind][:most]
            return sum(not stack.enter_context(doors.enter(peer, named=named)) for peer, named in peers)

        assert enter(greedy, 250) == 76
        for other in {0, 1, 2, 3} - {greedy}:
            assert enter(other, 8) == 8
        assert enter(greedy, 250) == 0


async def test_a_client_gets_its_messages_a_minute_and_no_more() -> None:
    clock = ManualClock()
    admission = Admission(Submitter(name="shop", messages_per_minute=2), networks(["127.0.0.1"]))
    async with running(clock=clock, admissions=[admission]) as relay, await relay.client() as client:
        for _ in range(2):
            assert (await client.deliver()).startswith("250")
        await client.say("EHLO client.example.org")
        assert (await client.say("MAIL FROM:<app@example.org>")).startswith("450 4.7.1")
        clock.advance(61)
        assert (await client.deliver()).startswith("250")


def test_rates_are_counted_in_a_sliding_minute_and_forgotten() -> None:
    clock = ManualClock()
    rate_limit = RateLimit(clock)
    client = Submitter(name="shop", messages_per_minute=2)
    assert [rate_limit.admit(client) for _ in range(3)] == [True, True, False]
    clock.advance(59)
    assert not rate_limit.admit(client)
    clock.advance(1)
    assert rate_limit.admit(client)
    assert all(rate_limit.admit(Submitter(name="free")) for _ in range(1000))


async def test_errors_are_answered_slower_and_then_not_at_all() -> None:
    clock = ManualClock()
    async with running(clock=clock) as relay, await relay.client() as client:
        said = [await client.say("WRONG") for _ in range(20)]
        assert said[-1].startswith("421")
        assert len(clock.slept) >= 9
        assert set(clock.slept) == {1.0}


async def test_s13_who_speaks_before_the_greeting_is_turned_away() -> None:
    async with running() as relay:
        end = socket.create_connection(("127.0.0.1", relay.port))
        end.sendall(b"EHLO client.example.org\r\nMAIL FROM:<a@example.org>\r\n")
        async with await Talk.open(None, None, sock=end) as client:
            (said,) = await client.all_replies()
        assert said.startswith("554")


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"PROXY TCP4\r\n",
    ],
)
async def test_s14_other_protocols_hang_up_on_the_first_word(line: bytes) -> None:
    async with running() as relay, await relay.client() as client:
        client.send(line)
        said = await client.all_replies()
        assert len(said) == 1
        assert said[0][:3] in ("421", "554")


async def test_s13_behind_quit_nothing_is_done() -> None:
    async with running() as relay, await relay.client() as client:
        client.send(b"QUIT\r\nEHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n")
        assert await client.all_replies() == ["221 2.0.0 Bye"]


async def test_s16_half_closed_behind_the_content_still_gets_its_250() -> None:
    async with running() as relay:
        async with await relay.client() as client:
            await client.addressed()
            await client.say("DATA")
            client.send(MESSAGE + b".\r\n")
            client.writer.write_eof()
            said = await client.all_replies()
        assert [reply[:3] for reply in said] == ["250"]
        assert len(await relay.messages()) == 1


async def test_s12_a_connection_lost_inside_content_leaves_nothing() -> None:
    async with running() as relay:
        for begin in (b"DATA\r\n", b"BDAT 10 LAST\r\n"):
            client = await relay.client()
            await client.addressed()
            client.send(begin + (b"" if begin == b"DATA\r\n" else b"12345"))
            client.writer.transport.abort()
        async with await relay.client() as other:
            assert (await other.say("NOOP")).startswith("250")
        assert await relay.messages() == []


async def test_s10_oversize_content_is_read_to_its_end_and_refused() -> None:
    async with running(offer=offering(limits=LineLimits(max_size=1000))) as relay:
        async with await relay.client() as client:
            assert "SIZE 1000" in await client.say("EHLO client.example.org")
            for bad, code in (("1001", "552"), ("9" * 20, "552"), ("-1", "501"), ("1e3", "501"), ("", "501")):
                assert (await client.say(f"MAIL FROM:<a@example.org> SIZE={bad}"))[:3] == code
            long = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 100
            assert (await client.deliver(long)).startswith("552")
            assert (await client.deliver()).startswith("250")
            await client.addressed()
            assert (await client.say(b"BDAT 2000 LAST\r\n" + b"x" * 2000)).startswith("552")
            assert (await client.deliver()).startswith("250")
        assert await relay.contents() == [MESSAGE, MESSAGE]


async def test_s11_recipients_over_the_limit_wait_for_the_next_transaction() -> None:
    async with running(offer=offering(limits=LineLimits(max_recipients=3))) as relay:
        async with await relay.client() as client:
            await client.addressed()
            said = [await client.say(f"RCPT TO:<b{n}@example.net>") for n in range(3)]
            assert [reply[:9] for reply in said] == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]
            await client.say("DATA")
            assert (await client.say(MESSAGE + b".\r\n")).startswith("250")
        (message,) = await relay.messages()
        assert len(message.envelope.recipients) == 3


async def test_a_long_pipelined_group_lets_the_others_have_their_turn() -> None:
    """Counted in turns of the event loop: each of them is one in which others are served."""
    async with running() as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        await client.say("MAIL FROM:<app@example.org>")
        turns, core = 0, next(iter(relay.listener._sessions))._core

        async def count() -> None:
            nonlocal turns
            while True:
                turns += core.owed is not None or bool(core.buffered)  # in the middle of the group
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        client.send(b"RCPT TO:<b@example.net>\r\n" * 1000)
        assert set(await client.replies(1000)) == {"250"}
        counting.cancel()
    assert turns >= 1000 // 32 - 1
