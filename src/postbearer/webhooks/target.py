"""Where a webhook leads, and what it wants to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from postbearer.delivery_status import event_type
from postbearer.http_addresses import AddressRules
from postbearer.secret import SecretSource
from postbearer.store import StateChange

TIMEOUT = 20.0  # seconds for the whole of a call


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """One webhook of the configuration. What of the sets is empty wants all; of `tags`, a message has one."""

    name: str
    url: str | SecretSource
    secrets: tuple[SecretSource, ...]
    events: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    tags: frozenset[tuple[str, str]] = frozenset()
    timeout: float = TIMEOUT
    rules: AddressRules = field(default_factory=AddressRules)
    ca_file: str = ""

    @property
    def place(self) -> str:
        """What people are shown of the address, which may be a secret: its host, or where it is kept."""
        return urlsplit(self.url).netloc if isinstance(self.url, str) else self.url.reference

    def wants(self, change: StateChange) -> bool:
        """Whether it is to be told of `change`."""
        return (
            (not self.accounts or change.account in self.accounts)
            and (not self.clients or change.client in self.clients)
            and (not self.tags or not self.tags.isdisjoint(change.tags))
            and (not self.events or event_type(change.status, unknown=change.unknown) in self.events)
        )
