"""Whether mail flows, what is in the way, and the one thing to do about each. Pure.

Reasons and cures are those of the account: nothing of them is made up here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postbearer.clock import age
from postbearer.console.snapshot import Snapshot
from postbearer.control import AccountStatus, known
from postbearer.store import BY_HAND, Status

WAITING = ("ready", "leased", "deferred")
SLOW = 3600.0  # seconds that mail may wait before somebody should look
SOON = 7  # days before the end of something at which it is a trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with an account, and what to do next. `state` is one of `wording.ACCOUNTS`."""

    account: str
    state: str
    reason: str
    step: str
    since: float | None = None
    waiting: int = 0
    resumable: bool = False  # whether to resume it is what there is to do

    @property
    def stops(self) -> bool:
        """Whether nothing leaves from the account."""
        return self.state in ("paused", "not-signed-in")

    @property
    def delays(self) -> bool:
        """Whether nobody can say when its mail leaves."""
        return self.state != "expiring"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallHealth:
    """All of it in one word and one sentence. `look`: good, wait or bad."""

    look: str
    headline: str
    detail: str
    troubles: Sequence[Trouble]
    waiting: int
    held: int
    failed: int  # recipients of the last 24 hours
    delivered: int


def waiting(account: AccountStatus) -> int:
    """How many recipients wait for an account, or are under way."""
    return sum(account.counts.get(state, 0) for state in WAITING)


def judge(look: Snapshot) -> OverallHealth:
    """What there is to know first."""
    troubles = tuple(each for account in look.accounts for each in _troubles(account))
    counts = look.stats.counts
    waits = sum(counts.get(state, 0) for state in WAITING)
    word, headline, detail = _verdict(look, troubles, waits)
    return OverallHealth(
        look=word,
        headline=headline,
        detail=detail,
        troubles=troubles,
        waiting=waits,
        held=counts.get("held", 0),
        failed=sum(look.day.get(each, 0) for each in (Status.FAILED, Status.EXPIRED)),
        delivered=look.day.get(Status.DELIVERED, 0),
    )


def _verdict(look: Snapshot, troubles: Sequence[Trouble], waits: int) -> tuple[str, str, str]:
    stopped = {each.account for each in troubles if each.stops}
    if not look.room:
        return (
            "bad",
            "No mail is taken",
            "The disk of the queue is full, or cannot be written. Nothing is lost.",
        )
    if look.accounts and len(stopped) == len(look.accounts):
        return "bad", "No mail is leaving", "What comes in is kept safe, and leaves once this is mended."
    if stopped:
        return "bad", "Some mail is not leaving", _who_sends(look, troubles, stopped)
    if any(each.state == "troubled" for each in troubles):
        return "wait", "Mail is delayed", "It is tried again by itself; nothing is lost."
    if waits and look.stats.age is not None and look.stats.age > SLOW:
        return "wait", "Mail is leaving slowly", f"The oldest message has waited for {age(look.stats.age)}."
    if troubles:
        return "wait", "Mail is flowing", "Something needs you before it runs out."
    if waits:
        return "good", "Mail is flowing", "Messages are on their way."
    return "good", "Mail is flowing", "Nothing waits."


def _who_sends(look: Snapshot, troubles: Sequence[Trouble], stopped: set[str]) -> str:
    """Which accounts send nothing, and how many do."""
    names = sorted(stopped)
    first = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    tried = {each.account for each in troubles if each.state == "troubled"} - stopped
    well = len(look.accounts) - len(stopped) - len(tried)
    rest = [f"{well} other account{' sends' if well == 1 else 's send'}"] if well else []
    rest += [f"{len(tried)} {'is' if len(tried) == 1 else 'are'} tried again by itself"] if tried else []
    return f"{first} {'sends' if len(names) == 1 else 'send'} nothing. {'; '.join(rest)}.".replace(" .", "")


def _troubles(account: AccountStatus) -> Iterator[Trouble]:
    name, waits = account.name, waiting(account)
    reason, remedy = known(account.reason) or "", known(account.remedy) or ""
    if account.state != "ready":
        yield Trouble(
            account=name,
            state=account.state,
            reason="Somebody paused it." if reason == BY_HAND else reason,
            step=remedy or f"Find out more: postbearer check {name}",
            since=known(account.since),
            waiting=waits,
            resumable=account.state == "paused" and reason == BY_HAND,
        )
    elif waits and (error := known(account.last_error)):
        step = f"It is tried again by itself. Find out more: postbearer check {name}"
        yield Trouble(account=name, state="troubled", reason=error, step=step, waiting=waits)
    for ending in account.runs_out:
        if ending.level is not None and ending.level <= SOON:
            ends = "has ended" if ending.level == 0 else f"ends within {ending.level} days"
            title = ending.title[:1].upper() + ending.title[1:]
            yield Trouble(account=name, state="expiring", reason=f"{title} {ends}.", step=ending.remedy)


def backlog(look: Snapshot) -> float | None:
    """When all that waits will be gone (Unix seconds); None without a limit, infinity if nobody can say."""
    in_trouble = {each.account for account in look.accounts for each in _troubles(account) if each.delays}
    if any(waiting(each) and each.name in in_trouble for each in look.accounts):
        return math.inf
    return max((at for each in look.accounts if (at := each.backlog_gone_at)), default=None)
