"""The sender rule: as whom mail may leave an account, and what is done to the header about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from postbearer.address import Address, canonical
from postbearer.errors import SenderNotAllowed
from postbearer.message.author import AUTHOR_FIELDS, LONGEST, authors, plain, understood, with_ascii_domain
from postbearer.message.fields import Field, Header, make_field
from postbearer.message.mailboxes import Mailbox
from postbearer.settings import DEFAULTS, SenderPolicy

Rule = SenderPolicy


@dataclass(frozen=True, slots=True)
class SenderRule:
    """As whom mail leaves.

    ``force``: everything leaves as `address`; the display name is kept, and the original author
    becomes the Reply-To unless there is one. ``check``: another sender is refused. ``allow``: others
    may be used, or only `aliases` where some are given. Mail without an author is from `address`.
    """

    address: str
    rule: Rule = DEFAULTS.sender
    aliases: tuple[str, ...] = ()

    @property
    def reads_authors(self) -> bool:
        """Whether it matters who the authors are; where not, their fields leave as they came."""
        return self.rule != "allow" or bool(self.aliases)

    def permits(self, address: str) -> bool:
        """Whether mail may leave as `address` without being changed."""
        if not self.reads_authors:
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
        if self.reads_authors:
            self.require(authors(header))

    def checked(self, header: Header) -> Header:
        """The header as it leaves under `check`, by whatever rule: with an author, if it names none."""
        self.check(header)
        if self.reads_authors:
            header = header.map(AUTHOR_FIELDS, plain)
        return header if header.get("from") else header.set("From", self.address)

    def apply(self, header: Header) -> Header:
        """The header as it leaves: written anew under ``force``, checked under the other two."""
        return self._forced(header) if self.rule == "force" else self.checked(header)

    def _forced(self, header: Header) -> Header:
        """With no author but the account; what the message said of others is kept where it does no harm."""
        written = header.all("from")
        author, answers = self._anew("From", written[0] if written else None)
        if answers is not None and "reply-to" not in header:
            header = Header((answers, *header.fields))
        header = header.without("sender", "author", "resent-sender").put(author)
        return header.map(("resent-from",), lambda field: self._anew("Resent-From", field)[0])

    def _anew(self, name: str, written: Field | None) -> tuple[Field, Field | None]:
        """The field that replaces `written`, and a Reply-To, should answers go to whom it named."""
        short = written is None or len(written.raw) <= LONGEST
        return _anew(self, name, written) if short else _anew.__wrapped__(self, name, written)


@lru_cache(maxsize=2048)  # a program has few authors, and each message names one
def _anew(rule: SenderRule, name: str, written: Field | None) -> tuple[Field, Field | None]:
    boxes = understood(written) if written else []
    display = next((box.display for box in boxes), "")
    author = plain(make_field(name, str(Mailbox(display, rule.address))))
    if all(box.address and rule.permits(box.address) for box in boxes):
        return author, None
    answers = [str(box) for box in map(_answerable, boxes) if box]
    return author, make_field("Reply-To", ", ".join(answers)) if answers else None


def _answerable(box: Mailbox) -> Mailbox | None:
    """Where an answer reaches the author, if it can."""
    if not box.address or not Address.parse(box.address).deliverable:
        return None
    return with_ascii_domain(box)
