"""``postbearer token``: a valid access token for msmtp, mutt, Postfix and others."""

from __future__ import annotations

import asyncio
import time

import click

from postbearer.cli.options import Common, common_options, json_option, pass_common
from postbearer.cli.output import print_json


@click.command("token")
@click.argument("account")
@json_option
@common_options
@pass_common
def command(common: Common, account: str) -> None:
    """Print a valid access token of ACCOUNT.

    The token comes from the cache that all programs of this user share; a new one is fetched only
    when it is about to expire. For msmtp:

    \b
      auth oauthbearer
      passwordeval postbearer token alerts
    """
    from postbearer.assembly import Assembly

    source = Assembly.load(common.config).token_source(account)
    token = asyncio.run(source.token())
    if not common.as_json:
        click.echo(token.access.reveal())
        return
    left = token.expires_at - time.monotonic()
    print_json(
        {
            "account": account,
            "access_token": token.access.reveal(),
            "token_type": "Bearer",
            "expires_in": max(0, int(left)),
            "scope": token.scope,
        }
    )
