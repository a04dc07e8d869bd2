"""No relay is set up: the message goes to the provider at once, as ``postbearer send`` would send it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from postbearer.cli.exit_codes import UnusableMessage, receipt_code
from postbearer.cli.output import after_the_deed, report
from postbearer.cli.progress_listener import ProgressListener
from postbearer.cli.signals import orderly_end
from postbearer.cli.streams import let_errors_be_lost
from postbearer.envelope import Envelope, Notify, Ret
from postbearer.errors import SenderNotAllowed, UsageError
from postbearer.message import BytesContent, edit

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.assembly import Assembly
    from postbearer.cli.dropin.arguments import Invocation
    from postbearer.cli.dropin.message import HandedMessage

WAIT = 300.0  # seconds for room in the budget; who calls sendmail waits as long


def send(order: Invocation, letter: HandedMessage, config: str | None = None) -> int:
    """Send the letter through the account that the configuration names; the exit code."""
    from postbearer.assembly import Assembly
    from postbearer.blocking import Mailer

    let_errors_be_lost()
    try:
        assembly = Assembly.load(config)
        account = _account(assembly, letter.sender)
        envelope = _envelope(order, letter, account)
        content = edit(BytesContent(letter.content), account.sender.apply)
        observer = ProgressListener(verbose=order.verbose)
        placing = assembly.placing(account.name)
        with orderly_end(), placing, Mailer(account, state=assembly.persistence, observer=observer) as mailer:
            receipt = mailer.send(content, envelope, timeout=WAIT)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, UsageError) and not isinstance(error, SenderNotAllowed):
            error = UnusableMessage(error.message, hint=error.hint)
        return report(error, as_json=False)
    with after_the_deed():
        for outcome in receipt.outcomes:
            if order.verbose or outcome not in receipt.delivered:
                print(outcome)
    return receipt_code(receipt)


def _account(assembly: Assembly, sender: str) -> Account:
    name = assembly.configuration.usual_account(sender)
    if name is not None:
        return assembly.account(name)
    raise assembly.configuration.error(
        "relay.account",
        "There are several accounts, and nothing says which of them sendmail uses.",
        hint="postbearer config set relay.account NAME",
    )


def _envelope(order: Invocation, letter: HandedMessage, account: Account) -> Envelope:
    """Mail leaves as its sender where the account lets it, else as the account."""
    sender = letter.sender
    if sender and account.sender.rule == "force" and not account.sender.permits(sender):
        sender = account.address
    envelope = Envelope.of(sender, letter.recipients)
    notify = cast(tuple[Notify, ...], tuple(order.notify))
    recipients = tuple(replace(each, notify=notify) for each in envelope.recipients)
    return replace(
        envelope, recipients=recipients, ret=cast(Ret | None, order.ret or None), envid=order.envid
    )
