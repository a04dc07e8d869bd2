"""Who is told what about a delivery that did not simply succeed (RFC 3461, RFC 3464). Pure.

Never about a report, and never to nobody: mail with a null reverse-path asks for no reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from postbearer.account import Account
from postbearer.address import Address
from postbearer.engine.disposition import AttemptResult
from postbearer.engine.queue_id import new_id
from postbearer.engine.schedule import RetryPolicy
from postbearer.engine.submitter import Submitter
from postbearer.envelope import Envelope, Notify, Recipient
from postbearer.errors import PostbearerError
from postbearer.message import Action, Content, DeliveryReport, ReportedRecipient, read_header
from postbearer.outcome import RecipientFate, Status
from postbearer.store import Claimed, Message, NewDelivery, Priority, Report, Staging

RETURNED = 10 * 1024 * 1024  # octets of the largest message that a report brings back whole

DIAGNOSTIC_TYPES = {"smtp": "smtp", "http": "x-http"}  # RFC 3464 2.3.6
UNREAD = "it could not be read."
_FAILED = (Status.FAILED, Status.EXPIRED)
_NO_EIGHT_BIT = "5.6.3"  # conversion required but not supported, RFC 3463 3.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Makes reports. `bounces_to` gets those that have no other address; empty: the account does.

    `clients` are those that the configuration names, by name.
    """

    hostname: str
    bounces_to: str = ""
    retry: RetryPolicy
    clients: Mapping[str, Submitter] = field(default_factory=dict)

    def wants_delay_warning(self, claimed: Claimed, ending: AttemptResult, now: float) -> bool:
        """Whether it is time to say, once, that the message is late."""
        return (
            not claimed.warned
            and now - claimed.message.tried_from >= self.retry.warn_after
            and any(fate.status is Status.DEFERRED for fate in ending.fates)
        )

    def about(
        self, claimed: Claimed, ending: AttemptResult, now: float, account: Account
    ) -> tuple[ReportedRecipient, ...]:
        """What its submitter wants to hear of now, by recipient; nothing: no report is made.

        `account` is that which it leaves from. Success is ours to report where the provider takes no wishes
        for reports (RFC 3461 5.2.2).
        """
        if not self.address_for(claimed.message, account):
            return ()
        late = self.wants_delay_warning(claimed, ending, now)
        return tuple(self._about(claimed, ending, late=late))

    def report(
        self,
        claimed: Claimed,
        about: tuple[ReportedRecipient, ...],
        content: Content | None,
        now: float,
        account: Account,
    ) -> DeliveryReport:
        """One report `about` all of them; without `content`, if that cannot be had.

        Raises `UsageError` for an address that no report can name.
        """
        message, omitted = _returned(claimed.message, about, content, account)
        report = DeliveryReport(
            id=new_id(now),
            sender=account.address,
            to=self.address_for(claimed.message, account),
            reporting=self.hostname,
            queue_id=claimed.message.id,
            arrived=claimed.message.accepted,
            send_at=claimed.message.send_at,
            now=now,
            recipients=about,
            header=_header(content),
            envid=claimed.message.envelope.envid,
            message=message,
            omitted=omitted,
            seven_bit=any(each.status == _NO_EIGHT_BIT for each in about),
        )
        report.fields()  # so that what cannot be said comes to light now
        return report

    def address_for(self, message: Message, account: Account) -> str:
        """Who hears about `message`; empty: nobody.

        Whoever submits can put anybody into the reverse-path. A report goes there only if the account may
        send as that address, or the configuration gives it to the client: not to one named at will.
        """
        reverse_path = message.envelope.reverse_path
        if message.report_of or not reverse_path:
            return ""
        client = self.clients.get(message.client)
        if client and client.bounces_to:
            return client.bounces_to
        own = account.sender.permits(reverse_path) or (client and client.owns(reverse_path))
        if own and Address.parse(reverse_path).deliverable:
            return reverse_path
        return self.bounces_to or account.address

    def _about(self, claimed: Claimed, ending: AttemptResult, *, late: bool) -> Iterator[ReportedRecipient]:
        for target, fate in zip(claimed.targets, ending.fates, strict=True):
            recipient = target.recipient
            action = _action(fate, recipient.notify, late=late, relayed=not ending.dsn)
            if action is None:
                continue
            yield ReportedRecipient(
                address=recipient.address,
                action=action,
                status=fate.code or ("5.0.0" if action == "failed" else "4.0.0"),
                diagnostic=fate.reply,
                diagnostic_type=DIAGNOSTIC_TYPES.get(fate.protocol, ""),
                explanation=fate.cause if action != "relayed" else "",
                remedy=fate.remedy if action != "relayed" else "",
                orcpt=recipient.orcpt,
                server=ending.server.rpartition(":")[0] if fate.reply else "",  # RFC 3464 2.3.5
                will_retry_until=claimed.message.expires if action == "delayed" else None,
            )

    def kept(self, claimed: Claimed, report: DeliveryReport, content: Staging) -> Report:
        """`report`, whose octets are in `content`, as the spool keeps it."""
        recipients, now, header = (Recipient(report.to, notify=("NEVER",)),), report.now, report.fields()
        message = Message(
            id=report.id,
            accepted=now,
            client=claimed.client,
            envelope=Envelope("", recipients),
            received="",
            size=content.size,
            sha256=content.sha256,
            eight_bit=report.eight_bit or not bytes(header).isascii(),
            expires=now + self.retry.expire_after,
            message_id=header.get("message-id") or "",
            author=header.get("from") or "",
            subject=header.get("subject") or "",
            report_of=claimed.message.id,
        )
        delivery = NewDelivery(
            account=claimed.account,
            recipients=recipients,
            priority=Priority.NORMAL,
            client=claimed.client,
            due=now,
        )
        return Report(message=message, content=content, delivery=delivery)


def _header(content: Content | None) -> bytes:
    try:
        return bytes(read_header(content)) if content is not None else b""
    except PostbearerError:
        return b""  # damaged or absurd: the report goes without it


def _returned(
    message: Message, about: Sequence[ReportedRecipient], content: Content | None, account: Account
) -> tuple[Content | None, str]:
    """The message, if it is returned whole; else why not, if it was to be.

    That is for failures only (RFC 3461 4.3), and as far as the account can carry it: two thirds of what it
    takes at most leave room for base64.
    """
    failed = any(each.action == "failed" for each in about)
    if message.envelope.ret != "FULL" or not failed:
        return None, ""
    most = RETURNED if account.limits.size is None else min(RETURNED, account.limits.size * 2 // 3)
    if content is None:
        return None, UNREAD
    if content.size > most:
        return None, f"with {content.size} octets it is larger than the {most} that are."
    return content, ""


def _action(fate: RecipientFate, wishes: Sequence[Notify], *, late: bool, relayed: bool) -> Action | None:
    """What to report of this recipient, as far as its wishes go (RFC 3461 4.1)."""
    if fate.status in _FAILED and (not wishes or "FAILURE" in wishes):
        return "failed"
    if fate.status is Status.DELIVERED and relayed and "SUCCESS" in wishes:
        return "relayed"
    if fate.status is Status.DEFERRED and late and (not wishes or "DELAY" in wishes):
        return "delayed"
    return None
