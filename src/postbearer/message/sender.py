"""The sender rule: as whom mail may leave an account, and what is done to the header about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from postbearer.address import Address, canonical
from postbearer.errors import SenderNotAllowed
from postbearer.message.author import AUTHOR_FIELDS, authors, plain, understood, with_ascii_domain
from postbearer.message.fields import Field, Header, make_field
from postbearer.message.mailboxes import Mailbox

Rule = Literal["force", "check", "allow"]


@dataclass(frozen=True, slots=True)
class SenderRule:
    """As whom mail leaves.

    ``force``: everything leaves as `address`; the display name is kept, and the original author
    becomes the Reply-To unless there is one. ``check``: another sender is refused. ``allow``: others
    may be used, or only `aliases` where some are given. Mail without an author is from `address`.
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
        """Raise `SenderNotAllowed` if an author or sender in `header` is not permitted; nothing is changed.

        Where anybody is, the fields are not even read. Else `UsageError` is raised for those that not every
        reader would read alike.
        """
        if self.rule != "allow" or self.aliases:
            self.require(authors(header))

    def checked(self, header: Header) -> Header:
        """The header as it leaves under `check`, by whatever rule: with an author, if it names none."""
        self.check(header)
        if self.rule != "allow" or self.aliases:
            header = header.map(AUTHOR_FIELDS, plain)
        return header if header.get("from") else header.set("From", self.address)

    def apply(self, header: Header) -> Header:
        """The header as it leaves: written anew under ``force``, checked under the other two."""
        return self._forced(header) if self.rule == "force" else self.checked(header)

    def _forced(self, header: Header) -> Header:
        """With no author but the account; what the message said of others is kept where it does no harm."""
        written = header.all("from")
        boxes = understood(written[0]) if written else []
        author = self._named("From", boxes)
        if not all(box.address and self.permits(box.address) for box in boxes) and "reply-to" not in header:
            answers = [str(box) for box in map(_answerable, boxes) if box]
            if answers:
                header = header.add("Reply-To", ", ".join(answers))
        header = header.without("sender", "resent-sender").put(author)
        return header.map(("resent-from",), lambda field: self._named("Resent-From", understood(field)))

    def _named(self, name: str, boxes: Iterable[Mailbox]) -> Field:
        """The account under the first of the names, in one line."""
        display = next((box.display for box in boxes), "")
        return plain(make_field(name, str(Mailbox(display, self.address))))


def _answerable(box: Mailbox) -> Mailbox | None:
    """Where an answer reaches the author, if it can."""
    if not box.address or not Address.parse(box.address).deliverable:
        return None
    return with_ascii_domain(box)
