"""Who a message goes to in the end: aliases, staging mode, the archive. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from postbearer.engine.aliases import Aliases
from postbearer.engine.submitter import matches
from postbearer.envelope import Envelope, Recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRules:
    """`allowed` are addresses and ``@domain``. Where something is allowed or redirected, all others are
    strangers: their mail goes to `redirect_to`, or is held. `archive` gets a copy of each message.
    """

    aliases: Aliases = field(default_factory=Aliases)
    redirect_to: str = ""
    allowed: tuple[str, ...] = ()
    archive: str = ""

    @property
    def staging(self) -> bool:
        """Whether mail reaches only some."""
        return bool(self.redirect_to or self.allowed)

    @property
    def notice(self) -> str:
        """Where mail goes while that is so, for people; empty where it reaches everybody."""
        if not self.staging:
            return ""
        if not self.allowed:
            return f"Staging mode: all mail goes to {self.redirect_to} instead of its recipients."
        known = " and ".join(self.allowed)
        others = f"goes to {self.redirect_to} instead" if self.redirect_to else "is held in the queue"
        return f"Staging mode: mail reaches {known} only; what is for others {others}."

    def resolve(self, address: str) -> tuple[str, ...]:
        """Who gets what is sent to `address`; nobody, if it is an alias that ends nowhere."""
        found = self.aliases.expand(address)
        if found is None:
            found = (address,)
        if not self.redirect_to:
            return found
        return tuple([each if matches(each, self.allowed) else self.redirect_to for each in found])

    def strangers(self, recipients: Iterable[Recipient]) -> tuple[Recipient, ...]:
        """Those whose mail waits for a person."""
        if self.redirect_to or not self.allowed:
            return ()
        return tuple([each for each in recipients if not self._known(each.address)])

    def _known(self, address: str) -> bool:
        return address == self.archive or matches(address, self.allowed)

    def apply(self, envelope: Envelope) -> Envelope:
        """The same envelope for those who really get the message; each of them once."""
        found: dict[str, Recipient] = {}
        for recipient in envelope.recipients:
            for address in self.resolve(recipient.address):
                found.setdefault(address, _instead(recipient, address))
        if self.archive:
            found.setdefault(self.archive, Recipient(self.archive, ("NEVER",)))
        return replace(envelope, recipients=tuple(found.values()))


def _instead(recipient: Recipient, address: str) -> Recipient:
    """`address` in place of `recipient`, whom reports go on naming (RFC 3461 4.2)."""
    if address == recipient.address:
        return recipient
    known = recipient.orcpt or (f"rfc822;{recipient.address}" if recipient.address.isascii() else "")
    return replace(recipient, address=address, orcpt=known)
