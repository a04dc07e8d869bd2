"""``postbearer reload`` and ``stop``: what is said to the running relay."""

from __future__ import annotations

import click

from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json


@click.command("reload")
@common_options
@pass_common
def reload(common: Common) -> None:
    """Have the running relay read its configuration anew.

    If that is wrong it says why, and the relay goes on with the old one (78). Addresses to listen on and
    the place of the queue are read at the start only.
    """
    _say(common, "relay.reload", "The relay goes by the configuration as it is now.")


@click.command("stop")
@common_options
@pass_common
def stop(common: Common) -> None:
    """Have the running relay finish what is under way, and end.

    It takes no more mail from now on; what waits in the queue leaves after the next start.
    """
    _say(common, "relay.stop", "The relay finishes what is under way, and ends.")


def _say(common: Common, act: str, done: str) -> None:
    from postbearer.cli.queue_client import running_relay

    answer = running_relay(needed=True).call(act)
    if common.as_json:
        print_json(answer)
    else:
        click.echo(done)
