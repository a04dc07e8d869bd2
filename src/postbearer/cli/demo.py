"""``postbearer demo``: one message from here to a mail provider that lives on this machine only."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.options import Common, common_options, json_option, pass_common
from postbearer.cli.output import print_json, style
from postbearer.cli.sandbox import stopped
from postbearer.observer import Attempted, Authenticated, Connected, Event, TlsStarted, TokenFetched

if TYPE_CHECKING:
    from postbearer.testing import Received, Sandbox


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the provider running, with its inbox for your browser.")
@json_option
@common_options
@pass_common
def command(common: Common, keep: bool) -> None:
    """Show the main job in one go, with nothing configured.

    Starts a mail provider on loopback that takes only bearer tokens, gets a token from it, proves who
    it is over verified TLS, and sends one message; then shows the message as the provider received it.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(common, keep))


async def _run(common: Common, keep: bool) -> None:
    from postbearer.testing import Sandbox

    async with Sandbox("microsoft") as sandbox:
        steps = Steps(talk=not common.as_json)
        began = time.monotonic()
        await _send(sandbox, steps)
        (received,) = sandbox.inbox.messages
        if common.as_json:
            elapsed = round((time.monotonic() - began) * 1000, 1)
            print_json({**steps.counted, "token_requests": sandbox.token_requests, "elapsed_ms": elapsed})
        else:
            _show(received, sandbox)
        if keep:
            print(f"\nThe inbox: {sandbox.url} (Ctrl-C stops it)", file=sys.stderr)
            sys.stderr.flush()
            await stopped()


async def _send(sandbox: Sandbox, steps: Steps) -> None:
    from postbearer.assembly import Assembly
    from postbearer.keeping import StateFolder
    from postbearer.mailer import AsyncMailer
    from postbearer.message import Draft

    draft = Draft(
        sender="Backup <backup@build.example.org>",
        to=["ops@example.org"],
        subject="Backup finished",
        text="All 1,204 files are safe.\n\n-- \nA program that knows nothing of OAuth\n",
    )
    account = Assembly.load(sandbox.folder / "postbearer.toml", {}).account("sandbox")
    with tempfile.TemporaryDirectory(prefix="postbearer-demo-") as folder:
        async with AsyncMailer(account, state=StateFolder(folder), observer=steps) as mailer:
            steps.say("accepted", "a message from a program that knows nothing of OAuth")
            steps.counted["accepted"] = 1
            receipt = await mailer.send(draft.build())
            steps.counted["delivered"] = len(receipt.delivered)


class Steps:
    """Tells each step as it happens."""

    def __init__(self, *, talk: bool) -> None:
        self.counted: dict[str, Any] = {"accepted": 0, "mechanism": "", "delivered": 0}
        self._talk = talk

    def say(self, step: str, text: str) -> None:
        if self._talk:
            print(f"  {style('✓', 'good', sys.stdout)} {step:<14} {text}")

    def notice(self, event: Event) -> None:
        match event:
            case Connected(server=server):
                self.say("connected", server)
            case TlsStarted(version=version, cipher=cipher):
                self.say("TLS", f"{version}, {cipher}, certificate verified")
            case TokenFetched(grant=grant, lifetime=lifetime):
                self.say("token fetched", f"by {grant}, good for {lifetime:.0f} s")
            case Authenticated(mechanism=mechanism, reply=reply):
                self.counted["mechanism"] = mechanism
                self.say(f"AUTH {mechanism}", str(reply))
            case Attempted(outcomes=outcomes):
                for outcome in outcomes:
                    self.say(str(outcome.state), f"{outcome.recipient}: {outcome.reply}")
            case _:
                pass


def _show(received: Received, sandbox: Sandbox) -> None:
    requests = f"{sandbox.token_requests} token request" + ("s" if sandbox.token_requests != 1 else "")
    print(f"\nAs {received.username}, with {requests}; as the provider received it:\n")
    for line in received.content.decode().splitlines():
        print(f"  {style('│', 'dim', sys.stdout)} {line}")
