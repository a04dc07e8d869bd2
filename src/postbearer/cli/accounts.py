"""``postbearer accounts``: whether each account sends, and what it may still send."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli import completion
from postbearer.cli.groups import Listing
from postbearer.cli.init import account_options, given_keys
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json
from postbearer.cli.tables import age, facts, moment, table

if TYPE_CHECKING:
    from postbearer.control import AccountEdited, AccountStatus, EndingInfo


@click.group("accounts", cls=Listing)
@common_options
def command() -> None:
    """Show whether each account sends; pause, resume, add, rename and remove them.

    Without a word behind it, it lists them.
    """


@command.command("list")
@common_options
@pass_common
def list_(common: Common) -> None:
    """List the accounts: state, waiting messages, token, what runs out next."""
    from postbearer.cli.queue_client import queue_client

    found: tuple[AccountStatus, ...] = queue_client(common, of_accounts=True).call("accounts.list")
    if common.as_json:
        print_json({"accounts": found})
        return
    rows = [
        (each.name, each.state, _waiting(each), _token(each), _next_end(each), _why(each)) for each in found
    ]
    table(("account", "state", "waiting", "token", "runs out", "what is known"), rows)


@command.command("show")
@click.argument("account", shell_complete=completion.accounts)
@common_options
@pass_common
def show(common: Common, account: str) -> None:
    """Show all that is known about one account."""
    from postbearer.cli.queue_client import queue_client

    _show(common, queue_client(common, of_accounts=True).call("accounts.show", name=account))


@command.command("pause")
@click.argument("account", shell_complete=completion.accounts)
@common_options
@pass_common
def pause(common: Common, account: str) -> None:
    """Stop an account until it is resumed; its mail waits."""
    from postbearer.cli.queue_client import queue_client

    _show(common, queue_client(common).call("accounts.pause", name=account))


@command.command("resume")
@click.argument("account", shell_complete=completion.accounts)
@common_options
@pass_common
def resume(common: Common, account: str) -> None:
    """Let an account send again, at once."""
    from postbearer.cli.queue_client import queue_client

    _show(common, queue_client(common).call("accounts.resume", name=account))


@command.command("add")
@click.argument("name")
@click.option(
    "--like",
    default="",
    metavar="ACCOUNT",
    shell_complete=completion.accounts,
    help="What is not said is as this account has it: provider, app, secret.",
)
@account_options
@common_options
@pass_common
def add(common: Common, /, name: str, like: str, **given: Any) -> None:
    """Add the account NAME, and have the relay that runs send from it.

    Options are those of init, which asks instead. Nothing is written unless the whole configuration is right
    then, and the relay takes it.

    \b
    postbearer accounts add desk --like alerts --address desk@example.org
    """
    _edit(common, "accounts.add", "is there", name=name, settings=given_keys(given), like=like)


@command.command("rename")
@click.argument("account", shell_complete=completion.accounts)
@click.argument("name")
@common_options
@pass_common
def rename(common: Common, account: str, name: str) -> None:
    """Call ACCOUNT by another NAME, wherever the configuration names it.

    Its sign-in, its pause and the mail that waits go with it; what it has done keeps the old name.
    """
    _edit(common, "accounts.rename", "has its name", name=account, to=name)


@command.command("remove")
@click.argument("account", shell_complete=completion.accounts)
@common_options
@pass_common
def remove(common: Common, account: str) -> None:
    """Take ACCOUNT out of the configuration, and forget its sign-in.

    Not while mail waits for it, or something refers to it. `logout` before has the provider end the sign-in,
    too.
    """
    _edit(common, "accounts.remove", "is gone", name=account)


def _edit(common: Common, act: str, done: str, **given: Any) -> None:
    from postbearer.cli.queue_client import queue_client

    found: AccountEdited = queue_client(common, of_accounts=True).call(act, **given)
    if common.as_json:
        print_json(found)
        return
    more = "; the relay goes by it" if found.reloaded else ""
    click.echo(f"{found.file}: the account {found.name} {done}{more}.")
    if act == "accounts.add":
        click.echo(f"Next: postbearer check {found.name}")


def _show(common: Common, found: AccountStatus) -> None:
    from postbearer.control import known

    if common.as_json:
        print_json(found)
        return
    facts(
        (
            ("account", found.name),
            ("address", found.address or ""),
            ("state", found.state),
            ("since", moment(known(found.since))),
            ("reason", found.reason or ""),
            ("remedy", found.remedy or ""),
            ("tried again", moment(known(found.tried_again))),
            ("recipients", ", ".join(f"{count} {state}" for state, count in found.counts.items())),
            ("gone at about", moment(known(found.backlog_gone_at))),
            ("connections", "" if known(found.connections) is None else str(found.connections)),
            ("budget left", _budget(found)),
            ("token", _token(found)),
            ("last error", found.last_error or ""),
            *(("runs out", _end(each)) for each in found.runs_out),
        )
    )


def _budget(account: AccountStatus) -> str:
    """What is left of what is limited."""
    if not account.budget:
        return ""
    left = {field.name: getattr(account.budget, field.name) for field in fields(account.budget)}
    return ", ".join(
        f"{name.replace('_', ' ')}: {value}" for name, value in left.items() if value is not None
    )


def _waiting(account: AccountStatus) -> str:
    return str(sum(account.counts.get(state, 0) for state in ("ready", "leased", "deferred", "held")))


def _token(account: AccountStatus) -> str:
    from postbearer.control import known

    expires = known(account.token_expires)
    if expires is None:
        return ""
    left = expires - time.time()
    return f"good for {age(left)}" if left > 0 else "expired"


def _next_end(account: AccountStatus) -> str:
    """What runs out first."""
    first = next(iter(account.runs_out), None)
    if first is None:
        return ""
    left = first.at - time.time()
    return f"{first.what} in {age(left)}" if left > 0 else f"{first.what} has ended"


def _end(ending: EndingInfo) -> str:
    left = ending.at - time.time()
    when = f"{moment(ending.at)}, in {age(left)}" if left > 0 else f"it ended {moment(ending.at)}"
    remedy = f". {ending.remedy}" if ending.level is not None else ""
    return f"{ending.title}: {when}{remedy}"


def _why(account: AccountStatus) -> str:
    if account.state == "not-signed-in":
        return f"{account.reason} {account.remedy}"
    if account.state == "paused":
        until = f" Tried again at {moment(account.tried_again)}." if account.tried_again else ""
        return f"{account.reason}{until}"
    return account.last_error or ""
