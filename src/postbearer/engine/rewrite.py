"""One attempt: the message as it leaves through this account, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate

from postbearer.account import Account
from postbearer.address import Address, ascii_domain
from postbearer.engine.channel import Channel
from postbearer.engine.disposition import AttemptResult, Policy, put_off
from postbearer.engine.monitored import MonitoredContent
from postbearer.envelope import Envelope
from postbearer.errors import LeaseLost, PostbearerError, UsageError
from postbearer.message import Header, ParsedHeader, parse_header, with_header
from postbearer.outcome import Receipt
from postbearer.store import Claimed, Message, Status


async def attempt(
    claimed: Claimed, stored: MonitoredContent, channel: Channel, judge: Policy, now: float
) -> AttemptResult:
    """Offer `claimed` to the provider once. Never raises, but for being cancelled."""
    try:
        envelope = envelope_for(claimed, channel.account)
        try:
            parsed = claimed.message.header or parse_header(stored)
            edited = with_header(stored, parsed, header_for(parsed, claimed.message, channel.account))
        finally:
            stored.left = False  # so far only we have read it
        receipt = _complete(await channel.transport.deliver(envelope, edited), envelope)
    except PostbearerError as error:
        if isinstance(stored.error, LeaseLost):
            return put_off(claimed, now, stored.error.message)
        if stored.error is not None:  # what we keep is damaged: not a word of it leaves
            cause = "The stored message cannot be read, so it was not sent."
            return judge.all(
                claimed, Status.HELD, cause=cause, remedy=stored.error.message, error=str(stored.error)
            )
        if isinstance(error, UsageError):  # this message, or this sender, cannot leave as it is
            cause, remedy = error.message, error.hint
            return judge.all(
                claimed, Status.FAILED, cause=cause, remedy=remedy, error=str(error), code=error.status
            )
        return judge.error(claimed, error, now)
    except Exception as error:  # a defect must not stop the queue, nor lose track of a message
        cause = f"Something unforeseen happened: {type(error).__name__}: {error}"
        ending = judge.all(claimed, Status.DEFERRED, cause=cause, error=cause)
        wait = judge.retry.wait(claimed.attempt, judge.dice)
        return replace(ending, due=now + wait, unknown=True)
    return judge.receipt(claimed, receipt, now)


def envelope_for(claimed: Claimed, account: Account) -> Envelope:
    """The envelope as it leaves through this account. Raises `SenderNotAllowed`."""
    submitted = claimed.message.envelope
    recipients = tuple([target.recipient for target in claimed.targets])
    reverse_path = _reverse_path(submitted.reverse_path, account)
    if reverse_path == submitted.reverse_path and recipients == submitted.recipients:
        return submitted
    return replace(submitted, recipients=recipients, reverse_path=reverse_path)


def _reverse_path(submitted: str, account: Account) -> str:
    if not submitted:
        return "" if account.outgoing.null_sender else account.address
    if account.sender.permits(submitted):
        return submitted if account.outgoing.any_sender else account.address
    if account.sender.rule == "force":
        return account.address
    account.sender.require([submitted])
    return submitted


def header_for(parsed: ParsedHeader, message: Message, account: Account) -> Header:
    """The header as it leaves: the account's sender rule, what was missing, and our trace on top; no Bcc.

    What is added is the same in every attempt, so that a receiver can tell a second copy (RFC 6409 8).
    """
    header = parsed.leaving(account.sender)
    if "message-id" not in header:
        domain = ascii_domain(Address.parse(account.address).domain)
        header = header.add("Message-ID", f"<{message.id}@{domain}>")
    if "date" not in header:
        header = header.add("Date", formatdate(message.accepted))
    return header.add("Received", message.received) if message.received else header


def _complete(receipt: Receipt, envelope: Envelope) -> Receipt:
    """The receipt with its outcomes in the order of the envelope, none missing."""
    if len(receipt.outcomes) != len(envelope.recipients):
        raise AssertionError(f"{len(receipt.outcomes)} outcomes for {len(envelope.recipients)} recipients")
    return receipt
