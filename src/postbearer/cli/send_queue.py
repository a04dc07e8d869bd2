"""``postbearer send --queue``: hand the message to the relay of this machine, which sends it when it may."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from postbearer.cli.options import chosen_account
from postbearer.cli.output import after_the_deed, print_json, printable
from postbearer.cli.tables import moment
from postbearer.errors import ConfigError, UsageError
from postbearer.sending import TIMEOUT, ToSubmit

if TYPE_CHECKING:
    from postbearer.cli.options import Common
    from postbearer.cli.send_request import SendRequest


def queue(common: Common, order: SendRequest, account: str | None) -> int:
    """Have the relay keep the message that was described, and tell its id. Raises as `submit` does."""
    given = order.given
    if not given["wait"]:
        raise UsageError("A message that is queued is not waited for; --timeout says how long to try.")
    send_at = _time_of(given["at"])
    author = given["sender"]
    if author is None or account is not None:
        author = _author(common, account, author)
    message, envelope = order.build_for_queue(author, send_at)
    identifier = ToSubmit.of(message, envelope, lambda written_by: written_by).submit(
        account=account or "",
        timeout=TIMEOUT if given["timeout"] is None else given["timeout"],
        send_at=send_at,
        tags=given["tags"],
    )
    with after_the_deed():
        if common.as_json:
            print_json({"id": identifier, "send_at": send_at})
        else:
            when = "" if send_at is None else f"; it leaves at {moment(send_at)}"
            click.echo(f"queued as {printable(identifier)}{when}")
    return 0


def _time_of(text: str | None) -> float | None:
    """When to send, if that is to come. Raises `UsageError`."""
    if text is None:
        return None
    from postbearer.config import MOMENT_HINT, parse_moment
    from postbearer.engine import LONGEST_HOLD

    now = time.time()
    try:
        found = parse_moment(text, now)
    except ValueError as error:
        raise UsageError(f"--at: {text!r:.60} {error}.", hint=MOMENT_HINT) from None
    if found > now + LONGEST_HOLD:
        days = LONGEST_HOLD // 86_400
        raise UsageError(f"--at: a message is held for {days} days at most.", hint="Name a time before that.")
    return found if found > now else None


def _author(common: Common, account: str | None, sender: str | None) -> str:
    """Who writes: `sender`, if that is said, else the account that is meant."""
    from postbearer.assembly import Assembly

    try:
        assembly = Assembly.load(common.config)
        chosen = assembly.account(chosen_account(assembly.configuration, account, sender or ""))
    except ConfigError as error:
        if sender is None and not error.file:
            hint = "Say --from ADDRESS, or make a configuration: postbearer init"
            raise ConfigError("Nothing says who writes the message.", hint=hint) from error
        raise
    return sender or chosen.address
