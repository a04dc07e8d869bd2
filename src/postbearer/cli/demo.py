"""``postbearer demo``: a message through a mail provider that lives on this machine only."""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.extras import need_sandbox
from postbearer.cli.options import Common, common_options, json_option, pass_common
from postbearer.cli.output import print_json, printable, style
from postbearer.observe import sentence
from postbearer.observer import Authenticated, Event

if TYPE_CHECKING:
    from postbearer.outcome import Receipt
    from postbearer.testing import Sandbox

RECIPIENT = "you@example.org"


class Steps:
    """An observer that shows every step as it happens, and remembers the mechanism."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.mechanism = ""

    def notice(self, event: Event) -> None:
        """Show `event`."""
        if isinstance(event, Authenticated):
            self.mechanism = event.mechanism
        self.show(sentence(event))

    def show(self, text: str) -> None:
        """One step."""
        if not self._quiet:
            import sys

            click.echo(f"{style('✓', 'good', sys.stdout)} {printable(text)}")


@click.command("demo")
@click.option(
    "--provider",
    type=click.Choice(["microsoft", "google", "generic"]),
    default="microsoft",
    show_default=True,
    help="Whose manners the provider has.",
)
@click.option("--keep", is_flag=True, help="Leave it running, with its inbox, until interrupted.")
@json_option
@common_options
@pass_common
def command(common: Common, provider: str, keep: bool) -> None:
    """Send a message through a mail provider that lives on this machine only.

    Nothing is configured and nothing is left behind: a sandbox starts on free loopback ports, a
    token is fetched, a message goes out over TLS and is shown as the sandbox received it.
    """
    need_sandbox()
    from postbearer.testing import BackgroundSandbox

    began = time.monotonic()
    steps = Steps(quiet=common.as_json)
    with BackgroundSandbox(provider) as sandbox:
        steps.show(
            f"a mail provider listens on localhost:{sandbox.starttls_port}, its inbox on {sandbox.url}"
        )
        receipt = _send(sandbox, steps)
        told = _told(sandbox, steps, receipt, time.monotonic() - began)
        if common.as_json:
            print_json(told)
        else:
            _show(sandbox, told)
        if keep:
            click.echo(f"The inbox stays at {sandbox.url} until you press Ctrl-C.", err=True)
            _until_interrupted()


def _send(sandbox: Sandbox, steps: Steps) -> Receipt:
    from postbearer.assembly import Assembly
    from postbearer.keeping import StateFolder
    from postbearer.mailer import Mailer
    from postbearer.message import Draft

    assembly = Assembly.load(sandbox.folder / "postbearer.toml", {})
    account = assembly.account("sandbox")
    draft = Draft(
        account.address,
        [RECIPIENT],
        subject="Hello from postbearer",
        text="This message left with a bearer token and without a password.\n",
    )
    with tempfile.TemporaryDirectory(prefix="postbearer-") as folder:
        state = StateFolder(os.path.join(folder, "state"))
        with Mailer(account, state=state, observer=steps) as mailer:
            return mailer.send(draft.build())


def _told(sandbox: Sandbox, steps: Steps, receipt: Receipt, elapsed: float) -> dict[str, Any]:
    return {
        "accepted": len(receipt.outcomes),
        "token_requests": sandbox.token_requests,
        "mechanism": steps.mechanism,
        "delivered": len(sandbox.inbox.messages),
        "elapsed_ms": round(elapsed * 1000),
    }


def _show(sandbox: Sandbox, told: dict[str, Any]) -> None:
    content = sandbox.inbox.messages[-1].content.decode("utf-8", "replace").replace("\r\n", "\n")
    click.echo("\nAs it was received:\n")
    click.echo("\n".join(f"  {printable(line)}".rstrip() for line in content.splitlines()))
    click.echo(f"\nAll of it took {told['elapsed_ms']} ms.")


def _until_interrupted() -> None:
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("Closed.", err=True)
