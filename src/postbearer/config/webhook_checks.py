"""Checks of ``[[webhooks]]`` as a whole: each has a name of its own, can sign, and leads where it may."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from postbearer.config.relay import ClientSettings, MessageWebhookSettings
from postbearer.config.validation import Problem

MOST_SECRETS = 2
OWN_CLIENTS = ("local", "token:")  # what clients are called that no table names, or how they begin


def check_webhooks(given: Sequence[Any]) -> Iterator[Problem]:
    """Problems of `webhooks`; `given` holds what stands in the file, perhaps with wrong values."""
    names: set[str] = set()
    for index, each in enumerate(given):
        if not isinstance(each, dict):
            continue
        name = each.get("name")
        if isinstance(name, str):
            if name in names:
                yield Problem(("webhooks", index, "name"), f"is {name!r} twice", "Give each its own.")
            names.add(name)
        secrets = each.get("secrets")
        if isinstance(secrets, list) and not 1 <= len(secrets) <= MOST_SECRETS:
            yield Problem(
                ("webhooks", index, "secrets"),
                f"has {len(secrets)} secrets" if secrets else "is empty: nobody could know who calls",
                'Write one, or two while one is replaced: ["env:NEW_SECRET", "env:OLD_SECRET"].',
            )
        yield from _check_place(index, each)


def _check_place(index: int, given: dict[str, Any]) -> Iterator[Problem]:
    """An address that is written out, and may not be called."""
    url, private = given.get("url"), given.get("allow-private", False)
    if not isinstance(url, str) or not url.startswith("http"):
        return
    from postbearer.http import is_loopback  # only for those who have webhooks
    from postbearer.http_addresses import NO_ADDRESS, AddressRules

    try:
        host = urlsplit(url).hostname or ""
        rules = AddressRules.allowing(private)
    except (ValueError, TypeError):
        return  # the walk has said so already
    address = "127.0.0.1" if is_loopback(host) and not host[:1].isdigit() and ":" not in host else host
    if address[:1].isdigit() or ":" in address:
        refusal = rules.refusal(address)
        if refusal and refusal != NO_ADDRESS:
            network = "::1" if address == "::1" else "127.0.0.0/8" if is_loopback(host) else address
            yield Problem(
                ("webhooks", index, "url"),
                f"leads to {address}, {refusal}",
                f'If that is right, add allow-private = ["{network}"].'
                if not AddressRules.allowing(True).refusal(address)
                else "",
            )


def webhook_doubts(
    webhooks: Sequence[MessageWebhookSettings], clients: Sequence[ClientSettings]
) -> Iterator[Problem]:
    """What works but should be looked at."""
    known = {each.name for each in clients}
    urls: Collection[str] = [each.url for each in webhooks]
    for index, each in enumerate(webhooks):
        if each.url in list(urls)[:index]:
            yield Problem(
                ("webhooks", index, "url"),
                "is that of another webhook: what both want arrives twice under one webhook-id",
                "Let them want different events, accounts, clients or tags.",
            )
        for name in each.clients:
            if name not in known and not name.startswith(OWN_CLIENTS):
                yield Problem(
                    ("webhooks", index, "clients"),
                    f"names {name!r:.60}, which no client is called",
                    "Write names of [[relay.clients]], or local, or token:NAME.",
                )
