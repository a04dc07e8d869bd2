"""``postbearer login``: a person signs in, once, for an account that acts for that person."""

from __future__ import annotations

import asyncio

import click

from postbearer.cli.options import Common, common_options, json_option, pass_common
from postbearer.cli.output import print_json


@click.command("login")
@click.argument("account")
@json_option
@common_options
@pass_common
def command(common: Common, account: str) -> None:
    """Sign in for ACCOUNT, whose grant is device-code.

    Shows an address and a code: open the address in any browser, on any machine, type the code and
    sign in as the mailbox's user. What comes back is kept sealed, shared by all programs of this user
    and renewed by itself; sign in again when an error says so.
    """
    from postbearer.assembly import Assembly
    from postbearer.clock import SystemClock
    from postbearer.errors import ConfigError
    from postbearer.oauth import DeviceCode, DeviceSignIn, Invitation, keep_sign_in

    def show(invitation: Invitation) -> None:
        click.echo(f"Open {invitation.url} in any browser and type {invitation.code}", err=True)
        click.echo(f"Waiting for you, {invitation.seconds / 60:.0f} minutes at most.", err=True)

    assembly, clock = Assembly.load(common.config), SystemClock()
    chosen = assembly.account(account)
    grant = chosen.grant
    if not isinstance(grant, DeviceCode):
        name = grant.name if grant else "none"
        raise ConfigError(
            f"Nobody signs in for {account}: its grant is {name}.",
            key=f"accounts.{account}.grant",
            hint='Set grant = "device-code", if the provider has it.',
        )
    store = chosen.token_file(assembly.state, clock=clock)  # a folder that cannot be written shows before

    async def sign_in() -> None:
        answer = await DeviceSignIn(grant, chosen.endpoint, clock, account).run(show)
        await keep_sign_in(store, answer, now=clock.now(), margin=chosen.refresh_margin)

    asyncio.run(sign_in())
    if common.as_json:
        print_json({"account": account, "signed_in": True})
    else:
        click.echo(f"Signed in. Try: postbearer check {account}")
