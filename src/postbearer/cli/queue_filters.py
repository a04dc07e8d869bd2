"""The options that choose messages of the queue, and work on all that they choose."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TypedDict

import click

from postbearer.cli import completion
from postbearer.cli.options import Common, tags
from postbearer.cli.output import print_json, warn
from postbearer.cli.progress import Progress
from postbearer.errors import UsageError

if TYPE_CHECKING:
    from postbearer.cli.options import F
    from postbearer.cli.queue_client import QueueClient
    from postbearer.control import JobInfo
    from postbearer.tags import Tags

OPEN = ("scheduled", "ready", "leased", "deferred", "held")
FINAL = ("delivered", "failed", "expired", "cancelled")
_LOOK = 1.0  # seconds that one question waits for a job


class Choice(TypedDict):
    """What `choosing` gives: which messages, and how."""

    account: str
    client: str
    statuses: tuple[str, ...]
    address: str
    message_id: str
    tags: Tags
    older_than: float | None
    newer_than: float | None
    search: str
    everything: bool
    dry_run: bool
    yes: bool


_HOW = ("everything", "dry_run", "yes")


def _span(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    from postbearer.config import parse_duration

    try:
        return None if value is None else time.time() - parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}.") from None


def filters(function: F, account: str = "--account") -> F:
    """Add the options that choose messages; they are the fields of a query."""
    for option in (
        click.option(
            *(account, "account"),
            default="",
            metavar="NAME",
            shell_complete=completion.accounts,
            help="Through this account.",
        ),
        click.option("--client", default="", metavar="NAME", help="From this client."),
        click.option(
            "--state",
            "statuses",
            multiple=True,
            type=click.Choice([*OPEN, *FINAL]),
            metavar="STATE",
            help="With a recipient in this state, such as held (may be repeated).",
        ),
        click.option(
            "--address", default="", metavar="TEXT", help="With this in sender, author or recipient."
        ),
        click.option("--message-id", default="", metavar="TEXT", help="With this in the Message-ID."),
        click.option(
            *("--tag", "tags"),
            multiple=True,
            callback=tags,
            metavar="NAME:VALUE",
            help="With this tag (all of them).",
        ),
        click.option(
            "--search",
            default="",
            metavar="WORDS",
            help='All at once: "from:ada state:deferred older:1h".',
        ),
        click.option("--older-than", metavar="DURATION", callback=_span, help='Older than that ("1h 30m").'),
        click.option("--newer-than", metavar="DURATION", callback=_span, help="Younger than that."),
    ):
        function = option(function)
    return function


def searched(query: dict[str, Any]) -> dict[str, Any]:
    """The fields of a query, with those that ``--search`` asks for. Raises `UsageError`."""
    from postbearer.control import with_search

    search = query.pop("search")
    return with_search(query, search, now=time.time()) if search else query


def choosing(function: F, account: str = "--account") -> F:
    """The same for who works on all of them; `account` is what the option is called for where they are."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask before working on all that match."),
        click.option("--dry-run", is_flag=True, help="Only count what matches."),
        click.option("--all-matching", "everything", is_flag=True, help="Without a filter: all there is."),
    ):
        function = option(function)
    return filters(function, account)


def only_named(choice: Choice) -> None:
    """Raise `UsageError` where messages are both named and chosen."""
    if any(value for name, value in choice.items() if name != "yes"):
        raise UsageError("Messages are named by id, or chosen by options; not both.")


def work(common: Common, action: str, done: str, choice: Choice, target: str = "") -> None:
    """Do `action` to all that the options choose, as one job of the relay, or here if none runs."""
    matching = searched({name: value for name, value in choice.items() if name not in _HOW})
    if not choice["everything"] and not any(matching.values()):
        raise UsageError(
            f"Nothing says what to {action}.",
            hint="Name messages by id, choose them by options, or say --all-matching.",
        )
    from postbearer.cli.queue_client import queue_client

    asked = queue_client(common, changes=True)
    counted: JobInfo = asked.call(
        "jobs.start", action=action, matching=matching, account=target, dry_run=True
    )
    if choice["dry_run"] or not counted.matched:
        _tell(common, counted, f"would be {done}")
        return
    if not choice["yes"]:
        _confirm(action, counted.matched)
    job = asked.call("jobs.start", action=action, matching=matching, account=target, count=counted.matched)
    _tell(common, _followed(asked, job, action), done)


def _confirm(action: str, matched: int) -> None:
    count = f"{matched} message{'' if matched == 1 else 's'}"
    if not sys.stdin.isatty():
        raise UsageError(f"This would {action} {count}.", hint="Say --yes if that is meant.")
    click.confirm(f"{action.capitalize()} {count}?", abort=True, err=True)


def _followed(asked: QueueClient, job: JobInfo, action: str) -> JobInfo:
    """The job once it has ended. Who interrupts ends it where it is."""
    seen = 0
    try:
        with Progress(action.capitalize(), job.matched) as progress:
            while job.state == "running":
                job = asked.call("jobs.wait", job=job.id, seconds=_LOOK)
                progress.advance(job.done - seen)
                seen = job.done
    except KeyboardInterrupt:
        job = asked.call("jobs.cancel", job=job.id)
        warn(f"Stopped: {job.done} of {job.matched} messages were looked at, the rest is as it was.")
        raise
    return job


def _tell(common: Common, job: JobInfo, done: str) -> None:
    if common.as_json:
        print_json(job)
    elif job.state == "dry-run":
        count = f"{job.matched} message{'' if job.matched == 1 else 's'}"
        click.echo(f"{count} {done}." if job.matched else "Nothing.")
    else:
        count = f"{job.changed} recipient{'' if job.changed == 1 else 's'}"
        click.echo(f"{count} of {job.done} message{'' if job.done == 1 else 's'} {done}.")
    if job.refused:
        many = "1 message stays" if job.refused == 1 else f"{job.refused} messages stay"
        warn(f"{many} as before, the last one for this: {job.error}")
    if job.state in ("failed", "cancelled"):
        raise UsageError(f"The job {job.id} has {job.state}: {job.error}")
