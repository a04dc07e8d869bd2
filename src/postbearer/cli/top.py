"""``postbearer top``: accounts and queue of the running relay, again and again on one screen."""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import click

from postbearer.cli.options import Common, common_options, duration, pass_common
from postbearer.cli.output import print_json
from postbearer.cli.status import CheckResult, backlogs, judge, told
from postbearer.cli.tables import age, table
from postbearer.errors import PostbearerError

if TYPE_CHECKING:
    from postbearer.control import AccountStatus, QueueStatistics
    from postbearer.store import Waiting

EVERY: Final = 2.0  # seconds
_ABOVE: Final = 6  # lines above the accounts and below them
_WAITING: Final = ("ready", "leased", "deferred")
_COLUMNS: Final = (
    "account",
    "state",
    "waiting",
    "held",
    "under way",
    "left a minute",
    "left today",
    "what is known",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look found, at `at` (monotonic)."""

    accounts: Sequence[AccountStatus]
    stats: QueueStatistics
    waiting: Sequence[Waiting]
    staging: str  # where mail goes, if it does not reach everybody
    at: float

    @property
    def judged(self) -> CheckResult:
        return replace(judge(self.accounts, self.stats, self.waiting), staging=self.staging)


@click.command("top")
@click.option("--every", metavar="DURATION", callback=duration, help="How often it looks; 2 s.")
@click.option("--once", is_flag=True, help="Look once, and print it.")
@common_options
@pass_common
def command(common: Common, every: float | None, once: bool) -> None:
    """Show what the running relay does, live: whether all is well, the queue, and each account.

    It ends with q or Ctrl-C. With --json, with --once, and where there is no terminal, it looks once.
    """
    live = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if common.as_json or once or not live:
        look = _look()
        if common.as_json:
            accounts = {"accounts": look.accounts, "counts": look.stats.counts}
            print_json(told(look.judged) | accounts)
        else:
            _show(look, None)
        return
    with _screen(), suppress(KeyboardInterrupt):
        _watch(max(every or EVERY, 0.2))


def _look() -> Sample:
    """Ask once. No connection stays open, which a relay that is to end would wait for."""
    from postbearer.cli.queue_client import connect, no_relay

    client = connect()
    if client is None:
        raise no_relay()
    with client as relay:
        stats: QueueStatistics = relay.call("queue.stats")
        waiting = backlogs(relay, stats)
        staging = relay.call("relay.staging").staging
        return Sample(relay.call("accounts.list"), stats, waiting, staging, time.monotonic())


def _watch(every: float) -> None:
    """Look until somebody types q. A relay that is started anew is found again."""
    before = None
    while True:
        try:
            look = _look()
        except PostbearerError as error:
            _clear()
            click.echo(f"{error.message} {error.hint}")
        else:
            _clear()
            _show(look, before, shutil.get_terminal_size().lines - _ABOVE)
            before = look
        if _typed("q", every):
            return


def _show(look: Sample, before: Sample | None, most: int | None = None) -> None:
    """All of it; of the accounts as many as there are lines for, those in trouble first."""
    counts, judged = look.stats.counts, look.judged
    click.echo(judged.line)
    states = "  ".join(f"{count} {state}" for state, count in counts.items())
    oldest = f"  oldest {age(judged.oldest)}" if judged.waiting else ""
    click.echo(f"{time.strftime('%H:%M:%S')}  {states or 'the queue is empty'}{oldest}{_speed(look, before)}")
    click.echo()
    found = sorted(
        look.accounts, key=lambda each: (each.state == "ready", -_count(each, *_WAITING), each.name)
    )
    shown = found if most is None else found[: max(1, most)]
    table(_COLUMNS, [_row(each) for each in shown])
    if len(shown) < len(found):
        click.echo(f"… and {len(found) - len(shown)} more")


def _speed(look: Sample, before: Sample | None) -> str:
    """How many recipients a minute were delivered since the look before, as far as they are still counted."""
    if before is None:
        return ""
    more = look.stats.counts.get("delivered", 0) - before.stats.counts.get("delivered", 0)
    return f"  {max(0, more) * 60 / max(look.at - before.at, 0.001):.0f} delivered a minute"


def _row(account: AccountStatus) -> tuple[str, ...]:
    budget = account.budget or None
    minute = budget.messages_this_minute if budget else None
    today = (budget.messages_today, budget.recipients_today) if budget else (None, None)
    least = min((left for left in today if left is not None), default=None)
    why = account.reason if account.state != "ready" else account.last_error
    return (
        account.name,
        account.state,
        str(_count(account, *_WAITING)),
        str(_count(account, "held")),
        str(account.under_way or 0),
        "" if minute is None else str(minute),
        "" if least is None else str(least),
        why or "",
    )


def _count(account: AccountStatus, *states: str) -> int:
    return sum(account.counts.get(state, 0) for state in states)


@contextmanager
def _screen() -> Iterator[None]:
    """A screen of its own, and keys as they are typed; afterwards all is as it was."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        sys.stdout.write("\x1b[?1049h\x1b[?25l")
        yield
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _clear() -> None:
    sys.stdout.write("\x1b[H\x1b[2J")


def _typed(key: str, seconds: float) -> bool:
    """Whether `key` is typed within so much time."""
    sys.stdout.flush()
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0] and os.read(sys.stdin.fileno(), 1) in (
            key.encode(),
            b"",
        ):
            return True
    return False
