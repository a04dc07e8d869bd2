"""S5: logging in, and what guessing earns."""

from __future__ import annotations

import asyncio
import re
import threading
from base64 import b64encode
from typing import Any

import pytest

from postbearer.engine import Submitter
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.submission import Access, Admission, Logins, hash_password, is_password_hash, networks
from postbearer.submission import login as login_module
from postbearer.testing import ManualClock
from support.submitting import cheap_hash, offering, running

CANARY = "CANARY-77d1"
ALICE = Admission(Submitter(name="shop"), username="alice", password_hash=cheap_hash(CANARY))
# Everything is somebody's here, so that nobody is let in for being on this machine.
OFFER = offering(mechanisms=("PLAIN", "LOGIN"), auth_in_clear=True)
ELSEWHERE = Admission(Submitter(name="none"), networks(["127.0.0.0/8"]), "nobody", cheap_hash("x"))
ASKED: dict[str, Any] = {"offer": OFFER, "admissions": [ALICE, ELSEWHERE]}


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def plain(username: str = "alice", password: str = CANARY, authzid: str = "") -> str:
    return "AUTH PLAIN " + encoded(f"{authzid}\0{username}\0{password}")


async def test_plain_and_login_open_the_door() -> None:
    async with running(**ASKED) as relay:
        async with await relay.client() as client:
            assert "AUTH PLAIN LOGIN" in await client.say("EHLO client.example.org")
            assert (await client.say("MAIL FROM:<app@example.org>")).startswith("530 5.7.0")
            assert await client.say(plain()) == "235 2.7.0 Authentication successful"
            assert (await client.deliver()).startswith("250")
        async with await relay.client() as client:
            await client.say("EHLO client.example.org")
            assert await client.say("AUTH LOGIN") == "334 " + encoded("Username:")
            assert await client.say(encoded("alice")) == "334 " + encoded("Password:")
            assert (await client.say(encoded(CANARY))).startswith("235")
            assert (await client.say(plain())).startswith("503")
            assert (await client.deliver()).startswith("250")
        assert [message.client for message in await relay.messages()] == ["shop", "shop"]
        assert " with ESMTPA id " in (await relay.messages())[0].received


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("AUTH PLAIN =", "501"),
        ("AUTH PLAIN dGVzdA", "501"),
        ("AUTH PLAIN dGVz dA==", "501"),
        ("AUTH PLAIN dGVzdA==", "501"),
        ("AUTH PLAIN " + encoded("\0ali\rce\0x"), "501"),
        ("AUTH PLAIN " + encoded("\0" + "a" * 30_000 + "\0x"), "501"),
        ("AUTH PLAIN " + encoded("x" * 33_000), "500"),
        ("AUTH CRAM-MD5", "504"),
        ("AUTH", "501"),
        (plain(authzid="root"), "535"),
        (plain(authzid="alice"), "235"),
        (plain(password="wrong"), "535"),
        (plain(username="mallory"), "535"),
        (plain(username="ALICE"), "535"),
    ],
)
async def test_s5_each_attempt_has_its_reply(line: str, code: str) -> None:
    async with running(**ASKED) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        assert (await client.say(line))[:3] == code
        assert await client.say("NOOP") == "250 2.0.0 OK"


async def test_s5_a_cancelled_login() -> None:
    async with running(**ASKED) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        await client.say("AUTH LOGIN")
        assert (await client.say("*")).startswith("501")
        assert (await client.say("MAIL FROM:<app@example.org>")).startswith("530")


async def test_s5_after_six_bad_attempts_the_client_is_turned_away() -> None:
    async with running(**ASKED) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        said = [await client.say(plain(password=f"guess {n}")) for n in range(6)]
        assert {reply[:3] for reply in said[:5]} == {"535"}
        assert said[5].startswith("421 4.7.0")
        assert await client.reply() == ""


async def test_s5_unknown_user_and_wrong_password_are_told_the_same_for_the_same_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worked: list[str] = []
    real = login_module.password_fits

    def watched(password: Secret, phc: str) -> bool:
        worked.append(phc)
        return real(password, phc)

    monkeypatch.setattr(login_module, "password_fits", watched)
    async with running(**ASKED) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        wrong, unknown = await client.say(plain(password="x")), await client.say(plain("mallory", "x"))
        assert wrong == unknown
    (known, decoy) = worked
    assert known != decoy
    assert known.rpartition("$")[0].rpartition("$")[0] == decoy.rpartition("$")[0].rpartition("$")[0]
    assert len(known) == len(decoy)


@pytest.mark.parametrize("first", ["cheap", "costly"])
async def test_s5_a_failure_costs_the_same_whatever_the_hash_of_the_name(
    monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Hashes of different cost: whose name is tried, if anybody's, is not to be told by the time."""
    worked: list[str] = []
    monkeypatch.setattr(
        login_module, "password_fits", lambda password, phc: bool(worked.append(phc.rpartition("$")[0][:30]))
    )
    people = {
        "cheap": Admission(Submitter(name="a"), username="cheap", password_hash=cheap_hash("x")),
        "costly": Admission(Submitter(name="b"), username="costly", password_hash=cheap_hash("y", memory=64)),
        "same": Admission(Submitter(name="c"), username="same", password_hash=cheap_hash("z", memory=64)),
    }
    logins = Logins(Access(sorted(people.values(), key=lambda each: each.username != first)), ManualClock())
    costs = {}
    for name in ("cheap", "costly", "same", "nobody"):
        worked.clear()
        assert isinstance(await logins.verify(name, Secret("wrong"), "192.0.2.1"), Reply)
        costs[name] = sorted(re.findall("m=[0-9]+", " ".join(worked)))
    assert costs["cheap"] == ["m=64", "m=8"]
    assert all(cost == costs["cheap"] for cost in costs.values())


async def test_s5_tries_that_come_at_once_are_counted_like_those_that_come_in_turn() -> None:
    logins = Logins(Access([ALICE]), ManualClock())
    tries = [said(logins, f"guess {number}", "192.0.2.7") for number in range(60)]
    codes = [each.code for each in await asyncio.gather(*tries)]
    assert sorted(codes) == [454] * 40 + [535] * 20


async def test_s5_a_good_login_costs_none_of_the_failures_an_address_may_have() -> None:
    logins = Logins(Access([ALICE]), ManualClock())
    for number in range(19):
        await said(logins, f"guess {number}", "192.0.2.7")
    for _ in range(3):
        assert await logins.verify("alice", Secret(CANARY), "192.0.2.7") == ALICE
    assert (await said(logins, "guess", "192.0.2.7")).code == 535
    assert (await said(logins, "guess", "192.0.2.7")).code == 454


async def test_s5_who_guesses_from_many_connections_is_not_before_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the order of the work: of one address one waits at a time for a place."""
    order: list[str] = []
    heard = threading.Event()  # until then a guess takes its time, as the hash of a password does

    def fits(password: Secret, phc: str) -> bool:
        order.append(password.reveal())
        if password.reveal() == "other":
            heard.set()
        return not heard.wait(10)

    monkeypatch.setattr(login_module, "password_fits", fits)
    logins = Logins(Access([ALICE]), ManualClock())
    guesses = [logins.verify("alice", Secret(f"guess {n}"), f"2001:db8::{n:x}") for n in range(15)]
    other = logins.verify("alice", Secret("other"), "192.0.2.8")
    await asyncio.gather(*guesses, other)
    assert order.index("other") <= 2


async def test_s5_another_configuration_forgets_no_failure() -> None:
    logins = Logins(Access([ALICE]), ManualClock())
    for number in range(20):
        await said(logins, f"guess {number}", "192.0.2.7")
    logins.use(Access([ALICE, ELSEWHERE]))
    assert (await said(logins, "guess", "192.0.2.7")).code == 454


async def test_a_verified_login_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[bool] = []
    real = login_module.password_fits
    monkeypatch.setattr(
        login_module, "password_fits", lambda password, phc: worked.append(True) or real(password, phc)
    )
    clock = ManualClock()
    logins = Logins(Access([ALICE]), clock)
    for _ in range(3):
        assert await logins.verify("alice", Secret(CANARY), "192.0.2.1") == ALICE
    assert len(worked) == 1
    assert isinstance(await logins.verify("alice", Secret("wrong"), "192.0.2.1"), Reply)
    clock.advance(601)
    assert await logins.verify("alice", Secret(CANARY), "192.0.2.1") == ALICE
    assert len(worked) == 3


async def test_s5_an_address_that_guesses_is_not_heard_for_a_minute_others_are() -> None:
    clock = ManualClock()
    logins = Logins(Access([ALICE]), clock)
    assert await logins.verify("alice", Secret(CANARY), "192.0.2.7") == ALICE
    for number in range(20):
        assert (await said(logins, f"guess {number}", "192.0.2.7")).code == 535
    assert (await said(logins, "guess 21", "192.0.2.7")).code == 454
    assert await logins.verify("alice", Secret(CANARY), "192.0.2.7") == ALICE  # known, so no work
    assert await logins.verify("alice", Secret(CANARY), "192.0.2.8") == ALICE
    clock.advance(61)
    assert (await said(logins, "guess 22", "192.0.2.7")).code == 535


async def said(logins: Logins, password: str, address: str) -> Reply:
    answer = await logins.verify("alice", Secret(password), address)
    assert isinstance(answer, Reply)
    return answer


def test_a_hash_is_made_and_known_as_one() -> None:
    made = hash_password(Secret(CANARY))
    assert is_password_hash(made)
    assert login_module.password_fits(Secret(CANARY), made)
    assert CANARY not in made
    assert not is_password_hash("$2b$12$abc")
    assert not login_module.password_fits(Secret(CANARY), "not a hash")
    assert CANARY not in repr(ALICE)
    assert ALICE.password_hash not in repr(ALICE)
