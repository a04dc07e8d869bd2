"""``postbearer console``: the way into the console of the running relay."""

from __future__ import annotations

import click

from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json


@click.command("console")
@common_options
@pass_common
def command(common: Common) -> None:
    """Print an address that opens the console of the running relay, once and within ten minutes.

    Open it in a browser on the relay's own machine, or through a tunnel (ssh -L). Whoever opens it may do
    everything. Logins for people elsewhere are named by [[http.logins]] in the configuration.
    """
    from postbearer.cli.queue_client import running_relay

    answer = running_relay(needed=True).call("console.open")
    if common.as_json:
        print_json(answer)
    else:
        click.echo(answer.url)
