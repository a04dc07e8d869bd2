"""``postbearer send``: build a message, or take one, and send it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from postbearer.cli import completion
from postbearer.cli.exit_codes import UnusableMessage, receipt_code
from postbearer.cli.options import Common, chosen_account, common_options, duration, pass_common, tags
from postbearer.cli.output import after_the_deed, describe, print_json, printable, report, style
from postbearer.cli.progress import Progress
from postbearer.cli.progress_listener import ProgressListener
from postbearer.errors import Rejected, SenderNotAllowed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from postbearer.cli.options import F
    from postbearer.outcome import Outcome, Receipt


def _mailboxes(context: click.Context, parameter: click.Parameter, given: Any) -> Any:
    from postbearer.message import parse_mailboxes

    for value in (given,) if isinstance(given, str) else given or ():
        try:
            boxes = parse_mailboxes(value)
        except UsageError as error:
            raise click.BadParameter(printable(error.message)) from None
        if not boxes or (parameter.name == "sender" and len(boxes) > 1):
            raise click.BadParameter(f"{printable(value)!r} is not an address.")
    return given


def _words(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Any:
    """Recipients as ``mail`` takes them, and ``-`` for the text on standard input."""
    _mailboxes(context, parameter, [word for word in given if word != "-"])
    return given


def _fields(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Any:
    from postbearer.message import Header

    fields = []
    for value in given:
        name, colon, text = value.partition(":")
        try:
            if not colon:
                raise UsageError('Write "Name: value".')
            Header.parse(b"").add(name, text.strip(" "))
        except UsageError as error:
            raise click.BadParameter(printable(error.message)) from None
        fields.append((name, text.strip(" ")))
    return fields


def _addresses(name: str, help: str) -> Callable[[F], F]:
    return click.option(name, multiple=True, callback=_mailboxes, metavar="ADDRESS", help=help)


@click.command("send")
@click.argument("words", nargs=-1, metavar="[ADDRESS]… [-]", callback=_words)
@click.option(
    "-a",
    "--account",
    metavar="NAME",
    shell_complete=completion.accounts,
    help="Account it leaves from, if there are several.",
)
@_addresses("--to", "Recipient; repeat it for more.")
@_addresses("--cc", "Recipient of a copy.")
@_addresses("--bcc", "Recipient that nobody else sees.")
@click.option(
    *("-f", "-r", "--from", "--sender", "sender"),
    callback=_mailboxes,
    metavar="ADDRESS",
    help="Author; the account unless given.",
)
@click.option("-s", "--subject", default="", help="Subject.")
@click.option("--text", metavar="TEXT", help="Plain text; standard input unless given, or where it is -.")
@click.option("--html", metavar="HTML", help="HTML; - reads it from standard input.")
@click.option("--attach", multiple=True, metavar="FILE", help="File to attach; repeat it for more.")
@click.option("--header", "headers", multiple=True, callback=_fields, metavar="'NAME: VALUE'", help="Header.")
@click.option("--raw", metavar="FILE", help="Send RFC 5322 content as it is; - reads standard input.")
@click.option("--dsn-notify", metavar="LIST", help="Reports wanted: success,failure,delay or never.")
@click.option("--dsn-return", type=click.Choice(["full", "headers"]), help="What a report brings back.")
@click.option("--dsn-id", default="", metavar="ID", help="What reports call the message.")
@click.option("--queue", is_flag=True, help="Hand it to the relay of this machine, and do not wait.")
@click.option(
    "--at", metavar="WHEN", help='With --queue: not before 2026-12-01T08:00:00Z, or "1h 30m" from now.'
)
@click.option(
    "--tag", "tags", multiple=True, callback=tags, metavar="NAME:VALUE", help="With --queue: a tag."
)
@click.option("--wait/--no-wait", default=True, help="Wait while the account may not send.")
@click.option("--timeout", metavar="DURATION", callback=duration, help="How long to wait for that.")
@common_options
@pass_common
def command(common: Common, /, account: str | None, **given: Any) -> int:
    """Build a message, or take one with --raw, and send it.

    \b
    postbearer send --to ops@example.org --subject "Disk full" --text "90 %"
    df -h | postbearer send --account alerts --to ops@example.org --subject Disks

    ADDRESS is a recipient, as after --to. Without --text, --html and --raw, or with -, the text is read
    from standard input. The command waits for the
    provider's answer and prints the id the provider gave. Exit code 0 means that every recipient was
    accepted, 75 that trying again is right, 69 that somebody was refused for good, 77 that the
    account or the sender was.

    With --queue, which --at and --tag imply, the relay of this machine takes the message, and its id in the
    queue is printed. It leaves by the account of that name there, unless a route says otherwise.
    """
    from postbearer.assembly import Assembly
    from postbearer.blocking import Mailer
    from postbearer.cli.send_request import SendRequest

    order = SendRequest.read(given)
    if given["queue"] or given["at"] is not None or given["tags"]:
        from postbearer.cli.send_queue import queue

        return queue(common, order, account)
    assembly = Assembly.load(common.config)
    account = chosen_account(assembly.configuration, account, given["sender"] or "")
    chosen = assembly.account(account)
    message, envelope = order.build(chosen)
    progress = Progress("Sending")
    progress.wait_for("a connection")
    observer = ProgressListener(verbose=common.verbose, progress=progress)
    try:
        with (
            assembly.placing(account),
            progress,
            Mailer(chosen, state=assembly.persistence, observer=observer) as mailer,
        ):
            receipt = mailer.send(message, envelope, wait=given["wait"], timeout=given["timeout"])
    except Rejected as error:
        if common.as_json:
            with after_the_deed():
                print_json({**receipt_as_json(error.receipt), "error": describe(error)})
            return receipt_code(error.receipt)
        return report(error, as_json=False, debug=common.debug)
    except SenderNotAllowed:
        raise
    except UsageError as error:  # the command line was right, so it is the message
        raise UnusableMessage(error.message, hint=error.hint) from error
    with after_the_deed():
        if common.as_json:
            print_json(receipt_as_json(receipt))
        else:
            _show(receipt)
    return receipt_code(receipt)


def receipt_as_json(receipt: Receipt) -> dict[str, Any]:
    """A receipt as JSON."""
    return {
        "delivered": len(receipt.delivered),
        "refused": len(receipt.refused),
        "queue_id": receipt.queue_id,
        "server": receipt.server,
        "message_id": receipt.message_id,
        "recipients": [_recipient(outcome) for outcome in receipt.outcomes],
    }


def _recipient(outcome: Outcome) -> dict[str, Any]:
    fields = {
        "reply": str(outcome.answer or ""),
        "error": str(outcome.error or ""),
        "queue_id": outcome.queue_id,
        "cause": outcome.cause,
        "remedy": outcome.remedy,
    }
    kept = {name: value for name, value in fields.items() if value}
    return {"address": outcome.recipient, "state": str(outcome.state), **kept}


def _show(receipt: Receipt) -> None:
    import sys

    for outcome in receipt.outcomes:
        good = outcome in receipt.delivered
        mark = style("✓" if good else "✗", "good" if good else "error", sys.stdout)
        click.echo(f"{mark} {printable(str(outcome))}")
        if not good and (outcome.cause or outcome.remedy):
            click.echo(f"  → {printable(f'{outcome.cause} {outcome.remedy}'.strip())}")
    if receipt.queue_id:
        click.echo(f"queue id {printable(receipt.queue_id)}")
