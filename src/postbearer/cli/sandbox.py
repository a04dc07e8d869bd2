"""``postbearer sandbox``: a mail provider with OAuth on loopback, until it is stopped."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from postbearer.cli.options import F
    from postbearer.testing import Sandbox


def _port(name: str, help: str) -> Callable[[F], F]:
    return click.option(name, type=click.IntRange(0, 65535), default=0, metavar="N", help=help)


@click.command("sandbox")
@click.option(
    "--provider",
    type=click.Choice(["microsoft", "google", "generic"]),
    default="generic",
    show_default=True,
    help="Whose habits it has: what EHLO offers, how it refuses, what it limits.",
)
@click.option(
    "--lifetime",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    metavar="SECONDS",
    help="How long access tokens live.  [3600]",
)
@click.option("--opaque", is_flag=True, help="Give opaque access tokens instead of JWTs.")
@_port("--http-port", "Port of the inbox, the token endpoint and the faults.  [a free one]")
@_port("--smtp-port", "Port of the mail server, with STARTTLS.  [a free one]")
@_port("--smtps-port", "Port of the mail server, with implicit TLS.  [a free one]")
@click.option("--client-secret", default="", metavar="TEXT", help="The client's secret.  [a new one]")
@click.option("--password", default="", metavar="TEXT", help="Password of both users.  [new ones]")
@common_options
@pass_common
def command(common: Common, /, http_port: int, smtp_port: int, smtps_port: int, **given: Any) -> None:
    """Run a mail provider with OAuth on this machine, for your own tests.

    It has an authorization server, a mail server that takes nothing but bearer tokens, and an inbox to
    look at in a browser. It listens on loopback only, keeps nothing, and runs until you press Ctrl-C.
    Its page has the inbox, and faults to be switched on while it runs; a program switches them by HTTP.
    """
    from postbearer.testing import Ports, Sandbox

    sandbox = Sandbox(**given, ports=Ports(http=http_port, smtp=smtp_port, smtps=smtps_port))
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(common, sandbox))


async def _run(common: Common, sandbox: Sandbox) -> None:
    async with sandbox:
        if common.as_json:
            print_json(sandbox.describe())
        else:
            _tell(sandbox)
        sys.stdout.flush()
        await stopped()


async def stopped() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # Windows; there Ctrl-C raises KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _tell(sandbox: Sandbox) -> None:
    about = sandbox.describe()
    smtp = about["smtp"]
    rows = {
        "inbox": about["inbox"],
        "token endpoint": about["token_url"],
        "mail server": f"{smtp['host']}:{smtp['starttls_port']} (STARTTLS), "
        f"{smtp['host']}:{smtp['implicit_port']} (implicit TLS)",
        "authority": about["ca_file"],
        "client": f"{about['client_id']}, secret {about['client_secret']}",
        **{f"user {user}": f"password {password}" for user, password in about["users"].items()},
        "scopes": ", ".join(about["scopes"]),
    }
    print(style(f"A {about['provider']} mail provider runs on this machine.", "bold", sys.stdout))
    for name, value in rows.items():
        print(f"  {name:<26} {value}")
    print("Try it from another terminal:")
    print(f"  . {shlex.quote(about['environment'])}")
    print("  postbearer send --account sandbox --to you@example.org --subject Hello --text 'It works.'")
    print("Read what it took, and have it fail, in a browser:")
    print(f"  {about['inbox']}")
    print(f"  {about['inbox']}/faults  (by a program: PUT; docs/reference/sandbox.md)")
    print("Ctrl-C stops it.")
