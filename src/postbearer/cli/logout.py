"""``postbearer logout``: what ``login`` began ends, at the provider and here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from postbearer.cli import completion
from postbearer.cli.options import Common, chosen_account, common_options, pass_common
from postbearer.cli.output import note, print_json

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.clock import Clock
    from postbearer.oauth import GrantStore, StoredGrant


@click.command("logout")
@click.argument("account", required=False, shell_complete=completion.accounts)
@click.option("--local", is_flag=True, help="Only forget it here; ask nobody.")
@common_options
@pass_common
def command(common: Common, /, account: str | None, local: bool) -> None:
    """End the sign-in of ACCOUNT (the only one, if there is one): at the provider, and here.

    When the provider cannot be asked nothing changes; --local forgets it here all the same. A relay that
    runs may use the access token it has until that ends, within the hour, and then pauses the account.
    """
    from postbearer.assembly import Assembly
    from postbearer.clock import SystemClock

    assembly, clock = Assembly.load(common.config), SystemClock()
    account = chosen_account(assembly.configuration, account)
    with assembly.placing(account):
        chosen = assembly.account(account)
        store = chosen.token_store(assembly.persistence, clock=clock)
        with store.signing_in():
            ended, revoked = asyncio.run(_end(chosen, store, clock, local=local))
    signed_in = ended.refresh is not None
    if common.as_json:
        print_json({"account": account, "signed_out": signed_in, "revoked": revoked})
        return
    if not signed_in:
        lost = " What was kept could not be read, and is gone." if ended.damage else ""
        click.echo(f"Nobody was signed in for {account}.{lost}")
        return
    click.echo(f"Signed out{' at the provider, and forgotten here' if revoked else ': forgotten here'}.")
    if not revoked and not local:
        note(
            "The provider has no address to end a sign-in at, as far as is known.",
            f"Take the program away in the account's list of applications, as {chosen.address}. "
            "If there is an address, set revocation-url.",
        )


async def _end(account: Account, store: GrantStore, clock: Clock, *, local: bool) -> tuple[StoredGrant, bool]:
    """What was kept, and whether the provider ended it."""
    from postbearer.control import person_grant
    from postbearer.oauth import end_sign_in, found, revoke

    grant = person_grant(account)
    if local:
        return await end_sign_in(store), False
    now = clock.now()
    grant, endpoint = await found(grant, account.endpoint, account.name, page=grant.revocation_url, now=now)
    if not grant.revocation_url:
        return await end_sign_in(store), False
    kept = await end_sign_in(store, lambda token: revoke(grant, endpoint, token, account.name, now=now))
    return kept, kept.refresh is not None
