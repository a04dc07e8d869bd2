"""Whether mail flows, what is in the way, and the one thing to do about each. Pure.

Reasons and cures are those of the account: nothing of them is made up here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from postbearer.clock import age
from postbearer.console.snapshot import Snapshot, failed
from postbearer.control import AccountStatus, known
from postbearer.store import Status

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
    until: float | None = None  # when it is tried again by itself
    waiting: int = 0
    resumable: bool = False  # whether to resume it is what there is to do

    @property
    def stops(self) -> bool:
        """Whether nothing leaves from the account before somebody acts."""
        return self.state in ("paused", "not-signed-in")

    @property
    def delays(self) -> bool:
        """Whether nobody can say when its mail leaves."""
        return self.stops or self.state == "troubled"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallHealth:
    """All of it in one word and one sentence. `look`: good, wait or bad."""

    look: str
    headline: str
    detail: str
    troubles: Sequence[Trouble]
    waiting: int
    oldest: float | None  # seconds that what waits longest has waited; nothing that is held
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
        oldest=_longest(look, [each.account for each in look.waiting]),
        held=counts.get("held", 0),
        failed=failed(look.day),
        delivered=look.day.get(Status.DELIVERED, 0),
    )


def _verdict(look: Snapshot, troubles: Sequence[Trouble], waits: int) -> tuple[str, str, str]:
    stopped = {each.account for each in troubles if each.stops}
    limited = [each.name for each in look.accounts if each.waits_for_limit and waiting(each)]
    if not look.room:
        return (
            "bad",
            "No mail is taken",
            "The disk of the queue is full but for a reserve, or cannot be written. Nothing is lost. "
            "Next: free some room on it, or look at the system's log.",
        )
    if look.accounts and len(stopped) == len(look.accounts):
        return "bad", "No mail is leaving", "What comes in is kept safe, and leaves once this is mended."
    if stopped:
        return "bad", "Some mail is not leaving", _who_sends(look, troubles, stopped)
    if any(each.state == "troubled" for each in troubles):
        return "wait", "Mail is delayed", "It is tried again by itself; nothing is lost."
    slow = _longest(look, [each.account for each in look.waiting if each.account not in limited])
    if slow is not None and slow > SLOW:
        return "wait", "Mail is leaving slowly", f"The oldest message has waited for {age(slow)}."
    if any(each.state == "limited" for each in troubles):
        names = _named([each.account for each in troubles if each.state == "limited"])
        return "wait", "Mail waits for a limit", f"{names} may send no more for now; it goes on by itself."
    if any(each.state == "expiring" for each in troubles):
        return "wait", "Mail is flowing", "Something needs you before it runs out."
    if limited:
        return "good", "Mail is flowing", f"{_named(limited)}: as fast as the limits allow."
    if waits:
        return "good", "Mail is flowing", "Messages are on their way."
    return "good", "Mail is flowing", "Nothing waits."


def _longest(look: Snapshot, accounts: Collection[str]) -> float | None:
    """For how long the oldest of what waits for these accounts has waited."""
    oldest = [each.oldest for each in look.waiting if each.account in accounts]
    return max(0.0, look.at - min(oldest)) if oldest else None


def _named(accounts: Iterable[str]) -> str:
    """Their names; of many, the first ones."""
    names = sorted(accounts)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _who_sends(look: Snapshot, troubles: Sequence[Trouble], stopped: set[str]) -> str:
    """Which accounts send nothing, and how many do."""
    tried = {each.account for each in troubles if each.state == "troubled"} - stopped
    limited = {each.account for each in troubles if each.state == "limited"} - stopped
    well = len(look.accounts) - len(stopped) - len(tried) - len(limited)
    rest = [f"{well} other account{' sends' if well == 1 else 's send'}"] if well else []
    rest += [f"{len(tried)} {'is' if len(tried) == 1 else 'are'} tried again by itself"] if tried else []
    rest += [f"{len(limited)} {'waits' if len(limited) == 1 else 'wait'} for a limit"] if limited else []
    first = f"{_named(stopped)} {'sends' if len(stopped) == 1 else 'send'} nothing."
    return f"{first} {'; '.join(rest)}." if rest else first


def _troubles(account: AccountStatus) -> Iterator[Trouble]:
    name, waits = account.name, waiting(account)
    if account.state != "ready":
        yield _stopped(account, waits)
    elif waits and (error := known(account.last_error)):
        step = f"It is tried again by itself. Find out more: postbearer check {name}"
        yield Trouble(account=name, state="troubled", reason=error, step=step, waiting=waits)
    for ending in account.runs_out:
        if ending.level is not None and ending.level <= SOON:
            ends = "has ended" if ending.level == 0 else f"ends within {ending.level} days"
            title = ending.title[:1].upper() + ending.title[1:]
            yield Trouble(account=name, state="expiring", reason=f"{title} {ends}.", step=ending.remedy)


def _stopped(account: AccountStatus, waits: int) -> Trouble:
    """Why it does not send: a limit passes by itself, all else is for somebody to mend."""
    reason, remedy = known(account.reason) or "", known(account.remedy) or ""
    limited, by_hand = account.paused_by == "limit", account.paused_by == "operator"
    step = f"It goes on by itself. {remedy}".rstrip() if limited else remedy
    return Trouble(
        account=account.name,
        state="limited" if limited else account.state,
        reason="Somebody paused it." if by_hand else reason,
        step=step or f"Find out more: postbearer check {account.name}",
        since=known(account.since),
        until=known(account.tried_again),
        waiting=waits,
        resumable=by_hand,
    )


def backlog(look: Snapshot) -> float | None:
    """When all that waits will be gone (Unix seconds); None without a limit, infinity if nobody can say."""
    in_trouble = {each.account for account in look.accounts for each in _troubles(account) if each.delays}
    if any(waiting(each) and each.name in in_trouble for each in look.accounts):
        return math.inf
    return max((at for each in look.accounts if (at := known(each.backlog_gone_at))), default=None)
