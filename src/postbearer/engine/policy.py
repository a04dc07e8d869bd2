"""What the engine has to know of an account, and the road its mail takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from postbearer.engine.budget import RateLimits
from postbearer.message import SenderRule
from postbearer.oauth import CachedSource
from postbearer.settings import FallbackWhen, OnUnknown
from postbearer.store import Ledger
from postbearer.transport import Smarthost, Transport


class AccountPolicy(Protocol):
    """An account, as far as queue work is concerned."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def mailbox(self) -> str:
        """What the provider counts by: accounts may share it."""
        ...

    @property
    def smarthost(self) -> Smarthost: ...
    @property
    def sender(self) -> SenderRule: ...
    @property
    def limits(self) -> RateLimits: ...
    @property
    def largest(self) -> int | None:
        """Octets one message may have."""
        ...

    @property
    def null_sender(self) -> bool:
        """Whether the provider takes the null reverse-path."""
        ...

    @property
    def password_login(self) -> bool:
        """Whether refusals may lock the mailbox, so that none is ever tried again by itself."""
        ...

    @property
    def on_unknown(self) -> OnUnknown: ...
    @property
    def organisations(self) -> frozenset[str]:
        """What it shares with other accounts of its customer at the provider."""
        ...

    @property
    def fallback(self) -> str:
        """Account that sends while this one is paused; empty: none."""
        ...

    @property
    def fallback_when(self) -> FallbackWhen:
        """Whether `fallback` also sends while no server can be reached, or no token be had."""
        ...

    @property
    def overflow(self) -> str:
        """Account that sends what has waited `overflow_after` seconds for this one's budget; empty: none."""
        ...

    @property
    def overflow_after(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Channel:
    """An account with its way out, and the ledger its budget is counted in (None: no limits).

    `source` is where its tokens come from, if it has any.
    """

    policy: AccountPolicy
    transport: Transport
    ledger: Ledger | None = None
    source: CachedSource | None = None

    def with_ledger_of(self, old: Channel) -> Channel:
        """No budget is forgotten that is of the same mailbox and in memory only."""
        if old.ledger is None or self.ledger is None or old.policy.mailbox != self.policy.mailbox:
            return self
        return replace(self, ledger=old.ledger)

    def token_expires(self) -> float | None:
        """When the token in use does (Unix seconds), as far as that is known."""
        return self.source.expires() if self.source is not None else None
