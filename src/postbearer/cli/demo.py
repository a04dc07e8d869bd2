"""``postbearer demo``: plain SMTP in, OAuth SMTP out, on this machine only."""

from __future__ import annotations

import asyncio
import os
import smtplib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.demo_http import post_and_follow
from postbearer.cli.extras import need_postgres, need_relay, need_sandbox
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json, printable, style
from postbearer.cli.sandbox import stopped
from postbearer.errors import UsageError
from postbearer.events import Accepted, Attempted, Authenticated, DeliveryEnded, Event, Started
from postbearer.log import sentence

if TYPE_CHECKING:
    from postbearer.daemon import Relay
    from postbearer.testing import Sandbox

RECIPIENT = "ops@example.org"
MESSAGE = """\
From: Backup <backup@build.example.org>
To: ops@example.org
Subject: Backup finished

All 1,204 files are safe.

--
A program that knows nothing of OAuth
"""
TABLES = """
[relay]
listen = ["127.0.0.1:0"]
allow-ephemeral = true
[http]
listen = ["127.0.0.1:0"]
accounts = "editable"
"""
PATIENCE = 30.0  # seconds until something must be wrong with this machine


class Steps:
    """An observer that shows every step as it happens, and counts."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.answer = "the program is told 250"
        self.mechanism = ""
        self.accepted = 0
        self.done = asyncio.Event()

    def hears(self, kind: type[Event]) -> bool:
        return not kind.for_counting

    def notice(self, event: Event) -> None:
        """Show `event`."""
        match event:
            case Authenticated():
                self.mechanism = event.mechanism
            case Accepted():
                self.accepted += 1
                self.show(f"accepted and synced as {event.id}: {self.answer}")
                return
            case DeliveryEnded():
                self.done.set()
            case Attempted() | Started():
                return
            case _:
                pass
        self.show(sentence(event))

    def show(self, text: str) -> None:
        """One step."""
        if not self._quiet:
            click.echo(f"{style('✓', 'good', sys.stdout)} {printable(text)}")


@click.command("demo")
@click.option(
    "--provider",
    type=click.Choice(["microsoft", "google", "generic"]),
    default="microsoft",
    show_default=True,
    help="Whose manners the provider has.",
)
@click.option("--cluster", is_flag=True, help="Three relays on one PostgreSQL, one of which is killed.")
@click.option("--keep", is_flag=True, help="Leave it running, with inbox and console, until interrupted.")
@common_options
@pass_common
def command(common: Common, provider: str, cluster: bool, keep: bool) -> None:
    """Send messages through a mail provider that lives on this machine only.

    A sandbox that takes nothing but bearer tokens starts on free loopback ports, and a relay in front of
    it. A program that knows only plain SMTP sends one message to the relay; the relay keeps it safe, gets
    a token, and sends it on over TLS. Another program posts a message by HTTP, and follows what becomes of
    it. Nothing is configured, and nothing is left behind.

    With --cluster a PostgreSQL of its own starts, and three relays that share one queue in it. All three take
    mail, one is killed in the middle, and all of it arrives, within the limits of the one mailbox.
    """
    need_sandbox()
    need_relay()
    if cluster:
        need_postgres()
    if cluster and keep:
        raise UsageError("--cluster leaves nothing running.", hint="Leave out --keep.")
    asyncio.run(_run_cluster(common, provider) if cluster else _run(common, provider, keep))


async def _run(common: Common, provider: str, keep: bool) -> None:
    from postbearer.testing import Sandbox

    began = time.monotonic()
    steps = Steps(quiet=common.as_json)
    async with Sandbox(provider) as sandbox:
        steps.show(
            f"a mail provider listens on localhost:{sandbox.starttls_port}, its inbox on {sandbox.url}"
        )

        async def finish(relay: Relay, told: dict[str, Any]) -> None:
            told["elapsed_ms"] = round((time.monotonic() - began) * 1000)
            if common.as_json:
                print_json(told)
            else:
                _show(sandbox, told)
            if keep:
                click.echo("All of it stays until you press Ctrl-C:", err=True)
                click.echo(f"  the provider's inbox:  {sandbox.url}", err=True)
                click.echo(f"  the relay's console:   {relay.open_console()}", err=True)
                await stopped()

        with tempfile.TemporaryDirectory(prefix="postbearer-") as folder:
            await _through_the_relay(sandbox, Path(folder), steps, finish)


async def _run_cluster(common: Common, provider: str) -> None:
    from postbearer.cli.demo_cluster import run_cluster
    from postbearer.testing import Sandbox

    began, steps = time.monotonic(), Steps(quiet=common.as_json)
    async with Sandbox(provider) as sandbox:
        told = await run_cluster(sandbox, steps.show)
    told["elapsed_ms"] = round((time.monotonic() - began) * 1000)
    if common.as_json:
        print_json(told)


async def _through_the_relay(
    sandbox: Sandbox,
    folder: Path,
    steps: Steps,
    finish: Callable[[Relay, dict[str, Any]], Awaitable[None]],
) -> None:
    """One message from `smtplib` to a relay, and on to the sandbox; then one by HTTP.

    `finish` is given the relay while it runs, and what became of both.
    """
    from postbearer.api import FIRST_FILE
    from postbearer.assembly import Assembly
    from postbearer.daemon import embedded
    from postbearer.state import StateFolder

    configuration = folder / "postbearer.toml"
    configuration.touch(mode=0o600)
    # By the issuer a further mailbox finds where to sign in.
    configuration.write_text(f'{sandbox.configuration()}issuer = "{sandbox.url}"\n{TABLES}')
    state = StateFolder(os.path.join(folder, "state"))
    relay = embedded(partial(Assembly.load, configuration, {}, state), observer=steps)
    await relay.start()
    try:
        host, _, port = relay.addresses[0].rpartition(":")
        steps.show(f"a relay listens on {host}:{port} for plain SMTP, without login")
        await asyncio.to_thread(_submit, host, int(port))
        async with asyncio.timeout(PATIENCE):
            await steps.done.wait()
        told: dict[str, Any] = {
            "queued": steps.accepted,
            "token_requests": sandbox.token_requests,
            "mechanism": steps.mechanism,
            "delivered": len(sandbox.inbox.messages),
        }
        steps.show(f"the same relay listens on {relay.addresses[-1]} for HTTP, with a token")
        steps.answer = "the program is told 202"
        token_file = Path(state.path, FIRST_FILE)
        told["http"] = await asyncio.to_thread(
            post_and_follow, relay.addresses[-1], token_file, steps.show, PATIENCE
        )
        await finish(relay, told)
    finally:
        await relay.stop(1.0)


def _submit(host: str, port: int) -> None:
    """What the program does that knows nothing of OAuth."""
    with smtplib.SMTP(host, port) as smtp:
        smtp.sendmail("backup@build.example.org", [RECIPIENT], MESSAGE)


def _show(sandbox: Sandbox, told: dict[str, Any]) -> None:
    content = sandbox.inbox.messages[0].content.decode("utf-8", "replace").replace("\r\n", "\n")
    click.echo("\nAs the provider received the first one:\n")
    click.echo("\n".join(f"  {printable(line)}".rstrip() for line in content.splitlines()))
    requests = f"{told['token_requests']} token request" + ("s" if told["token_requests"] != 1 else "")
    click.echo(f"\nIt took {told['elapsed_ms']} ms and {requests}.")
