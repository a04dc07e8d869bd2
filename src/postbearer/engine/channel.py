"""An account with the road its mail takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from postbearer.account import Account
from postbearer.oauth import CachedSource
from postbearer.state import ConnectionShare, Ledger
from postbearer.transport import Transport


@dataclass(frozen=True, slots=True)
class Channel:
    """An account with its way out, and the ledger its budget is counted in (None: no limits).

    `source` is where its tokens come from, if it has any; `share` what it may have of its mailbox's
    connections, if others have some, too.
    """

    account: Account
    transport: Transport
    ledger: Ledger | None = None
    source: CachedSource | None = None
    share: ConnectionShare | None = None

    def with_ledger_of(self, old: Channel) -> Channel:
        """No budget is forgotten that is of the same mailbox and in memory only."""
        if old.ledger is None or self.ledger is None or old.account.mailbox != self.account.mailbox:
            return self
        return replace(self, ledger=old.ledger)

    def token_lifetime(self) -> float | None:
        """For how many seconds the token in use was given, as far as that is known."""
        return self.source.lifetime() if self.source is not None else None

    def token_expires(self) -> float | None:
        """When the token in use does (Unix seconds), as far as that is known."""
        return self.source.expires() if self.source is not None else None
