"""HOLDFOR and HOLDUNTIL at the relay's door (RFC 4865): who may say them, and what becomes of the message."""

from __future__ import annotations

from base64 import b64encode

import pytest

from postbearer.engine import LONGEST_HOLD, Submitter
from postbearer.store import Message
from postbearer.submission import Admission, networks
from postbearer.testing import ManualClock
from support.submitting import MESSAGE, cheap_hash, offering, running

START = 1_800_000_000.0
OFFER = offering(longest_hold=LONGEST_HOLD)


async def kept(parameter: str) -> Message:
    async with running(offer=OFFER, clock=ManualClock(START)) as relay, await relay.client() as talk:
        assert "FUTURERELEASE 2592000 2027-02-14T08:00:00Z" in await talk.say("EHLO client.example.org")
        assert (await talk.say(f"MAIL FROM:<app@example.org> {parameter}")).startswith("250")
        assert (await talk.say("RCPT TO:<b@example.net>")).startswith("250")
        assert (await talk.say("DATA")).startswith("354")
        assert (await talk.say(MESSAGE + b".\r\n")).startswith("250 2.6.0 Queued as ")
        (message,) = await relay.messages()
        return message


@pytest.mark.parametrize(
    ("parameter", "send_at"),
    [
        ("HOLDFOR=3600", START + 3600),
        (f"HOLDFOR={LONGEST_HOLD}", START + LONGEST_HOLD),
        ("HOLDUNTIL=2027-01-15T09:00:00Z", START + 3600),
        ("HOLDUNTIL=2027-02-14T08:00:00Z", START + LONGEST_HOLD),
        ("HOLDUNTIL=2027-01-15T08:00:00Z", None),
        ("HOLDUNTIL=1970-01-01T00:00:00Z", None),
        ("", None),
    ],
)
async def test_the_message_waits_for_its_time(parameter: str, send_at: float | None) -> None:
    message = await kept(parameter)
    assert message.send_at == send_at
    assert message.expires == (send_at or START) + 5 * 86_400


@pytest.mark.parametrize(
    "parameter",
    [f"HOLDFOR={LONGEST_HOLD + 1}", "HOLDUNTIL=2027-02-14T08:00:01Z", "HOLDUNTIL=9999-12-31T23:59:59Z"],
)
async def test_what_is_too_far_is_refused_at_mail(parameter: str) -> None:
    async with running(offer=OFFER, clock=ManualClock(START)) as relay, await relay.client() as talk:
        await talk.say("EHLO client.example.org")
        reply = await talk.say(f"MAIL FROM:<app@example.org> {parameter}")
        assert reply == "501 5.5.4 A message is held for 30 days at most"
        assert (await talk.say("RCPT TO:<b@example.net>")).startswith("503")
        assert (await talk.say("MAIL FROM:<app@example.org>")).startswith("250")


async def test_the_time_of_one_message_is_not_that_of_the_next() -> None:
    async with running(offer=OFFER, clock=ManualClock(START)) as relay, await relay.client() as talk:
        await talk.say("EHLO client.example.org")
        for parameter in (" HOLDFOR=60", ""):
            await talk.say(f"MAIL FROM:<app@example.org>{parameter}")
            await talk.say("RCPT TO:<b@example.net>")
            await talk.say("DATA")
            await talk.say(MESSAGE + b".\r\n")
        assert sorted(each.send_at or 0 for each in await relay.messages()) == [0, START + 60]


async def test_it_works_by_chunks() -> None:
    async with running(offer=OFFER, clock=ManualClock(START)) as relay, await relay.client() as talk:
        await talk.say("EHLO client.example.org")
        await talk.say("MAIL FROM:<app@example.org> HOLDFOR=60")
        await talk.say("RCPT TO:<b@example.net>")
        assert (await talk.say(f"BDAT {len(MESSAGE)} LAST\r\n".encode() + MESSAGE)).startswith("250")
        assert [each.send_at for each in await relay.messages()] == [START + 60]


async def test_who_has_to_log_in_holds_nothing_before() -> None:
    login = Admission(Submitter(name="app"), networks(["127.0.0.1"]), "app", cheap_hash("x"))
    offer = offering(longest_hold=LONGEST_HOLD, mechanisms=("PLAIN",), auth_in_clear=True)
    async with (
        running(offer=offer, clock=ManualClock(START), admissions=[login]) as relay,
        await relay.client() as talk,
    ):
        await talk.say("EHLO client.example.org")
        assert (await talk.say("MAIL FROM:<a@example.org> HOLDFOR=60")).startswith("530 5.7.0")
        plain = b64encode(b"\0app\0x").decode()
        assert (await talk.say(f"AUTH PLAIN {plain}")).startswith("235")
        # Most clients do not say EHLO once more.
        assert (await talk.say("MAIL FROM:<a@example.org> HOLDFOR=60")).startswith("250")
