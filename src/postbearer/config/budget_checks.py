"""What accounts have in common at the provider, and what they may send of it: doubts for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from postbearer.config.providers import Providers
from postbearer.config.validation import Problem
from postbearer.errors import ConfigError
from postbearer.settings import AccountSettings


def budget_doubts(accounts: Mapping[str, AccountSettings], providers: Providers) -> Iterator[Problem]:
    """Limits above those of the provider, and accounts that share a mailbox and so its limits."""
    mailboxes: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, account in accounts.items():
        yield from _above(name, account, providers)
        mailboxes[_mailbox(account)].append(name)
    for names in mailboxes.values():
        if len(names) > 1:
            yield _shared(names, accounts)


def _mailbox(account: AccountSettings) -> tuple[str, ...]:
    """As the provider counts: by itself and the login. A provider that is any server is the one named."""
    where = account.servers or () if account.provider == "smtp" else ()
    return account.provider, (account.username or account.address).casefold(), *where[:1]


def _above(name: str, account: AccountSettings, providers: Providers) -> Iterator[Problem]:
    try:
        provider = providers.preset(account.provider, account.cloud or "")
    except ConfigError:
        return  # it has its own place
    for key, usual in msgspec.structs.asdict(provider.limits).items():
        wanted = getattr(account.limits, key)
        if usual is not None and wanted is not None and wanted > usual:
            yield Problem(
                ("accounts", name, "limits", key.replace("_", "-")),
                f"is {wanted}, and {provider.title} is known to allow {usual}",
                "Leave it out to keep to what is known, unless the provider granted more.",
            )


def _shared(names: list[str], accounts: Mapping[str, AccountSettings]) -> Problem:
    first, *_, last = names
    others = " and ".join(filter(None, (", ".join(names[:-2]), names[-2])))
    differ = any(accounts[name].limits != accounts[first].limits for name in names)
    return Problem(
        ("accounts", last),
        f"sends from the same mailbox as {others}, so what one sends counts for the others, too",
        "Give them the same limits: each keeps to its own." if differ else "Nothing to do, if that is meant.",
    )
