"""``postbearer serve``: the relay."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from postbearer.cli.exit_codes import ExitCode, exit_code
from postbearer.cli.extras import need_relay
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import describe

if TYPE_CHECKING:
    from postbearer.assembly import Assembly
    from postbearer.daemon import Worker
    from postbearer.state import StateFolder


def log_end(error: Exception) -> int:
    """Say in the log why the relay ended, or did not begin; the exit code."""
    code = exit_code(error)
    told = describe(error)
    text = f"the relay cannot run: {told['message']}"
    unforeseen = error if code is ExitCode.BUG else None
    logging.getLogger("postbearer").error(text, exc_info=unforeseen, extra={"told": told})
    return code


def show_console(address: str) -> None:
    """Where to see the relay in a browser."""
    click.echo(f"Open the console, once and within ten minutes: {address}", err=True)


@click.command("serve")
@click.option(
    "--log", "style", type=click.Choice(["text", "json"]), default="text", help="How the log looks."
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    help="So many relays that share the queue in PostgreSQL and the ports.",
)
@common_options
@pass_common
def command(common: Common, style: str, workers: int) -> int:
    """Run the relay: take mail by plain SMTP, keep it safe, and send it on with OAuth.

    Point old software at the address it listens on (127.0.0.1:2525 unless the configuration says
    otherwise). A message is answered with 250 only once it is on the disk; from then on it is
    delivered, or its sender is told why not.

    With [http] in the configuration there is a console for the browser, too: its address is printed with
    a code that opens it once, unless the log goes to the journal or is JSON. Another is made by
    `postbearer console`.

    With --workers one process begins several relays, and begins anew one that dies; the first of them has the
    console, the HTTP API and the sockets for commands. The queue has to be in PostgreSQL.

    SIGHUP reads the configuration anew; SIGTERM finishes what is under way and ends. The log goes to
    standard error; --json is --log json.
    """
    need_relay()
    from postbearer.assembly import Assembly
    from postbearer.daemon import run, run_workers
    from postbearer.log import capture_everything, set_up

    style = "json" if common.as_json else style
    journal = bool(os.environ.get("JOURNAL_STREAM")) and style == "text"
    set_up(sys.stderr, as_json=style == "json", verbose=common.verbose, journal=journal)
    capture_everything()
    shown = None if journal or style == "json" else show_console  # a log is read by more than one person
    try:
        if workers > 1:
            return run_workers(workers, partial(_load, common.config), partial(_work, shown))
        run(lambda: Assembly.load(common.config), shown)
    except Exception as error:  # any: who reads the log as JSON reads why it ended so, too
        if style == "text":
            raise
        return log_end(error)
    return ExitCode.OK


def _load(path: str | None, state: StateFolder | None) -> Assembly:
    from postbearer.assembly import Assembly

    return Assembly.load(path, state=state)


def _work(shown: Callable[[str], None] | None, load: Callable[[], Assembly], worker: Worker) -> int:
    """The life of one of several relays; its exit code."""
    from postbearer.daemon import run

    try:
        run(load, shown if worker.first else None, worker)
    except Exception as error:  # any: its supervisor goes on
        return log_end(error)
    return ExitCode.OK
