"""``postbearer token``: a valid access token for msmtp, mutt, Postfix and others."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from postbearer.cli import completion
from postbearer.cli.options import Common, chosen_account, common_options, only_account, pass_common
from postbearer.cli.output import print_json
from postbearer.cli.progress_listener import ProgressListener
from postbearer.errors import CredentialError, SecretError, StoreError

if TYPE_CHECKING:
    from postbearer.control import AccountStatus
    from postbearer.oauth import TokenResponse


@click.command("token")
@click.argument("account", required=False, shell_complete=completion.accounts)
@click.option("--relay", "from_relay", is_flag=True, help="Ask the running relay, by its control socket.")
@common_options
@pass_common
def command(common: Common, account: str | None, from_relay: bool) -> None:
    """Print a valid access token of ACCOUNT, which need not be named where there is only one.

    The token comes from the cache that all programs of this user share; a new one is fetched only
    when it is about to expire. For msmtp:

    \b
      auth oauthbearer
      passwordeval postbearer token alerts

    With --relay the relay's own cache is asked: as its user or as root, who need to read neither its
    configuration nor its secrets then.
    """
    told = _of_relay(account) if from_relay else _of_configuration(common, account)
    if common.as_json:
        print_json(told)
    else:
        click.echo(told.access_token)


def _of_configuration(common: Common, named: str | None) -> TokenResponse:
    import asyncio

    from postbearer.assembly import Assembly
    from postbearer.clock import SystemClock
    from postbearer.oauth import TokenResponse
    from postbearer.tokens import token_source

    assembly, clock = Assembly.load(common.config), SystemClock()
    name = chosen_account(assembly.configuration, named)
    account, state = assembly.account(name), assembly.persistence
    observer = ProgressListener(verbose=common.verbose)
    try:
        token = token_source(account, state=state, clock=clock, observer=observer).token_blocking()
    except (CredentialError, SecretError) as error:
        from postbearer.verdict import advise

        advise(error, account.rules)
        raise
    with suppress(CredentialError, StoreError):  # it is only slower the next time
        if account.grant is not None and account.grant.asks != "nobody":
            asyncio.run(account.token_store(state, clock=clock).remember())
    return TokenResponse.of(token, name, clock.monotonic())


def _of_relay(account: str | None) -> TokenResponse:
    from postbearer.cli.queue_client import running_relay

    client = running_relay(needed=True)
    if not account:
        known: tuple[AccountStatus, ...] = client.call("accounts.list")
        account = only_account(each.name for each in known)
    told: TokenResponse = client.call("accounts.token", name=account)
    return told
