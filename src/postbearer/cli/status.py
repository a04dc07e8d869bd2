"""``postbearer status``: one line and an exit code, in the form that monitoring plug-ins have."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.options import Common, common_options, duration, pass_common
from postbearer.cli.output import print_json, printable
from postbearer.cli.tables import age, moment
from postbearer.errors import PostbearerError

if TYPE_CHECKING:
    from postbearer.control import AccountStatus, ControlClient, NodeList, QueueStatistics, WebhookStatus
    from postbearer.store import Waiting

SHORT = 60.0  # seconds: a wait that is no more than the pace of a limit
FAILS = 300.0  # seconds that a webhook may fail before it is worth a warning
WARNING, CRITICAL = 3600.0, 86_400.0  # seconds that mail may wait, if no limit explains it
_WAITING = ("ready", "leased", "deferred")


class Severity(IntEnum):
    """How bad it is; the number is the exit code (Nagios Plugin Development Guidelines)."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(slots=True)
class CheckResult:
    """All that was found, the worst first when it is told."""

    problems: list[tuple[Severity, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what looks like a problem, and is none
    accounts: int = 0
    paused: int = 0
    waiting: int = 0
    held: int = 0
    oldest: float = 0.0
    staging: str = ""  # where mail goes, if it does not reach everybody
    alone: bool = False  # nothing was asked of the accounts and all around

    @property
    def level(self) -> Severity:
        return max((level for level, _ in self.problems), default=Severity.OK)

    @property
    def text(self) -> str:
        worst = [text for _, text in sorted(self.problems, key=lambda each: -each[0])]
        notes = [*self.notes, *([self.staging.rstrip(".")] if self.staging else ())]
        if worst:
            return "; ".join(worst + notes)
        if self.alone:
            return "; ".join(["the relay answers", *notes])
        accounts = "1 account sends" if self.accounts == 1 else f"{self.accounts} accounts send"
        waiting = "1 recipient waits" if self.waiting == 1 else f"{self.waiting} recipients wait"
        return "; ".join([f"{accounts}, {waiting}", *notes])

    @property
    def line(self) -> str:
        """The same behind how bad it is, on one line, without the bar that numbers follow on."""
        return f"{self.level.name} - {' '.join(printable(self.text).replace('|', '/').split())}"


@click.command("status")
@click.option("--warning", metavar="DURATION", callback=duration, help="Warn if mail waits for longer; 1h.")
@click.option("--critical", metavar="DURATION", callback=duration, help="The same, as critical; 1d.")
@click.option(
    "--relay-only", is_flag=True, help="Only whether the relay answers: a container's health, a restart."
)
@common_options
@pass_common
def command(common: Common, warning: float | None, critical: float | None, relay_only: bool) -> int:
    """Tell in one line whether all is well, for monitoring.

    The running relay is asked. The exit code is 0 if all is well; 1 (warning) if an account is paused by
    hand or by a limit of its provider's, something runs out within 30 days, a webhook fails, or mail waits
    for too long; 2 (critical) if an account cannot send before somebody acts, something has ended, a webhook
    is disabled, or no relay answers. Mail that waits because of a limit does not wait for too long.
    """
    from postbearer.cli.queue_client import running_relay

    try:
        relay = running_relay(needed=True)
        stats: QueueStatistics = relay.call("queue.stats")
        waiting = () if relay_only else backlogs(relay, stats, warning, critical)
        found = judge(relay.call("accounts.list"), stats, waiting, warning, critical)
        if relay_only:
            found.problems, found.notes, found.alone = [], [], True
        else:
            found.problems += webhook_problems(relay.call("webhooks.list"), time.time())
            found.problems += node_problems(relay.call("nodes.list"))
            found.staging = relay.call("relay.staging").staging
    except PostbearerError as error:
        found = CheckResult([(Severity.CRITICAL, f"{error.message} {error.hint}".strip())])
    if common.as_json:
        print_json(told(found))
    else:
        numbers = (
            f"accounts={found.accounts} paused={found.paused} waiting={found.waiting} held={found.held} "
            f"oldest={found.oldest:.0f}s"
        )
        click.echo(f"{found.line} | {numbers}")
    return int(found.level)


def backlogs(
    relay: ControlClient,
    stats: QueueStatistics,
    warning: float | None = None,
    critical: float | None = None,
) -> Sequence[Waiting]:
    """What waits for each account, asked only where something has waited for too long."""
    if (stats.age or 0.0) <= min(warning or WARNING, critical or CRITICAL):
        return ()
    found: Sequence[Waiting] = relay.call("queue.waiting")
    return found


def judge(
    accounts: Sequence[AccountStatus],
    stats: QueueStatistics,
    waiting: Sequence[Waiting] = (),
    warning: float | None = None,
    critical: float | None = None,
) -> CheckResult:
    """What is wrong, of `waiting` backlogs; `warning` and `critical`: for how many seconds mail may wait."""
    warning, critical = warning or WARNING, critical or CRITICAL
    found = CheckResult(
        accounts=len(accounts),
        paused=sum(each.state == "paused" for each in accounts),
        waiting=sum(stats.counts.get(state, 0) for state in _WAITING),
        held=stats.counts.get("held", 0),
        oldest=stats.age or 0.0,
    )
    for account in accounts:
        found.problems += _of_account(account)
    if found.oldest > min(warning, critical):
        oldest = _unexplained(found, accounts, stats, waiting)
        if oldest > min(warning, critical):
            level = Severity.CRITICAL if oldest > critical else Severity.WARNING
            found.problems.append((level, f"the oldest message has waited for {age(oldest)}"))
    return found


def _unexplained(
    found: CheckResult,
    accounts: Iterable[AccountStatus],
    stats: QueueStatistics,
    waiting: Sequence[Waiting],
) -> float:
    """For how long the oldest message has waited that no limit keeps back; notes what of the others is."""
    limited = {each.name: each for each in accounts if each.waits_for_limit}
    kept = [each for each in waiting if each.account in limited]
    if not kept:
        return found.oldest
    now = (stats.oldest or 0.0) + found.oldest
    found.notes += [_note(limited[each.account], now) for each in kept if not limited[each.account].paused_by]
    if found.held:  # for how long it has been held is not told beside what waits
        one = found.held == 1
        text = f"{found.held} {'recipient is' if one else 'recipients are'} held"
        found.problems.append((Severity.WARNING, f"{text}: postbearer queue list --state held"))
    return max((now - each.oldest for each in waiting if each.account not in limited), default=0.0)


def _note(account: AccountStatus, now: float) -> str:
    until = account.limited_until or now
    if until - now <= SHORT:
        return f"the mail of {account.name} leaves as fast as its limits let it"
    return f"the mail of {account.name} waits because of its limits, and goes on by itself at {moment(until)}"


def webhook_problems(webhooks: Iterable[WebhookStatus], now: float) -> Iterator[tuple[Severity, str]]:
    """Webhooks that are not told: disabled, or failing for longer than a moment."""
    for each in webhooks:
        if each.state == "disabled":
            again = f"Once it works: postbearer hooks enable {each.name}"
            yield Severity.CRITICAL, f"the webhook {each.name} is disabled: {each.error} {again}"
        elif each.state == "failing" and each.since is not None and now - each.since >= FAILS:
            yield Severity.WARNING, f"the webhook {each.name} fails: {each.error}"


def node_problems(found: NodeList) -> Iterator[tuple[Severity, str]]:
    """Relays of this queue that give no sign of life, or go by rules of their own."""
    for each in found.nodes:
        if not each.alive:
            yield (
                Severity.WARNING,
                f"the relay {each.name} gives no sign of life since {moment(each.heartbeat)}",
            )
    configurations = {each.configuration for each in found.nodes if each.alive and each.configuration}
    if len(configurations) > 1:
        names = ", ".join(each.name for each in found.nodes if each.alive)
        yield Severity.WARNING, f"the relays {names} share a queue and go by different configurations"


def _of_account(account: AccountStatus) -> list[tuple[Severity, str]]:
    name, problems = account.name, []
    if account.paused_by == "limit":
        again = f"It goes on by itself; tried again at {moment(account.tried_again or None)}."
        problems.append((Severity.WARNING, f"{name} is paused: {account.reason} {again}"))
    elif account.state == "paused":
        level = Severity.WARNING if account.paused_by == "operator" else Severity.CRITICAL
        problems.append((level, f"{name} is paused: {account.reason}"))
    elif account.state != "ready":
        problems.append((Severity.CRITICAL, f"{name}: {account.reason}"))
    for ending in account.runs_out:
        if ending.level is not None:
            ended = ending.level == 0
            what = "has ended" if ended else f"ends within {ending.level} days"
            problems.append(
                (Severity.CRITICAL if ended else Severity.WARNING, f"{name}: {ending.title} {what}")
            )
    return problems


def told(found: CheckResult) -> dict[str, Any]:
    """The same as JSON."""
    numbers = ("accounts", "paused", "waiting", "held", "oldest")
    return {
        "state": found.level.name.lower(),
        "exit": int(found.level),
        "text": found.text,
        "problems": [{"state": level.name.lower(), "text": text} for level, text in found.problems],
        "staging": found.staging,
        **{name if name != "oldest" else "oldest_age": getattr(found, name) for name in numbers},
    }
