"""``postbearer hooks``: the webhooks of the running relay."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from postbearer.cli.exit_codes import ExitCode
from postbearer.cli.groups import Group
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json, printable
from postbearer.cli.tables import age, moment, table

if TYPE_CHECKING:
    from postbearer.control import WebhookStatus


@click.group("hooks", cls=Group)
@common_options
def command() -> None:
    """Look at the webhooks of the running relay, try them, and have them told once more.

    They are configured by [[webhooks]], and are told what becomes of each message.
    """


@command.command("list")
@common_options
@pass_common
def list_(common: Common) -> None:
    """List the webhooks: whether each is told, since when not and why, and what waits for it."""
    from postbearer.cli.queue_client import running_relay

    found: tuple[WebhookStatus, ...] = running_relay(needed=True).call("webhooks.list")
    if common.as_json:
        print_json({"webhooks": found})
    elif found:
        columns = ("name", "state", "waiting", "oldest", "arrived", "dropped", "where", "what is known")
        table(columns, [_row(each) for each in found])
    else:
        click.echo("There are no webhooks. Add [[webhooks]] to the configuration, and: postbearer reload")


@command.command("test")
@click.argument("name")
@common_options
@pass_common
def test(common: Common, name: str) -> int:
    """Send an event that tells of nothing (webhook.test) to the webhook NAME, and print what comes back.

    It is sent to one that is disabled, too. The exit code is 0 if it was taken, else 75.
    """
    from postbearer.cli.queue_client import running_relay

    tested = running_relay(needed=True).call("webhooks.test", name=name)
    if common.as_json:
        print_json(tested)
    elif tested.arrived:
        click.echo(f"{name} took {tested.id} with {tested.status} in {tested.seconds * 1000:.0f} ms.")
    else:
        click.echo(printable(f"{name} did not take {tested.id}: {tested.error} {tested.hint}".rstrip()))
    if tested.said and not common.as_json:
        click.echo(printable(f"It said: {' '.join(tested.said.split())}"))
    return int(ExitCode.OK if tested.arrived else ExitCode.TRY_AGAIN)


@command.command("replay")
@click.argument("name")
@click.option(
    "--from",
    "first",
    metavar="EVENT|TIME",
    help="The event to begin with, by its id (data.id), or a time such as 2027-03-01T08:00.",
)
@click.option("--message", metavar="ID", default="", help="Only events of this message.")
@common_options
@pass_common
def replay(common: Common, name: str, first: str | None, message: str) -> None:
    """Have the webhook NAME told once more of what happened, in order and under the same ids.

    Events are kept for three days, and up to seven while a webhook has not taken them.
    """
    from postbearer.cli.queue_client import running_relay

    if first is None and not message:
        raise click.UsageError("Say from when on: --from EVENT or TIME; or which: --message ID.")
    given: dict[str, object] = {"message": message}
    if first is not None:
        given |= {"first": int(first)} if _is_number(first) else {"since": _time(first)}
    done = running_relay(needed=True).call("webhooks.replay", name=name, **given)
    if common.as_json:
        print_json(done)
    else:
        many = "1 event is" if done.events == 1 else f"{done.events} events are"
        click.echo(f"{many} sent to {name} once more, from {done.first} on, as far as it wants them.")


@command.command("enable")
@click.argument("name")
@common_options
@pass_common
def enable(common: Common, name: str) -> None:
    """Call the webhook NAME again, which was disabled; what waits for it is sent now.

    A webhook is disabled when it answers 410, and when nothing has arrived there for five days.
    """
    from postbearer.cli.queue_client import running_relay

    done: WebhookStatus = running_relay(needed=True).call("webhooks.enable", name=name)
    if common.as_json:
        print_json(done)
    else:
        click.echo(f"{name} is called again; {done.waiting} events wait for it.")


def _row(each: WebhookStatus) -> tuple[str, ...]:
    since = f"since {moment(each.since)}: " if each.since is not None else ""
    again = f" It is tried again {moment(each.tried_again)}." if each.tried_again is not None else ""
    return (
        each.name,
        each.state,
        str(each.waiting),
        "" if each.age is None else age(each.age),
        moment(each.arrived),
        str(each.dropped or ""),
        each.place,
        f"{since}{each.error}{again}".strip(),
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _time(text: str) -> float:
    """Unix seconds; a time without a zone is of this machine's."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r:.60} is neither the id of an event nor a time.", param_hint="'--from'"
        ) from None
