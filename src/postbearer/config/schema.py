"""The keys of the whole file, with their types, meanings and defaults.

`postbearer.config.validation` checks values against them;
`postbearer.config.jsonschema` publishes them.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Struct

from postbearer.config.relay import (
    HttpSettings,
    MessageWebhookSettings,
    NotifySettings,
    RelaySettings,
    VaultSettings,
)
from postbearer.settings import AccountSettings, Prose


class Settings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The whole configuration file."""

    accounts: Annotated[dict[str, AccountSettings], Prose("Mailboxes that mail leaves from.")] = {}
    secret_stores: Annotated[
        dict[str, dict[str, Any]], Prose("Named secret stores: `type`, its settings, `cache`.")
    ] = {}
    vault: Annotated[VaultSettings, Prose("The key that seals tokens.")] = VaultSettings()
    allow_ephemeral: Annotated[
        bool, Prose("Accept a spool on a file system that does not survive a restart.")
    ] = False
    relay: Annotated[RelaySettings | None, Prose("The relay.")] = None
    http: Annotated[HttpSettings | None, Prose("The HTTP API.")] = None
    webhooks: Annotated[
        tuple[MessageWebhookSettings, ...], Prose("Who is told what becomes of each message.")
    ] = ()
    notify: Annotated[NotifySettings, Prose("Who is told when a person must act.")] = NotifySettings()
