"""What is known of a provider by the names that other programs write out: its servers, its token endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postbearer.providers import Preset, names, preset

if TYPE_CHECKING:
    from postbearer.importing.draft import AccountDraft


@dataclass(frozen=True, slots=True)
class ProviderMatch:
    """A preset, and the cloud if it is not the usual one."""

    preset: str
    cloud: str | None
    chosen: Preset


def by_server(host: str) -> ProviderMatch | None:
    """The provider whose server this is, on whatever port."""
    host = host.casefold()
    hosts = ((each, [server.rpartition(":")[0] for server in each.chosen.servers]) for each in _all())
    return next((each for each, there in hosts if host in there), None)


def by_token_url(url: str) -> ProviderMatch | None:
    """The provider that has this token endpoint, whoever's tenant it is."""
    fitting = [each for each in _all() if tenant_in(url, each.chosen) is not None]
    return min(fitting, key=lambda each: "{tenant}" in each.chosen.token_url, default=None)


def tenant_in(url: str, chosen: Preset) -> str | None:
    """The tenant in the provider's token endpoint; empty if it has none; None if it is another address."""
    if not chosen.token_url:
        return None
    pattern = re.escape(chosen.token_url).replace(re.escape("{tenant}"), "([^/]+)")
    found = re.fullmatch(pattern, url)
    if found is None:
        return None
    return found[1] if found.groups() else ""


def use_preset(account: AccountDraft, known: ProviderMatch) -> None:
    """Name the provider; leave out what its preset says as well, and of its token endpoint but the tenant."""
    keys = account.keys
    account.put("provider", known.preset, account.lines.get("servers"))
    account.put("cloud", known.cloud, account.lines.get("servers"))
    if keys.get("servers") == list(known.chosen.servers):
        del keys["servers"]
    if keys.get("tls") == known.chosen.tls:
        del keys["tls"]
    tenant = tenant_in(str(keys.get("token-url", "")), known.chosen)
    if tenant is not None:
        line = account.lines["token-url"]
        del keys["token-url"]
        if tenant != known.chosen.default_tenant:
            account.put("tenant", tenant, line)


def _all() -> list[ProviderMatch]:
    """Every preset in each of its clouds."""
    found = []
    for name in names():
        chosen = preset(name)
        for cloud in chosen.clouds or ("",):
            usual = cloud == next(iter(chosen.clouds), "")
            found.append(ProviderMatch(name, None if usual else cloud, chosen.in_cloud(cloud)))
    return found
