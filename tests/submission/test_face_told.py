"""What the log hears of those who are not let in: enough to act upon, and never a flood."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from postbearer.events import LoginFailed, TurnedAway, Warned
from postbearer.log import sentence
from postbearer.submission import RejectLog, SessionLimits
from postbearer.testing import ManualClock
from submission.test_face_login import ASKED, CANARY, ELSEWHERE, plain
from support.relay import Ears
from support.submitting import Talk, running


def said(ears: Ears, kind: type) -> list[Any]:
    return [each for each in ears.events if isinstance(each, kind)]


async def test_whoever_finds_no_room_is_told_of_once_a_minute() -> None:
    ears, clock = Ears(), ManualClock()
    bounds = SessionLimits(connections=1)
    async with running(bounds=bounds, observer=ears, clock=clock) as relay, await relay.client():
        for _ in range(5):
            async with await Talk.open("127.0.0.1", relay.port) as other:
                assert await other.all_replies() == ["421 4.7.0 Too many connections, try again later"]
        (away,) = said(ears, TurnedAway)
        assert (away.peer, away.reason) == ("127.0.0.1", "Too many connections")
        clock.advance(61)
        async with await Talk.open("127.0.0.1", relay.port) as other:
            await other.all_replies()
    assert len(said(ears, TurnedAway)) == 2
    assert sentence(away) == "127.0.0.1 was turned away: Too many connections"


async def test_so_is_a_stranger_who_wants_to_send() -> None:
    ears = Ears()
    async with running(admissions=[ELSEWHERE], observer=ears) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        assert (await client.say("MAIL FROM:<app@example.org>")).startswith("550 5.7.1")
        assert (await client.say("MAIL FROM:<app@example.org>")).startswith("550 5.7.1")
    (away,) = said(ears, TurnedAway)
    assert "the client none names its network with a login" in away.reason
    assert away.reason.endswith('networks = ["127.0.0.0/8", "::1"] and no username.')


async def test_whoever_does_not_log_in_is_told_of_where_others_do() -> None:
    ears = Ears()
    async with running(**ASKED, observer=ears) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        assert (await client.say("MAIL FROM:<app@example.org>")).startswith("530 5.7.0")
    (away,) = said(ears, TurnedAway)
    assert away.reason.startswith("It did not log in")


@pytest.mark.parametrize(
    ("said_first", "reason"),
    [
        (b"\x16\x03\x01\x00\xa5\x01", "spoke TLS"),
        (b"GET / HTTP/1.1\r\n", "spoke another protocol"),
        (b"EHLO x\n", "a command ended in a bare LF"),
        (b"NONSENSE\r\n" * 20, "421 4.7.0 Too many errors, closing"),
    ],
)
async def test_so_is_a_client_that_does_not_speak_smtp(said_first: bytes, reason: str) -> None:
    ears = Ears()
    async with running(observer=ears, clock=ManualClock()) as relay, await relay.client() as client:
        client.send(said_first)
        await client.all_replies()
    assert [each.reason for each in said(ears, TurnedAway)] == [reason]


async def test_so_is_one_that_speaks_first() -> None:
    ears = Ears()
    async with running(observer=ears) as relay:
        end = socket.create_connection(("127.0.0.1", relay.port))
        end.sendall(b"EHLO client.example.org\r\n")
        async with await Talk.open(None, None, sock=end) as client:
            assert [each[:3] for each in await client.all_replies()] == ["554"]
    assert [each.reason for each in said(ears, TurnedAway)] == ["spoke before the greeting"]


async def test_a_client_that_leaves_is_no_news() -> None:
    ears = Ears()
    async with running(observer=ears) as relay:
        async with await relay.client() as client:
            client.half_close()
            await client.all_replies()
        async with await relay.client() as client:
            await client.say("QUIT")
            await client.all_replies()
    assert said(ears, TurnedAway) == []


async def test_that_the_relay_stops_is_no_fault_of_its_clients() -> None:
    ears = Ears()
    async with running(observer=ears) as relay, contextlib.AsyncExitStack() as stack:
        idle, done, busy = [await stack.enter_async_context(await relay.client()) for _ in range(3)]
        assert (await done.deliver()).startswith("250")
        await busy.addressed()
        stopping = asyncio.create_task(relay.listener.stop(10.0))
        for client in (idle, done):
            assert (await client.all_replies()) == ["421 4.3.2 The relay is shutting down"]
        await busy.say("RSET")
        await busy.all_replies()
        await stopping
    assert said(ears, TurnedAway) == []


def test_many_strangers_make_no_flood() -> None:
    ears = Ears()
    clock = ManualClock()
    reject_log = RejectLog(clock, ears)
    for number in range(10_000):
        reject_log.turned_away(f"2001:db8::{number:x}", "Too many connections")
        reject_log.login_failed(f"2001:db8::{number:x}", "alice")
    assert len(said(ears, TurnedAway)) == len(said(ears, LoginFailed)) == 30
    (last,) = said(ears, Warned)  # that there are more is said once
    assert last is ears.events[-1]
    clock.advance(61)
    reject_log.login_failed("192.0.2.1", "alice")
    assert ears.events[-1] == LoginFailed("", peer="192.0.2.1", username="alice")


@pytest.mark.parametrize(
    ("username", "password", "told"),
    [("alice", "wrong", ["alice"]), (CANARY, "alice", [""]), ("alice", CANARY, [])],
)
async def test_a_login_that_failed_is_told_without_what_may_be_a_password(
    username: str, password: str, told: list[str]
) -> None:
    ears = Ears()
    async with running(**ASKED, observer=ears) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        await client.say(plain(username, password))
    assert [each.username for each in said(ears, LoginFailed)] == told
    assert CANARY not in "".join(map(sentence, ears.events))
