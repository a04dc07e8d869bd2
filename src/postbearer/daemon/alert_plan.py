"""What the configuration says of alerts: which are told, and to whom."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postbearer.alerts import EVERY, AlertChannel, AlertPreferences, Heartbeat, Program, Webhook
from postbearer.assembly import Assembly
from postbearer.clock import Clock
from postbearer.config import WebhookSettings
from postbearer.secret import SecretSource


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPlan:
    """`mail_to` get a message, which leaves from `mail_account` if it can; `channels` are all other ways."""

    channels: Mapping[str, AlertChannel]
    mail_to: Sequence[str]
    mail_account: str
    preferences: AlertPreferences
    heartbeat: Heartbeat

    @classmethod
    def of(cls, assembly: Assembly, clock: Clock) -> AlertPlan:
        """Raises `ConfigError`."""
        notify = assembly.configuration.settings.notify
        channels: dict[str, AlertChannel] = {}
        for each in notify.webhooks:
            hook = each if isinstance(each, WebhookSettings) else WebhookSettings(url=each)
            url = _address(hook.url, assembly)
            secret = assembly.secret_source(hook.secret) if hook.secret else None
            # Named by a digest, as it stands in a file and the address may be a secret.
            digest = hashlib.sha256(hook.url.encode()).hexdigest()[:12]
            channels[f"webhook {digest}"] = Webhook(url, secret, clock)
        if notify.command:
            channels["command"] = Program(
                shlex.split(notify.command) if isinstance(notify.command, str) else notify.command
            )
        usual = AlertPreferences()
        after = usual.backlog_after if notify.backlog_after is None else notify.backlog_after
        return cls(
            channels=channels,
            mail_to=notify.mail_to,
            mail_account=notify.account or "",
            preferences=AlertPreferences(topics=frozenset(notify.events), backlog_after=after),
            heartbeat=Heartbeat(
                url=_address(notify.heartbeat, assembly) if notify.heartbeat else "",
                file=assembly.folder / notify.heartbeat_file if notify.heartbeat_file else None,
                every=notify.heartbeat_every or EVERY,
            ),
        )


def _address(given: str, assembly: Assembly) -> str | SecretSource:
    """An address, or where to read it."""
    return given if given.startswith("http") else assembly.secret_source(given)
