"""The sender rule: as whom mail may leave an account, and what is done to the header about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from postbearer.address import canonical
from postbearer.errors import SenderNotAllowed, UsageError
from postbearer.message.fields import Header
from postbearer.message.mailboxes import Mailbox, parse_mailboxes

Rule = Literal["force", "check", "allow"]

_AUTHORS = ("from", "sender")
_COMMENT = re.compile(r'\(([^()<>@"\\\x00-\x1f\x7f-\x9f]{1,78})\)')


@dataclass(frozen=True, slots=True)
class SenderRule:
    """As whom mail leaves.

    ``force``: everything leaves as `address`; the display name is kept, and the original author
    becomes the Reply-To unless there is one. ``check``: another sender is refused. ``allow``: others
    may be used, or only `aliases` where some are given.
    """

    address: str
    rule: Rule = "force"
    aliases: tuple[str, ...] = ()

    def permits(self, address: str) -> bool:
        """Whether mail may leave as `address` without being changed."""
        if self.rule == "allow" and not self.aliases:
            return True
        allowed = (self.address, *self.aliases) if self.rule == "allow" else (self.address,)
        return address in allowed or canonical(address) in map(canonical, allowed)

    def require(self, addresses: Iterable[str]) -> None:
        """Raise `SenderNotAllowed` for the first of `addresses` that the account may not use."""
        for address in addresses:
            if not self.permits(address):
                raise SenderNotAllowed(
                    f"Mail may not leave this account as {address}: the account is {self.address}.",
                    hint='Send as the account, or say sender = "allow" if the provider permits others.',
                )

    def check(self, header: Header) -> None:
        """Raise `SenderNotAllowed` if an author in `header` is not permitted; nothing is changed."""
        for name in _AUTHORS:
            for field in header.all(name):
                self.require(mailbox.address for mailbox in parse_mailboxes(field.value))

    def apply(self, header: Header) -> Header:
        """The header as it leaves: changed under ``force``, checked under the other two."""
        if self.rule != "force":
            self.check(header)
            return header
        authors = _authors(header)
        if authors and all(self.permits(author.address) for author in authors):
            return header.without("sender") if header.get("sender") else header
        if authors and header.get("reply-to") is None:
            header = header.add("Reply-To", ", ".join(map(str, authors)))
        display = authors[0].display if authors else _comment(header)
        return header.without("sender").set("From", str(Mailbox(display, self.address)))


def _comment(header: Header) -> str:
    """The name in ``root (Cron Daemon)``: no address to keep, but a person knows by it who wrote."""
    found = _COMMENT.search(header.get("from") or "")
    return f'"{found[1].strip()}"' if found else ""


def _authors(header: Header) -> tuple[Mailbox, ...]:
    """Who the message says it is from; an unreadable From is about to be replaced, so it counts as none."""
    try:
        return tuple(box for field in header.all("from") for box in parse_mailboxes(field.value))
    except UsageError:
        return ()
