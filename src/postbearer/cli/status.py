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
from postbearer.cli.tables import age
from postbearer.errors import PostbearerError

if TYPE_CHECKING:
    from postbearer.control import AccountStatus, QueueStatistics, WebhookStatus

FAILS = 300.0  # seconds that a webhook may fail before it is worth a warning
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
    accounts: int = 0
    paused: int = 0
    waiting: int = 0
    held: int = 0
    oldest: float = 0.0

    @property
    def level(self) -> Severity:
        return max((level for level, _ in self.problems), default=Severity.OK)

    @property
    def text(self) -> str:
        worst = [text for _, text in sorted(self.problems, key=lambda each: -each[0])]
        if worst:
            return "; ".join(worst)
        accounts = "1 account sends" if self.accounts == 1 else f"{self.accounts} accounts send"
        waiting = "1 recipient waits" if self.waiting == 1 else f"{self.waiting} recipients wait"
        return f"{accounts}, {waiting}"

    @property
    def line(self) -> str:
        """The same behind how bad it is, on one line, without the bar that numbers follow on."""
        return f"{self.level.name} - {' '.join(printable(self.text).replace('|', '/').split())}"


@click.command("status")
@click.option("--warning", metavar="DURATION", callback=duration, help="Warn if mail waits for longer; 1h.")
@click.option("--critical", metavar="DURATION", callback=duration, help="The same, as critical; 1d.")
@common_options
@pass_common
def command(common: Common, warning: float | None, critical: float | None) -> int:
    """Tell in one line whether all is well, for monitoring.

    The running relay is asked. The exit code is 0 if all is well; 1 (warning) if an account is paused by
    hand, something runs out within 30 days, a webhook fails, or mail waits for too long; 2 (critical) if an
    account cannot send, something has ended, a webhook is disabled, or no relay answers.
    """
    from postbearer.cli.queue_client import running_relay

    try:
        relay = running_relay(needed=True)
        found = judge(relay.call("accounts.list"), relay.call("queue.stats"), warning, critical)
        found.problems += webhook_problems(relay.call("webhooks.list"), time.time())
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


def judge(
    accounts: Sequence[AccountStatus],
    stats: QueueStatistics,
    warning: float | None = None,
    critical: float | None = None,
) -> CheckResult:
    """What is wrong; `warning` and `critical` are for how many seconds mail may wait."""
    warning, critical = warning or 3600.0, critical or 86_400.0
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
        level = Severity.CRITICAL if found.oldest > critical else Severity.WARNING
        found.problems.append((level, f"the oldest message has waited for {age(found.oldest)}"))
    return found


def webhook_problems(webhooks: Iterable[WebhookStatus], now: float) -> Iterator[tuple[Severity, str]]:
    """Webhooks that are not told: disabled, or failing for longer than a moment."""
    for each in webhooks:
        if each.state == "disabled":
            again = f"Once it works: postbearer hooks enable {each.name}"
            yield Severity.CRITICAL, f"the webhook {each.name} is disabled: {each.error} {again}"
        elif each.state == "failing" and each.since is not None and now - each.since >= FAILS:
            yield Severity.WARNING, f"the webhook {each.name} fails: {each.error}"


def _of_account(account: AccountStatus) -> list[tuple[Severity, str]]:
    from postbearer.store import BY_HAND

    name, problems = account.name, []
    if account.state == "paused":
        level = Severity.WARNING if account.reason == BY_HAND else Severity.CRITICAL
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
        **{name if name != "oldest" else "oldest_age": getattr(found, name) for name in numbers},
    }
