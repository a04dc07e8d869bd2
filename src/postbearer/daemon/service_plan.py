"""What the services of a relay go by: all that a configuration could be refused for has been looked at."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postbearer.account import Account
from postbearer.assembly import Assembly
from postbearer.clock import Clock
from postbearer.daemon.alert_plan import AlertPlan
from postbearer.daemon.plan import RelayPlan, node_name, spool_url
from postbearer.daemon.webhook_plan import webhook_targets
from postbearer.engine import AttemptSettings, Channel, IntakeSettings, Reporter, Submitter
from postbearer.errors import ConfigError
from postbearer.events import Observer
from postbearer.oauth import CachedSource
from postbearer.store import SpoolPlace
from postbearer.submission import LOCAL
from postbearer.tracing import wanted
from postbearer.transport import OpenRecording
from postbearer.webhooks import WebhookTarget

_OWN = ("node", "listen", "listeners", "certificate", "key")  # of a relay, among those that share a queue


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """One configuration, made ready for the services. Nothing of it is at work yet."""

    assembly: Assembly
    relay: RelayPlan
    spool: SpoolPlace
    node: str
    accounts: Mapping[str, Account]
    channels: Mapping[str, Channel]
    alerts: AlertPlan
    webhooks: Sequence[WebhookTarget]

    @property
    def checksum(self) -> str:
        """Of what it goes by, but for what is each relay's own: relays that share a queue have the same."""
        data = dict(self.assembly.configuration.data)
        data["relay"] = {key: each for key, each in data.get("relay", {}).items() if key not in _OWN}
        data["http"] = {key: each for key, each in data.get("http", {}).items() if key not in _OWN}
        text = json.dumps(data, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @classmethod
    def of(cls, assembly: Assembly, *, clock: Clock, queue_clock: Clock, observer: Observer) -> ServicePlan:
        """`queue_clock` tells the time of all that is written in the queue. Raises `ConfigError`."""
        relay = RelayPlan.of(assembly)
        accounts = {name: assembly.account(name) for name in assembly.names}

        def channel(account: Account) -> Channel:
            credential = account.credential(assembly.persistence, clock=clock, observer=observer)
            share = account.connection_share(assembly.persistence, clock=clock, node=node_name(assembly))
            transport = account.open_transport(
                credential, clock=clock, observer=observer, capture=OpenRecording, share=share
            )
            ledger = account.ledger(assembly.persistence, clock=queue_clock)
            source = credential if isinstance(credential, CachedSource) else None
            return Channel(account, transport, ledger, source, share)

        return cls(
            assembly=assembly,
            relay=relay,
            spool=spool_url(assembly),
            node=node_name(assembly),
            accounts=accounts,
            channels={name: channel(account) for name, account in accounts.items()},
            alerts=AlertPlan.of(assembly, clock),
            webhooks=webhook_targets(assembly),
        )

    @property
    def intake(self) -> IntakeSettings:
        relay = self.relay
        return IntakeSettings(
            hostname=relay.hostname,
            postmaster=relay.bounces_to,
            size=relay.size,
            expire_after=relay.retry.expire_after,
            traced=self.traced,
            recipients=relay.recipients.rules,
        )

    @property
    def traced(self) -> bool:
        """Whether the environment wants spans."""
        return wanted(self.assembly.environ)

    @property
    def rules(self) -> AttemptSettings:
        """How the dispatcher retries and reports."""
        relay = self.relay
        reporter = Reporter(
            hostname=relay.hostname,
            bounces_to=relay.bounces_to,
            retry=relay.retry,
            clients={client.name: client for client in relay.access.clients},
        )
        return AttemptSettings(relay.retry, reporter, random.SystemRandom().random)

    @property
    def local_client(self) -> Submitter:
        """Who the programs of this machine are."""
        return self.relay.access.by_network("") or LOCAL

    def client(self, name: str) -> Submitter | None:
        """Who hands in messages under that name, as far as the configuration still knows it."""
        return self.relay.access.known(name, self.local_client)

    def check_places(self, before: ServicePlan) -> None:
        """Raises `ConfigError` if this cannot follow `before` without a restart."""
        if self._places() != before._places():
            raise ConfigError(
                "The spool, the addresses to listen on and the operators cannot change while the relay runs.",
                key="relay",
                hint="Restart it for that; nothing was changed now.",
            )

    def _places(self) -> object:
        doors = [(door.address, door.implicit_tls) for door in self.relay.doors]
        http = self.relay.http
        return self.spool, self.node, doors, self.relay.operators, http and http.places
