"""What the configuration says of webhooks: whom to call, and of what."""

from __future__ import annotations

from collections.abc import Sequence

from postbearer.assembly import Assembly
from postbearer.http_addresses import AddressRules
from postbearer.tags import parse_tag
from postbearer.webhooks import TIMEOUT, WebhookTarget


def webhook_targets(assembly: Assembly) -> Sequence[WebhookTarget]:
    """Raises `ConfigError`."""
    return [
        WebhookTarget(
            name=each.name,
            url=each.url if each.url.startswith("http") else assembly.secret_source(each.url),
            secrets=tuple(assembly.secret_source(reference) for reference in each.secrets),
            events=frozenset(each.events),
            accounts=frozenset(each.accounts),
            clients=frozenset(each.clients),
            tags=frozenset(map(parse_tag, each.tags)),
            timeout=TIMEOUT if each.timeout is None else each.timeout,
            rules=AddressRules.allowing(each.allow_private),
            ca_file=str(assembly.folder / each.ca_file) if each.ca_file else "",
        )
        for each in assembly.configuration.settings.webhooks
    ]
