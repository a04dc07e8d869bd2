"""Watching over accounts: what is told, once each, and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from postbearer.alerts import Alert, AlertMonitor, AlertPreferences, AlertSources, AlertState
from postbearer.events import (
    AccountPaused,
    AccountResumed,
    Backlog,
    DeliveryEnded,
    Event,
    Expiring,
    Warned,
)
from postbearer.forecast import DAY, Expiry
from postbearer.outcome import RecipientFate
from postbearer.state import FileDocument
from postbearer.store import BY_HAND, MemorySpool, Pause, Status
from postbearer.testing import ManualClock
from support.relay import Ears
from support.spooling import accept

CONSENT = "The sign-in or the consent is not valid any more."
HOUR = 3600.0


@dataclass
class Desk:
    """A watch over the accounts alerts and other, which can be started again on what it noted."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    ears: Ears = field(default_factory=Ears)
    ends: Mapping[str, Sequence[Expiry]] = field(default_factory=dict)
    wishes: AlertPreferences = field(default_factory=AlertPreferences)
    targets: tuple[str, ...] = ("mail",)

    async def open(self) -> Desk:
        self.spool = MemorySpool(self.clock)
        await self.spool.open()
        await self.restart()
        return self

    async def restart(self) -> None:
        self.notebook = AlertState(FileDocument(str(self.folder / "notices.json")), self.ears)
        await self.notebook.load()

        async def foresee() -> Mapping[str, Sequence[Expiry]]:
            return self.ends

        sight = AlertSources(
            spool=self.spool,
            accounts={"alerts": "alerts@example.org", "other": "other@example.org"},
            foresee=foresee,
            cures=lambda name, reason: (f"postbearer login {name}",),
        )
        self.watch = AlertMonitor(
            self.notebook,
            sight,
            self.wishes,
            clock=self.clock,
            observer=self.ears,
            targets=lambda: list(self.targets),
        )

    async def pause(self, reason: str = CONSENT, *, person: bool = True, probe: float | None = 900) -> None:
        until = None if probe is None else self.clock.now() + probe
        await self.spool.pause(
            Pause(account="alerts", since=self.clock.now(), reason=reason, remedy="Sign in.", probe=until)
        )
        self.watch.notice(AccountPaused("alerts", reason=reason, until=until, person=person))

    async def resume(self) -> None:
        await self.spool.resume("alerts")
        self.watch.notice(AccountResumed("alerts"))

    async def looks(self, after: float = 0.0) -> list[str]:
        """The kinds of what is told at a look, so many seconds later."""
        self.clock.advance(after)
        return [each.kind for each in await self.watch.look()]

    def failed(self, *recipients: str, message: str = "m1", status: str = "failed") -> None:
        fates = tuple(
            RecipientFate(recipient=each, status=status, reply="550 5.1.1 No such user")
            for each in recipients
        )
        self.watch.notice(DeliveryEnded("alerts", id=message, attempt=1, fates=fates))

    def said(self, kind: type[Event]) -> list[Any]:
        return [each for each in self.ears.events if isinstance(each, kind)]


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return await Desk(tmp_path).open()


def secret(at: float) -> Mapping[str, Sequence[Expiry]]:
    return {"alerts": (Expiry(account="alerts", what="client-secret", at=at, remedy="Make a new one."),)}


# What runs out ------------------------------------------------------------------------------------


async def test_every_level_is_told_once_also_across_restarts(desk: Desk) -> None:
    desk.ends = secret(desk.clock.now() + 45 * DAY)
    told = []
    for _ in range(50 * 4):  # every six hours, started anew each time
        await desk.restart()
        told += [(each.kind, each.level) for each in await desk.watch.look()]
        desk.clock.advance(DAY / 4)
    assert told == [
        ("account.expiring", 30),
        ("account.expiring", 7),
        ("account.expiring", 1),
        ("account.expired", 0),
    ]
    assert [each.level for each in desk.said(Expiring)] == [30, 7, 1, 0]


async def test_whoever_comes_late_hears_of_the_nearest_level_only(desk: Desk) -> None:
    desk.ends = secret(desk.clock.now() + 5 * DAY)
    (notice,) = await desk.watch.look()
    assert (notice.level, notice.ends) == (7, desk.clock.now() + 5 * DAY)
    assert notice.title == "The client secret of alerts ends within 7 days"
    assert "Make a new one." in notice.text
    assert await desk.looks(2 * HOUR) == []


async def test_a_new_secret_begins_anew(desk: Desk) -> None:
    desk.ends = secret(desk.clock.now() + DAY / 2)
    assert await desk.looks() == ["account.expiring"]
    desk.ends = secret(desk.clock.now() + 365 * DAY)
    assert await desk.looks(2 * HOUR) == []
    desk.ends = secret(desk.clock.now() + 20 * DAY)
    assert await desk.looks(2 * HOUR) == ["account.expiring"]


async def test_an_end_that_moves_by_moments_is_the_same_end(desk: Desk) -> None:
    """As a server tells it that counts what is left, anew with each token."""
    at = desk.clock.now() + 6 * DAY
    told = []
    for number in range(24):
        desk.ends = secret(at + number % 3)
        told += await desk.looks(HOUR)
    assert told == ["account.expiring"]


async def test_what_runs_out_is_looked_at_once_an_hour(desk: Desk) -> None:
    assert await desk.looks() == []
    desk.ends = secret(desk.clock.now() + DAY)
    assert await desk.looks(60) == []
    assert await desk.looks(HOUR) == ["account.expiring"]


# Accounts that pause ------------------------------------------------------------------------------


async def test_a_pause_is_told_at_once_with_all_a_person_needs(desk: Desk) -> None:
    await accept(desk.spool, "m1", account="alerts")
    await accept(desk.spool, "m2", account="alerts")
    await desk.pause()
    (notice,) = await desk.watch.look()
    assert (notice.kind, notice.account, notice.waiting) == ("account.paused", "alerts", 2)
    assert (notice.since, notice.cause) == (desk.clock.now(), CONSENT)
    assert notice.commands == ("postbearer login alerts",)
    for said in ("alerts@example.org", "2027-01-15 08:00 UTC", CONSENT, "2 messages wait", "Sign in."):
        assert said in notice.text
    assert "  postbearer login alerts" in notice.letter()
    assert await desk.looks(HOUR) == []


async def test_that_it_works_again_is_told_as_well(desk: Desk) -> None:
    await desk.pause()
    await desk.looks()
    await desk.resume()
    (notice,) = await desk.watch.look()
    assert (notice.kind, notice.title) == ("account.resumed", "The account alerts sends again")
    assert await desk.looks(HOUR) == []


async def test_a_restart_neither_loses_nor_repeats_a_pause(desk: Desk) -> None:
    await desk.pause()
    await desk.restart()  # before anybody looked
    assert await desk.looks(900) == ["account.paused"]
    await desk.restart()
    assert await desk.looks(900) == []
    await desk.spool.resume("alerts")  # while nobody watched
    await desk.restart()
    assert await desk.looks() == ["account.resumed"]


async def test_a_pause_that_passes_by_itself_is_told_when_it_lasts(desk: Desk) -> None:
    await desk.pause("The daily quota is spent.", person=False, probe=6 * HOUR)
    assert await desk.looks() == []
    assert await desk.looks(600) == []
    assert await desk.looks(301) == ["account.paused"]


async def test_one_that_waits_for_a_change_is_told_at_once_after_a_restart(desk: Desk) -> None:
    await desk.pause(probe=None)
    await desk.restart()
    assert await desk.looks() == ["account.paused"]


async def test_whoever_pauses_by_hand_knows(desk: Desk) -> None:
    await desk.pause(BY_HAND, person=False, probe=None)
    assert await desk.looks(2 * HOUR) == []


async def test_an_account_that_stops_and_goes_makes_no_storm(desk: Desk) -> None:
    told = []
    for _ in range(24 * 4):  # a day, every quarter of an hour
        await desk.pause()
        told += await desk.looks()
        await desk.resume()
        told += await desk.looks(900)
    assert len(told) <= 2 * 24


async def test_another_reason_is_news_but_not_for_ever(desk: Desk) -> None:
    for number in range(20):
        await desk.pause(f"Reason {number}.")
        await desk.looks(HOUR)
    assert len(desk.notebook.notes.outbox) == 5


async def test_accounts_that_pause_together_are_one_notice(desk: Desk) -> None:
    await accept(desk.spool, "m1", account="other")
    for name in ("alerts", "other"):
        await desk.spool.pause(
            Pause(account=name, since=desk.clock.now(), reason="Switched off for the organisation.")
        )
    (notice,) = await desk.watch.look()
    assert (notice.account, notice.others, notice.waiting) == ("alerts", ("other",), 1)
    assert "So do other, for the same reason." in notice.text
    assert notice.commands == ("postbearer login alerts", "postbearer login other")
    await desk.restart()
    for name in ("alerts", "other"):
        await desk.spool.resume(name)
    (notice,) = await desk.watch.look()
    assert (notice.kind, notice.account, notice.others) == ("account.resumed", "alerts", ("other",))


async def test_accounts_that_send_again_together_are_one_notice(desk: Desk) -> None:
    for name in ("alerts", "other"):  # each for a reason of its own, an hour apart
        await desk.spool.pause(Pause(account=name, since=desk.clock.now(), reason=f"The secret of {name}."))
        assert await desk.looks(HOUR) == ["account.paused"]
    await accept(desk.spool, "m1", account="other", accepted=desk.clock.now())
    for name in ("alerts", "other"):
        await desk.spool.resume(name)
    (notice,) = await desk.watch.look()
    assert (notice.kind, notice.account, notice.others) == ("account.resumed", "alerts", ("other",))
    assert notice.title == "The account alerts and 1 more send again"
    assert notice.text == (
        "alerts was paused since 2027-01-15 08:00 UTC, other since 2027-01-15 09:00 UTC. "
        "What waited leaves now; 1 message waits yet."
    )
    assert await desk.looks(60) == []


async def test_one_that_follows_the_others_later_was_told_with_them(desk: Desk) -> None:
    for name in ("alerts", "other"):
        await desk.spool.pause(Pause(account=name, since=desk.clock.now(), reason="Switched off."))
    assert await desk.looks() == ["account.paused"]
    await desk.resume()
    assert await desk.looks() == ["account.resumed"]
    await desk.spool.resume("other")
    assert await desk.looks() == []


async def test_an_account_that_is_configured_no_more_is_forgotten(desk: Desk) -> None:
    await desk.pause()
    await desk.looks()
    sight = AlertSources(spool=desk.spool, accounts={}, foresee=_nothing, cures=lambda name, reason: ())
    desk.watch.use(sight, AlertPreferences())
    assert await desk.looks(HOUR) == []
    assert desk.notebook.notes.paused == {}


async def _nothing() -> Mapping[str, Sequence[Expiry]]:
    return {}


# Mail that fails, and mail that waits -----------------------------------------------------------


async def test_the_first_failure_is_told_at_once_and_the_rest_together(desk: Desk) -> None:
    desk.failed("gone@example.net")
    (first,) = await desk.watch.look()
    assert (first.kind, first.count) == ("message.failed", 1)
    assert "m1 to gone@example.net failed: 550 5.1.1 No such user" in first.text
    assert first.commands == ("postbearer queue show m1",)
    for number in range(500):
        desk.failed(f"user{number}@example.net", message=f"m{number}")
        assert await desk.looks() == []
    desk.clock.advance(HOUR)
    (rest,) = await desk.watch.look()
    assert (rest.count, rest.title) == (500, "Mail of alerts failed for 500 recipients")


async def test_what_was_counted_is_known_after_a_restart(desk: Desk) -> None:
    desk.failed("gone@example.net")
    await desk.looks()
    desk.failed("gone@example.net", "away@example.net")
    await desk.looks()
    await desk.restart()
    desk.clock.advance(HOUR)
    assert [each.count for each in await desk.watch.look()] == [2]


@pytest.mark.parametrize(("status", "told"), [("held", 1), ("expired", 1), ("deferred", 0), ("delivered", 0)])
async def test_what_counts_as_failed(desk: Desk, status: str, told: int) -> None:
    desk.failed("a@example.net", status=status)
    assert len(await desk.looks()) == told


async def test_that_a_letter_of_ours_fails_is_no_news(desk: Desk) -> None:
    desk.notebook.wrote("m7")
    desk.failed("ops@example.net", message="m7")
    assert await desk.looks() == []


async def test_mail_that_waits_too_long_is_told_once_until_it_has_left(desk: Desk) -> None:
    await accept(desk.spool, "m1", account="alerts", accepted=desk.clock.now())
    assert await desk.looks(HOUR - 1) == []
    (notice,) = await _after(desk, 1)
    assert (notice.kind, notice.waiting) == ("account.backlog", 1)
    assert [each.messages for each in desk.said(Backlog)] == [1]
    await desk.restart()
    assert await desk.looks(5 * HOUR) == []
    await desk.spool.change("m1", Status.CANCELLED, desk.clock.now())
    assert await desk.looks() == []
    await accept(desk.spool, "m2", account="alerts", accepted=desk.clock.now())
    assert await desk.looks(HOUR) == ["account.backlog"]


async def _after(desk: Desk, seconds: float) -> list[Alert]:
    desk.clock.advance(seconds)
    return await desk.watch.look()


async def test_behind_a_pause_mail_waits_and_that_is_told_already(desk: Desk) -> None:
    await accept(desk.spool, "m1", account="alerts")
    await desk.pause()
    assert await desk.looks() == ["account.paused"]
    assert await desk.looks(5 * HOUR) == []


# Wishes -------------------------------------------------------------------------------------------


async def test_only_what_is_asked_for_is_told(desk: Desk) -> None:
    desk.wishes = AlertPreferences(topics={"account"})
    await desk.restart()
    desk.ends = secret(desk.clock.now() + DAY)
    desk.failed("gone@example.net")
    await desk.pause()
    assert await desk.looks() == ["account.paused"]
    assert desk.said(Expiring)  # the log says it all the same


async def test_without_anybody_to_tell_the_log_still_says_it_once(desk: Desk) -> None:
    desk.targets = ()
    desk.ends = secret(desk.clock.now() + DAY)
    await desk.looks()
    await desk.restart()
    await desk.looks(2 * HOUR)
    assert len(desk.said(Expiring)) == 1
    assert desk.notebook.notes.outbox == []


async def test_a_damaged_notebook_is_put_aside_and_said(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "notices.json").write_bytes(b'{"paused": [')
    await desk.restart()
    assert (tmp_path / "notices.json.damaged").exists()
    assert "may be told again" in desk.said(Warned)[0].text
    await desk.pause()
    assert await desk.looks() == ["account.paused"]


async def test_an_outbox_is_bounded_and_the_oldest_goes_first(desk: Desk) -> None:
    for number in range(201):
        notice = Alert(id=f"n{number}", kind="account.paused", account="alerts", at=0, title="x", text="x")
        desk.notebook.post(notice, ["mail"])
    assert [desk.notebook.notes.outbox[0].notice.id, len(desk.notebook.notes.outbox)] == ["n1", 200]
    assert "Nobody was told" in desk.said(Warned)[0].text
