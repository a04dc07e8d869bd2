"""``postbearer audit``: who did what to the queue, to accounts and to the relay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import note, print_json
from postbearer.cli.tables import moment, table
from postbearer.errors import StoreError

if TYPE_CHECKING:
    from postbearer.control import AuditPage, AuditRow, AuditVerified


@click.command("audit")
@click.option(
    "--limit", default=100, type=click.IntRange(1, 1000), show_default=True, help="Show so many at most."
)
@click.option("--verify", is_flag=True, help="Tell whether any of it was changed or taken out.")
@common_options
@pass_common
def command(common: Common, limit: int, verify: bool) -> None:
    """Show who did what to messages, accounts and the relay, the newest first.

    Each entry carries a hash of itself and of the one before. --verify looks whether they still fit.
    """
    from postbearer.cli.queue_client import queue_client

    asked = queue_client(common)
    if verify:
        _tell(common, asked.call("audit.verify"))
        return
    page: AuditPage = asked.call("audit.list", limit=limit)
    if common.as_json:
        print_json(page)
        return
    if not page.entries:
        click.echo("Nothing was done by hand yet.")
        return
    table(("when", "who", "what", "to", "result"), [_row(each) for each in page.entries])
    if page.more:
        note(f"There is more than these {limit}.", "See more by --limit.")


def _row(entry: AuditRow) -> tuple[str, ...]:
    target = (entry.message, entry.recipient, entry.account, entry.detail)
    count = f"{entry.count} changed" if entry.count else "done"
    return (
        moment(entry.at),
        f"{entry.by} ({entry.known_by})",
        entry.action,
        ", ".join(filter(None, target)),
        entry.result or count,
    )


def _tell(common: Common, found: AuditVerified) -> None:
    if common.as_json:
        print_json(found)
    elif found.wrong is None:
        last = f" The last hash is {found.last}." if found.last else ""
        click.echo(f"{found.entries} entries are as they were written.{last}")
    if found.wrong is not None:
        raise StoreError(
            f"The entry {found.wrong} is not as it was written, or one before it is gone.",
            hint="Somebody wrote into the database, or the disk damaged it. Compare it with a backup.",
        )
