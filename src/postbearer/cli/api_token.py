"""``postbearer api-token``: who may use the HTTP API of the relay."""

from __future__ import annotations

import time
from typing import Any

import click

from postbearer.cli.groups import Group
from postbearer.cli.options import Common, common_options, duration, pass_common
from postbearer.cli.output import note, print_json
from postbearer.cli.tables import moment, table

SCOPES = ("submit", "read", "operate", "admin")


@click.group("api-token", cls=Group)
@common_options
def command() -> None:
    """Make and revoke the tokens of programs that use the HTTP API.

    They are kept, as hashes, in the state folder of the relay: run this as the relay's user. What is
    made or revoked counts at once, also for a relay that runs.
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it is good for; may be repeated.  [default: submit]",
)
@click.option(
    "--client",
    metavar="NAME",
    default="",
    help="Client of [[relay.clients]] it submits as: senders, account, priority and limits are that one's.",
)
@click.option(
    "--expires", callback=duration, help="How long it is good, such as 90d; else until it is revoked."
)
@common_options
@pass_common
def create(common: Common, name: str, scopes: tuple[str, ...], client: str, expires: float | None) -> None:
    """Make a token called NAME, and print it: it cannot be shown again.

    submit: hand in messages. read: see messages and accounts. operate: work on them. admin: everything.
    With --client, it sees only what was submitted as that client.
    """
    from postbearer.api import ApiTokens, TokenScope
    from postbearer.state import StateFolder

    _check_client(common, client)
    now = time.time()
    until = None if expires is None else now + expires
    wanted = [TokenScope(each) for each in scopes or ("submit",)]
    token = ApiTokens(StateFolder()).create(name, wanted, now=now, client=client, expires=until)
    if common.as_json:
        print_json({"name": name, "token": token.reveal(), "expires": until})
    else:
        click.echo(token.reveal())
        note("Keep it where the program finds it; it is not shown again.", "")


@command.command("list")
@common_options
@pass_common
def list_(common: Common) -> None:
    """List the tokens: names, scopes and lifetimes, never the tokens themselves."""
    from postbearer.api import ApiTokens
    from postbearer.state import StateFolder

    found, now = ApiTokens(StateFolder()).all(), time.time()
    if common.as_json:
        rows: list[dict[str, Any]] = [
            {
                "name": each.name,
                "scopes": list(each.scopes),
                "client": each.client,
                "made": each.made,
                "expires": each.expires,
                "expired": each.expired(now),
            }
            for each in found
        ]
        print_json({"tokens": rows})
    elif found:
        table(
            ("name", "scopes", "client", "made", "expires"),
            [
                (
                    each.name,
                    ", ".join(each.scopes),
                    each.client,
                    moment(each.made),
                    f"{moment(each.expires)}{' (over)' if each.expired(now) else ''}",
                )
                for each in found
            ],
        )
    else:
        click.echo("There are no tokens.")


@command.command("revoke")
@click.argument("name")
@common_options
@pass_common
def revoke(common: Common, name: str) -> None:
    """End the token NAME, at once and for good."""
    from postbearer.api import ApiTokens
    from postbearer.state import StateFolder

    ApiTokens(StateFolder()).revoke(name)
    if common.as_json:
        print_json({"name": name, "revoked": True})
    else:
        click.echo(f"{name} is revoked.")


def _check_client(common: Common, name: str) -> None:
    """Raise `UsageError` for a client that is not configured, as far as there is a configuration."""
    from postbearer.errors import UsageError
    from postbearer.suggestion import did_you_mean

    if not name:
        return
    relay = common.configuration().settings.relay
    known = [each.name for each in relay.clients] if relay is not None else []
    if name not in known:
        raise UsageError(
            f"There is no client {name!r:.80} in the configuration.",
            hint=did_you_mean(name, known) or f'Add [[relay.clients]] with name = "{name}".',
        )
