"""The queue and the mailer with a transport that is not SMTP: all that can become of a message.

The API is a real HTTP server on loopback; nothing of the package knows of it.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from postbearer.account import Account
from postbearer.answer import HttpAnswer
from postbearer.assembly import Assembly
from postbearer.daemon.service_plan import ServicePlan
from postbearer.engine.disposition import FIRST_PROBE
from postbearer.errors import Rejected, UsageError
from postbearer.events import AccountPaused, AccountResumed, DeliveryEnded, PossibleDuplicate, Silent
from postbearer.log import sentence
from postbearer.mailer import AsyncMailer
from postbearer.outcome import State
from postbearer.sending import Retry
from postbearer.settings import Limits
from postbearer.testing import Faults, ManualClock, Sandbox, SmtpFault
from support.configuration import COMPLETE
from support.relay import Relay, WaitingClock, relaying
from support.tokenserver import Answer, said, serving
from support.toyapi import ToyApi, ToyTransport, toy_account

ANNA, BERT = "anna@example.net", "bert@example.net"


@pytest.fixture
def api() -> Iterator[ToyApi]:
    with serving(state=ToyApi()) as running:
        yield running


@asynccontextmanager
async def relay_by(api: ToyApi, **options: Any) -> AsyncIterator[Relay]:
    async with relaying(toy_account(api, **options), sockets=True) as relay:
        yield relay


def refusal(status: int, code: str = "", headers: dict[str, str] | None = None) -> Answer:
    return said(status, headers, error={"code": code, "message": "No."})


async def test_delivered(api: ToyApi) -> None:
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA, BERT)
        await relay.settle()
        assert await relay.statuses(message) == ["delivered", "delivered"]
        (mail,) = api.taken
        assert mail["to"] == [ANNA, BERT]
        assert f" id {message}; ".encode() in bytes(mail["content"]).replace(b"\r\n ", b" ")  # type: ignore[arg-type]
        entry = await relay.entry(message)
        assert [row.reply for row in entry.rows] == ["HTTP 202", "HTTP 202"]
        assert entry.attempts[0].queue_id == "toy-1"
        (ended,) = relay.said(DeliveryEnded)
        assert {(fate.code, fate.protocol) for fate in ended.fates} == {("2.0.0", "http")}
        assert f"{ANNA} accepted by the provider (HTTP 202)" in sentence(ended)
        assert api.tokens == {"Bearer canary-token"}


async def test_only_the_envelopes_that_it_keeps_reach_it(api: ToyApi) -> None:
    async with relay_by(api) as relay:
        await relay.submit(sender="app@example.org")
        await relay.submit(sender="")
        await relay.settle()
        assert [mail["from"] for mail in api.taken] == ["alerts@example.org"] * 2


async def test_deferred_and_then_delivered(api: ToyApi) -> None:
    api.script.append(refusal(503, "ErrorServerBusy"))
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA)
        await relay.settle()
        (row,) = (await relay.entry(message)).rows
        assert (row.status, row.reply) == ("deferred", "HTTP 503 ErrorServerBusy: No.")
        assert not relay.said(AccountPaused)
        await relay.pass_time(120)
        assert await relay.statuses(message) == ["delivered"]


async def test_failed_for_good_and_its_sender_hears_what_the_api_said(api: ToyApi) -> None:
    api.script.append(refusal(403, "ErrorSendAsDenied"))
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA)
        await relay.settle()
        assert await relay.statuses(message) == ["failed"]
        (report,) = api.taken
        assert report["to"] == ["app@example.org"]
        text = bytes(report["content"]).replace(b"\r\n ", b" ")  # type: ignore[arg-type]
        assert b"Diagnostic-Code: x-http; HTTP 403 ErrorSendAsDenied: No." in text
        assert b"Status: 5.0.0" in text
        assert b"The account may not send as this sender." in text
        assert not relay.said(AccountPaused)


async def test_too_large_for_it_though_not_for_the_account(api: ToyApi) -> None:
    api.script.append(refusal(413, "ErrorMessageSizeExceeded"))
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA)
        await relay.settle()
        assert await relay.statuses(message) == ["failed"]
        assert b"Status: 5.3.4" in bytes(api.taken[0]["content"])  # type: ignore[arg-type]


async def test_too_large_for_the_account_is_refused_when_it_is_submitted(api: ToyApi) -> None:
    async with relay_by(api, limits=Limits(size=20)) as relay:
        with pytest.raises(AssertionError, match=r"552 5\.3\.4"):
            await relay.submit(ANNA)
    assert not api.asked


@pytest.mark.parametrize(("policy", "status"), [("retry", "deferred"), ("hold", "held")])
@pytest.mark.parametrize("end", [Answer(hang_up=True), said(504)])
async def test_unknown_whether_it_arrived(api: ToyApi, end: Answer, policy: str, status: str) -> None:
    api.script.append(end)
    async with relay_by(api, on_unknown=policy) as relay:
        message = await relay.submit(ANNA)
        await relay.settle()
        assert await relay.statuses(message) == [status]
        assert [event.window for event in relay.said(PossibleDuplicate)] == ["DUP-REPLY"]
        assert len(api.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_what_refuses_us_pauses_the_account_until_a_probe_gets_through(
    api: ToyApi, status: int
) -> None:
    api.script.append(refusal(status, "ErrorAccessDenied"))
    async with relay_by(api) as relay:
        messages = [await relay.submit(ANNA) for _ in range(3)]
        await relay.settle()
        assert relay.said(AccountPaused)
        assert not await relay.reports()
        await relay.pass_time(FIRST_PROBE + 1)
        await relay.pass_time(60)
        assert relay.said(AccountResumed)
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 3


@pytest.mark.parametrize("status", [429, 503])
async def test_who_says_when_to_come_again_is_asked_no_sooner(api: ToyApi, status: int) -> None:
    api.script.append(refusal(status, "ApplicationThrottled", {"Retry-After": "120"}))
    async with relay_by(api, limits=Limits(connections=1)) as relay:
        messages = [await relay.submit(ANNA) for _ in range(3)]
        await relay.settle()
        await relay.pass_time(115)
        assert len(api.asked) == 1
        await relay.pass_time(60)
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 3


async def test_nobody_there_is_no_attempt() -> None:
    with serving(state=ToyApi()) as api:
        pass  # it has gone
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA)
        await relay.settle()
        assert await relay.statuses(message) == ["deferred"]
        assert not any(ended.counted for ended in relay.said(DeliveryEnded))
        assert not relay.said(PossibleDuplicate)


async def test_some_of_the_recipients(api: ToyApi) -> None:
    api.refused = {BERT: "ErrorInvalidRecipients"}
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA, BERT)
        await relay.settle()
        assert await relay.statuses(message) == ["delivered", "failed"]
        assert api.taken[0]["to"] == [ANNA]
        assert api.taken[1]["to"] == ["app@example.org"]  # the report


async def test_what_is_not_the_api_bounces_nothing(api: ToyApi) -> None:
    """A redirect is not followed: a proxy that wants a login, or an address that was moved."""
    api.script.extend([Answer(302, headers={"Location": "http://127.0.0.1:1/"})] * 2)
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA)
        await relay.settle()
        assert await relay.statuses(message) == ["deferred"]
        assert relay.said(AccountPaused)
        assert len(api.asked) == 1


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"<html>", b'{"error": "x"}', b'{"error": {"code": 7, "message": null}}']
)
@pytest.mark.parametrize("status", [400, 403, 429, 503])
async def test_whatever_an_error_looks_like_each_recipient_has_a_fate(
    api: ToyApi, status: int, body: bytes
) -> None:
    api.script.append(Answer(status, body))
    async with relay_by(api) as relay:
        message = await relay.submit(ANNA, BERT, sender="")
        await relay.settle()
        first, second = (await relay.entry(message)).rows
        assert first.status == second.status != "ready"
        assert first.reply.startswith(f"HTTP {status}")


async def test_what_it_cannot_carry_fails_without_a_request(api: ToyApi) -> None:
    async with relay_by(api) as relay:
        message = await relay.submit("änna@example.net", sender="")
        await relay.settle()
        assert await relay.statuses(message) == ["failed"]
        assert not api.asked


async def test_a_mailer_sends_by_it(api: ToyApi) -> None:
    api.refused = {BERT: "ErrorInvalidRecipients"}
    async with AsyncMailer(toy_account(api), state="memory") as mailer:
        receipt = await mailer.send(to=[ANNA, BERT], subject="Hello", text="It works.")
        assert receipt.works
        delivered, refused = receipt.outcomes
        assert (delivered.state, delivered.queue_id, delivered.reply) == (State.DELIVERED, "toy-1", None)
        assert isinstance(refused.answer, HttpAnswer)
        assert (refused.cause, refused.refuses_us) == ("Nobody has this address.", False)
        with pytest.raises(Rejected) as rejected:
            await mailer.send(to=BERT, subject="Hello", text="It works.")
        assert "HTTP 400 ErrorInvalidRecipients" in str(rejected.value)


async def test_a_mailer_waits_as_the_api_says(api: ToyApi) -> None:
    api.script.append(refusal(429, "ApplicationThrottled", {"Retry-After": "30"}))
    clock = ManualClock()
    async with AsyncMailer(toy_account(api), state="memory", clock=clock) as mailer:
        receipt = await mailer.send(to=ANNA, subject="Hello", text="It works.", retry=Retry(1, first=1.0))
        assert receipt.delivered
        assert 30.0 in clock.slept


class ToyAssembly(Assembly):
    """A configuration whose accounts send by the toy API."""

    api: ToyApi

    def account(self, name: str) -> Account:
        return replace(super().account(name), outgoing=toy_account(self.api).outgoing)


async def test_the_relay_opens_it_as_the_mailer_does(api: ToyApi, tmp_path: Path) -> None:
    file = tmp_path / "postbearer.toml"
    file.write_text(COMPLETE)
    file.chmod(0o600)
    assembly = ToyAssembly.load(file, {"POSTBEARER_STATE": str(tmp_path / "state")})
    assembly.api = api
    clock = ManualClock()
    plan = ServicePlan.of(assembly, clock=clock, queue_clock=clock, observer=Silent())
    (channel,) = plan.channels.values()
    assert isinstance(channel.transport, ToyTransport)


def test_there_is_no_smarthost_then(api: ToyApi) -> None:
    with pytest.raises(UsageError, match="does not leave by SMTP"):
        _ = toy_account(api).smarthost


@contextmanager
def counting_verdicts() -> Iterator[list[str]]:
    """The names of the functions that judge answers, as they are called."""
    called: list[str] = []

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name in ("judge_reply", "judge_http"):
            called.append(frame.f_code.co_name)

    sys.setprofile(count)
    try:
        yield called
    finally:
        sys.setprofile(None)


async def test_an_answer_is_judged_once_and_whoever_comes_later_goes_by_that(api: ToyApi) -> None:
    api.refused = {ANNA: "ErrorInvalidRecipients"}
    async with relay_by(api) as relay:
        with counting_verdicts() as called:
            await relay.submit(ANNA, sender="")
            await relay.settle()
    assert called == ["judge_http"]


async def test_so_is_a_reply_of_smtp() -> None:
    async with Sandbox("generic") as sandbox:
        sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", reply="550 5.1.1 unknown", times=1)]))
        async with relaying(sandbox.account("alerts"), clock=WaitingClock(), sockets=True) as relay:
            with counting_verdicts() as called:
                message = await relay.submit(ANNA, sender="")
                await relay.settle()
            assert await relay.statuses(message) == ["failed"]
    assert called == ["judge_reply"]
