"""The page that Prometheus reads: what promtool says of it, what it tells, how many series it may have."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from postbearer.engine import Route, Router, RouteRule
from postbearer.errors import GrantRefused, StoreError
from postbearer.events import (
    Accepted,
    ClientConnected,
    ClientDisconnected,
    CommandRejected,
    Committed,
    Defect,
    DeliveryEnded,
    Event,
    LoginFailed,
    PossibleDuplicate,
    TokenRequested,
    TurnedAway,
    Warned,
    WebhookAttempted,
)
from postbearer.forecast import DAY, Expiry
from postbearer.metrics import Exposition, ReadingSources, WebhookReading
from postbearer.metrics.codes import BASIC, ENHANCED, NONE, OTHER, code_of
from postbearer.outcome import RecipientFate
from postbearer.settings import Limits
from postbearer.store import MemorySpool
from servers.processes import program
from support.relay import Ears, Relay, WaitingClock, account, relaying

CANARY = "canary.address@example.net"
Page = Mapping[str, float]


class Watched:
    """An exposition beside a relay, and what it showed."""

    def __init__(self, exposition: Exposition, clock: WaitingClock, ears: Ears) -> None:
        self.exposition = exposition
        self.clock = clock
        self.ears = ears
        self._busy = False
        self._make, exposition._make = exposition._make, self._making  # type: ignore[method-assign]

    async def text(self) -> str:
        """The page as of now."""
        await self._later(self.clock.monotonic() + 5.0)
        return (await asyncio.wait_for(self.exposition.page(), 5)).decode()

    async def _later(self, until: float) -> None:
        """Let time pass, but none while a page is made, which takes real time."""
        while self.clock.monotonic() < until:
            self.clock.advance(1.0)
            await self._settle()

    async def _settle(self) -> None:
        for _ in range(10_000):
            for _ in range(20):
                await asyncio.sleep(0)
            if not self._busy:
                break
            await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0)

    async def _making(self) -> bytes:
        self._busy = True
        try:
            return await self._make()
        finally:
            self._busy = False

    async def page(self) -> Page:
        return parsed(await self.text())


def parsed(text: str) -> Page:
    """Series → value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[f"{sample.name.removeprefix('postbearer_')}{{{labels}}}"] = sample.value
    return found


def promtool(text: str) -> tuple[int, str]:
    """What ``promtool check metrics`` ends with and says of a page."""
    argv = [program("promtool", "prometheus"), "check", "metrics"]
    said = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)
    return said.returncode, said.stdout + said.stderr


async def nothing_ahead() -> Mapping[str, Sequence[Expiry]]:
    return {}


@asynccontextmanager
async def watching(relay: Relay, folder: Path, **sources: object) -> AsyncIterator[Watched]:
    ears = Ears()
    given: dict[str, object] = {
        "spool": relay.spool,
        "states": lambda: relay.dispatcher.account_states,
        "foresee": nothing_ahead,
        "certificates": {},
        "folder": folder,
    } | sources
    exposition = Exposition(ReadingSources(**given), relay.clock, ears)  # type: ignore[arg-type]
    exposition.start()
    try:
        yield Watched(exposition, relay.clock, ears)
    finally:
        await exposition.stop()


def ended(
    name: str = "alerts", reply: str = "250 2.0.0 Ok", status: str = "delivered", **more: object
) -> Event:
    fates = (RecipientFate(recipient=CANARY, status=status, reply=reply),)
    return DeliveryEnded(name, id="m1", attempt=1, fates=fates, server="mail.example.org:587", **more)  # type: ignore[arg-type]


EVENTS: Sequence[Event] = (
    Accepted(
        "alerts", id="m1", client="app", size=100, recipients=1, message_id=f"<{CANARY}>", seconds=0.003
    ),
    Committed("", jobs=1, pages=2, seconds=0.002),
    Committed("", jobs=1, pages=0, seconds=0.2, failed=True),
    ended(age=42.0),
    ended(reply="", status="deferred", error=f"no way to {CANARY}"),
    ended(reply=f"550 5.7.1 Never, {CANARY}", status="failed"),
    ended(counted=False, reply="", status="deferred"),
    PossibleDuplicate("alerts", id="m1", window="DUP-REPLY"),
    TokenRequested("alerts", grant="client-credentials", seconds=0.2),
    TokenRequested("alerts", grant="client-credentials", seconds=0.2, error="TokenUnavailable"),
    TokenRequested("alerts", grant="client-credentials", seconds=0.2, error="TimedOut"),
    TokenRequested("alerts", grant="client-credentials", seconds=0.2, error="GrantRefused"),
    ClientConnected("", peer="192.0.2.1"),
    ClientConnected("", peer="192.0.2.2"),
    ClientConnected("", peer="192.0.2.2", refused=True),
    ClientDisconnected("", peer="192.0.2.2", seconds=1.0),
    CommandRejected("", peer="192.0.2.1", command="RCPT", code=550),
    TurnedAway("", peer="192.0.2.3", reason=CANARY),
    LoginFailed("", peer="192.0.2.3", username=CANARY),
    Defect("", what="x", error=CANARY),
)


@pytest.mark.servers
async def test_promtool_has_nothing_to_say_and_no_address_is_shown(tmp_path: Path) -> None:
    ends = {"alerts": [Expiry(account="alerts", what="client-secret", at=1_800_000_000.0 + 3 * DAY)]}

    async def foresee() -> Mapping[str, Sequence[Expiry]]:
        return ends

    certificates = {"127.0.0.1:2525": 1_800_000_000.0 + 9 * DAY}
    async with (
        relaying() as relay,
        watching(relay, tmp_path, foresee=foresee, certificates=certificates) as watched,
    ):
        for event in EVENTS:
            watched.exposition.counters.notice(event)
        await relay.submit(CANARY, sender=CANARY)
        text = await watched.text()
    assert promtool(text) == (0, "")
    assert CANARY not in text
    assert "192.0.2." not in text
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert all(name.startswith(("postbearer_", "process_")) for name in names)


async def test_events_are_counted(tmp_path: Path) -> None:
    async with relaying() as relay, watching(relay, tmp_path) as watched:
        heard = watched.exposition.counters.hears
        assert all(heard(type(event)) for event in EVENTS)
        assert not heard(Warned)
        for event in EVENTS:
            watched.exposition.counters.notice(event)
        page = await watched.page()
    assert {name: page[name] for name in page if "_total" in name and "process" not in name} == {
        "messages_accepted_total{client=app}": 1,
        "attempt_total{account=alerts,code=2.0.0,outcome=delivered}": 1,
        "attempt_total{account=alerts,code=none,outcome=deferred}": 1,
        "attempt_total{account=alerts,code=5.7.1,outcome=failed}": 1,
        "duplicates_possible_total{window=DUP-REPLY}": 1,
        "duplicates_possible_total{window=DUP-MARK}": 0,
        "duplicates_possible_total{window=DUP-LEASE}": 0,
        "token_requests_total{account=alerts,result=ok}": 1,
        "token_requests_total{account=alerts,result=unavailable}": 2,
        "token_requests_total{account=alerts,result=refused}": 1,
        "commit_failures_total{}": 1,
        "commands_rejected_total{code=550,command=RCPT}": 1,
        "clients_turned_away_total{}": 1,
        "client_logins_failed_total{}": 1,
        "defects_total{}": 1,
    }
    assert page["client_connections{}"] == 1
    assert page["accept_seconds_sum{}"] == 0.003
    assert page["fsync_seconds_count{}"] == 2
    assert page["deliver_seconds_bucket{account=alerts,le=30.0}"] == 0
    assert page["deliver_seconds_bucket{account=alerts,le=300.0}"] == 1
    assert not any("_created" in name for name in page)


async def test_the_queue_is_shown_as_it_is(tmp_path: Path) -> None:
    async with relaying(account("alerts"), account("other")) as relay, watching(relay, tmp_path) as watched:
        relay.providers["alerts"].always = "451 4.3.0 Try later"
        await relay.submit("anna@example.net", "bert@example.net")
        await relay.settle()
        await relay.dispatcher.pause("other")
        page = await watched.page()
        await relay.dispatcher.resume("other")
    assert page["queue_recipients{account=alerts,state=deferred}"] == 2
    assert page["queue_recipients{account=alerts,state=ready}"] == 0
    assert page["queue_recipients{account=other,state=held}"] == 0
    assert page["queue_messages{account=alerts}"] == 1
    assert page["queue_oldest_seconds{account=alerts}"] == page["oldest_seconds{}"] == 5
    assert page["ready_lag_seconds{account=alerts}"] == 0
    assert page["account_paused{account=alerts,by=nobody}"] == 0
    assert page["account_paused{account=other,by=operator}"] == 1
    assert page["under_way{}"] == 0
    assert page["disk_size_bytes{}"] >= page["disk_free_bytes{}"] > 0


async def test_a_pause_that_passes_is_told_apart_from_one_that_needs_somebody(tmp_path: Path) -> None:
    router = Router((RouteRule(from_="b@example.org", route=Route(account="refused")),), "spent")
    accounts = account("spent"), account("refused")
    async with relaying(*accounts, router=router) as relay, watching(relay, tmp_path) as watched:
        quota = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"
        relay.providers["spent"].always = quota
        relay.providers["refused"].always = GrantRefused("No.", code="invalid_grant")
        await relay.submit(sender="a@example.org")
        await relay.submit(sender="b@example.org")
        await relay.settle()
        page = await watched.page()
    assert page["account_paused{account=spent,by=limit}"] == 1
    assert page["account_paused{account=refused,by=relay}"] == 1


async def test_a_limit_is_told_apart_from_a_provider_that_wants_to_be_left_alone(tmp_path: Path) -> None:
    limited = account("limited", limits=Limits(messages_per_minute=1))
    async with relaying(limited, account("resting")) as relay, watching(relay, tmp_path) as watched:
        relay.providers["resting"].always = StoreError("nothing can be sent")
        relay.providers["limited"].delay = 0.0
        await relay.submit("a@example.net")
        await relay.submit("b@example.net")
        await relay.settle()
        page = await watched.page()
        assert page["budget_wait_seconds{account=limited}"] > 50
        assert page["provider_wait_seconds{account=limited}"] == 0
        assert page["ready_lag_seconds{account=limited}"] == 5
        assert page["budget_wait_seconds{account=resting}"] == 0
        relay.dispatcher.account_states["resting"].rest(100.0)
        page = await watched.page()
        assert 90 < page["provider_wait_seconds{account=resting}"] < 100
        assert page["budget_wait_seconds{account=resting}"] == 0


async def test_a_thousand_accounts_have_no_more_than_forty_series_each(tmp_path: Path) -> None:
    replies = [f"{code} {enhanced} no" for code in ("451", "550") for enhanced in sorted(ENHANCED)]
    outcomes = ("delivered", "deferred", "failed", "expired", "held")
    names = [f"account-{number}" for number in range(1000)]
    async with relaying(*(account(name) for name in names)) as relay, watching(relay, tmp_path) as watched:
        for number, name in enumerate(names):
            for reply in replies if number == 0 else replies[:3]:  # one provider does what it can
                for outcome in outcomes:
                    watched.exposition.counters.notice(ended(name, reply, outcome))
            for error in ("", "TokenUnavailable", "GrantRefused"):
                watched.exposition.counters.notice(TokenRequested(name, grant="x", seconds=0.1, error=error))
        text = await watched.text()
    series: dict[str, int] = {}
    for name in re.findall(r'account="(account-\d+)"', text):
        series[name] = series.get(name, 0) + 1
    assert len(series) == 1000
    assert max(series.values()) <= 40
    assert len(text) < 6_000_000


async def test_an_account_that_goes_takes_its_series_with_it(tmp_path: Path) -> None:
    async with relaying(account("stays")) as relay, watching(relay, tmp_path) as watched:
        for name in ("stays", "goes"):
            watched.exposition.counters.notice(ended(name))
            watched.exposition.counters.expect(name)
            watched.exposition.counters.notice(TokenRequested(name, grant="x", seconds=0.1))
        assert 'account="goes"' in await watched.text()
        watched.exposition.counters.forget("goes")
        text = await watched.text()
        assert 'account="goes"' not in text
        assert 'account="stays"' in text


async def test_nothing_is_read_while_nobody_asks_and_ten_cost_as_much_as_one(tmp_path: Path) -> None:
    class Counting(MemorySpool):
        looks = 0

        async def statistics(self):  # type: ignore[no-untyped-def]
            self.looks += 1
            return await super().statistics()

    async with relaying() as relay:
        spool = Counting(relay.clock)
        await spool.open()
        async with watching(relay, tmp_path, spool=spool) as watched:
            await watched._later(relay.clock.monotonic() + 100)
            assert spool.looks == 0
            pages = await asyncio.gather(*(watched.exposition.page() for _ in range(10)))
            assert len(set(pages)) == 1
            assert spool.looks == 1
            await watched._later(relay.clock.monotonic() + 600)
            looks = spool.looks
            assert 140 <= looks <= 160  # one every two seconds, for five minutes
            await watched._later(relay.clock.monotonic() + 600)
            assert spool.looks == looks


async def test_what_cannot_be_read_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    async def broken() -> Mapping[str, Sequence[Expiry]]:
        raise StoreError("It is on fire.")

    async with relaying() as relay, watching(relay, tmp_path, foresee=broken) as watched:
        watched.exposition.counters.notice(ended())
        page = await watched.page()
        assert page["attempt_total{account=alerts,code=2.0.0,outcome=delivered}"] == 1
        assert any("on fire" in str(event) for event in watched.ears.events)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("250 2.0.0 OK <a@b> [Hostname=X]", "2.0.0"),
        ("250 2.6.0 <id@x> [InternalId=1] Queued mail for delivery", "2.6.0"),
        ("250 OK 12345 - gsmtp", "250"),
        ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", "5.7.60"),
        ("550 5.7.77 of its own making", "550"),
        ("599 9.9.9 nonsense", OTHER),
        ("55", OTHER),
        ("2.0.0 no code", OTHER),
        ("550 5.7.12345 x", "550"),
        ("HTTP 429 ApplicationThrottled: no", "http-429"),
        ("HTTP 202", "http-202"),
        ("HTTP 599", OTHER),
        ("", NONE),
    ],
)
def test_a_reply_is_counted_by_a_code_of_a_closed_list(reply: str, code: str) -> None:
    assert code_of(reply) == code


def test_the_closed_list_is_short() -> None:
    assert len(BASIC | ENHANCED | {NONE, OTHER}) <= 120


async def test_webhooks_are_counted_and_shown(tmp_path: Path) -> None:
    async with relaying() as relay:
        now = relay.clock.now()

        async def webhooks() -> Sequence[WebhookReading]:
            return [
                WebhookReading(name="shop", waiting=3, oldest=now - 60, failing=now - 40, dropped=1),
                WebhookReading(name="crm", disabled=True),
            ]

        async with watching(relay, tmp_path, webhooks=webhooks) as watched:
            for arrived, status in ((True, 204), (False, 500), (False, 500), (False, 0)):
                told = WebhookAttempted("", webhook="shop", arrived=arrived, status=status, seconds=0.1)
                watched.exposition.counters.notice(told)
            page = (await watched.exposition.page()).decode()
    for line in (
        'postbearer_webhook_attempts_total{result="taken",webhook="shop"} 1.0',
        'postbearer_webhook_attempts_total{result="refused",webhook="shop"} 2.0',
        'postbearer_webhook_attempts_total{result="failed",webhook="shop"} 1.0',
        'postbearer_webhook_waiting_events{webhook="shop"} 3.0',
        'postbearer_webhook_oldest_seconds{webhook="shop"} 60.0',
        'postbearer_webhook_failing_seconds{webhook="shop"} 40.0',
        'postbearer_webhook_failing_seconds{webhook="crm"} 0.0',
        'postbearer_webhook_disabled{webhook="crm"} 1.0',
        'postbearer_webhook_dropped_events{webhook="shop"} 1.0',
    ):
        assert line in page
    assert promtool(page) == (0, "")
