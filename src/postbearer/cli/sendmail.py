"""``postbearer sendmail``: drop-in for /usr/sbin/sendmail."""

from __future__ import annotations

import os
from pathlib import Path

import click

from postbearer.cli.options import Common, pass_common


@click.command(
    "sendmail",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    add_help_option=True,
)
@click.option(
    "--install",
    "place",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Write a script that does the same and starts much faster: /usr/sbin/sendmail, say.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS AS OF SENDMAIL] [RECIPIENT]…")
@pass_common
def command(common: Common, place: Path | None, words: tuple[str, ...]) -> int:
    """Take a message from standard input, as /usr/sbin/sendmail does.

    It goes to the relay of this machine. If that does not run, it goes into the relay's drop folder,
    and if there is none, straight to the provider.

    \b
      -t         take the recipients from To, Cc and Bcc, and leave Bcc away
      -i, -oi    a line with a dot alone does not end the message
      -f ADDR    the sender (also -r); "" for none
      -F NAME    the sender's name, if From has to be added
      -N WORDS   reports wished for: never, or success,failure,delay
      -R WHAT    what they bring back: full or hdrs
      -V ID      what they call the message
      -bs        speak SMTP on standard input and output
      -bp, -q    show the queue (also under the name mailq)
      -v         say what becomes of it

    \b
    Other options of sendmail are taken and do nothing.
    Exit codes: 0 taken, 64 usage, 65 unusable message, 66 no input,
    69 refused, 75 try again, 77 not allowed.
    """
    if place is not None:
        from postbearer.cli.dropin.install_script import install

        click.echo(f"{install(place)} hands mail to postbearer.")
        return 0
    if common.config:
        os.environ["POSTBEARER_CONFIG"] = common.config
    from postbearer.cli.dropin.main import main

    return main(list(words))
