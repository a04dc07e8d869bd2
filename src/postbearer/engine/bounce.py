"""Who is told what about a delivery that did not simply succeed (RFC 3461, RFC 3464). Pure.

Never about a report, and never to nobody: mail with a null reverse-path asks for no reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from postbearer.address import Address
from postbearer.engine.queue_id import new_id
from postbearer.engine.schedule import RetryPolicy
from postbearer.engine.settle import Ending, Fate
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.message import About, Action, DeliveryReport, Header
from postbearer.store import Claimed, Message, NewDelivery, Priority, Report, Status

_FAILED = (Status.FAILED, Status.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Makes reports. `bounces_to` gets those that have no other address; empty: nobody does."""

    hostname: str
    bounces_to: str = ""
    retry: RetryPolicy

    def wants_delay_warning(self, claimed: Claimed, ending: Ending, now: float) -> bool:
        """Whether it is time to say, once, that the message is late."""
        return (
            not claimed.warned
            and now - claimed.message.accepted >= self.retry.warn_after
            and any(fate.status is Status.DEFERRED for fate in ending.fates)
        )

    def report(
        self, claimed: Claimed, ending: Ending, header: Callable[[], bytes], now: float, *, sender: str
    ) -> Report | None:
        """One report about every recipient that its submitter wants to hear of now, if there are any.

        `sender` is the address it leaves from; `header` gives the header section of the message. Success is
        ours to report where the provider takes no wishes for reports (RFC 3461 5.2.2).
        """
        to = self.address_for(claimed.message)
        late = self.wants_delay_warning(claimed, ending, now)
        about = tuple(self._about(claimed, ending, late=late)) if to else ()
        if not about:
            return None
        identifier = new_id(now)
        report = DeliveryReport(
            sender=sender,
            to=to,
            reporting=self.hostname,
            queue_id=claimed.message.id,
            arrived=claimed.message.accepted,
            now=now,
            recipients=about,
            header=header(),
            envid=claimed.message.envelope.envid,
        )
        return self._kept(claimed, identifier, to, report.render(), now)

    def address_for(self, message: Message) -> str:
        """Who hears about `message`; empty: nobody."""
        reverse_path = message.envelope.reverse_path
        if message.report_of or not reverse_path:
            return ""
        return reverse_path if deliverable(reverse_path) else self.bounces_to

    def _about(self, claimed: Claimed, ending: Ending, *, late: bool) -> Iterator[About]:
        for fate in ending.fates:
            action = _action(fate, late=late, relayed=not ending.dsn)
            if action is None:
                continue
            recipient = fate.target.recipient
            yield About(
                address=recipient.address,
                action=action,
                status=fate.code or ("5.0.0" if action == "failed" else "4.0.0"),
                diagnostic=fate.reply,
                explanation=fate.cause if action != "relayed" else "",
                remedy=fate.remedy if action != "relayed" else "",
                orcpt=recipient.orcpt,
                server=ending.server.rpartition(":")[0],
                will_retry_until=claimed.message.expires if action == "delayed" else None,
            )

    def _kept(self, claimed: Claimed, identifier: str, to: str, content: bytes, now: float) -> Report:
        recipients = (Recipient(to, notify=("NEVER",)),)
        header = Header.parse(content.partition(b"\r\n\r\n")[0] + b"\r\n")
        message = Message(
            id=identifier,
            accepted=now,
            client=claimed.client,
            envelope=Envelope("", recipients),
            received="",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
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


def deliverable(address: str) -> bool:
    """Whether mail to `address` can be expected to arrive somewhere: not at ``root@host``."""
    try:
        domain = Address.parse(address).domain
    except UsageError:
        return False
    return "." in domain.strip(".") and not domain.endswith(
        (".localdomain", ".local", ".localhost", ".internal")
    )


def _action(fate: Fate, *, late: bool, relayed: bool) -> Action | None:
    """What to report of this recipient, as far as its wishes go (RFC 3461 4.1)."""
    wishes = fate.target.recipient.notify
    if fate.status in _FAILED and (not wishes or "FAILURE" in wishes):
        return "failed"
    if fate.status is Status.DELIVERED and relayed and "SUCCESS" in wishes:
        return "relayed"
    if fate.status is Status.DEFERRED and late and (not wishes or "DELAY" in wishes):
        return "delayed"
    return None
