"""Checks of an account as a whole: what its grant needs, what fits together, what it refers to."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from postbearer.config.line_numbers import Path
from postbearer.config.providers import Providers
from postbearer.config.validation import Problem
from postbearer.config.values import account_name, is_loopback
from postbearer.errors import ConfigError
from postbearer.oauth import grant_class, grant_names
from postbearer.providers import Preset
from postbearer.settings import AccountSettings
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from postbearer.oauth import TokenGrant

_SHORT = 300.0  # seconds
_WHERE = {
    "client-id": 'Add client-id = "…", the id of the application registered at the provider.',
    "tenant": 'Add tenant = "example.org", the domain or id of your organisation.',
    "servers": 'Add servers = ["mail.example.org:587"].',
    "token-url": 'Add token-url = "https://…", or issuer = "https://…" to have it discovered.',
    "authorize-url": 'Add authorize-url = "https://…", or issuer = "https://…" to have it discovered.',
    "device-url": 'Add device-url = "https://…", or issuer = "https://…" to have it discovered.',
    "command": 'Add command = "program that prints a token".',
    "tls-certificate": 'Add tls-certificate = "/path/to/certificate-and-key.pem".',
}


def check_account(
    name: str, given: Mapping[str, Any], others: Collection[str], providers: Providers
) -> Iterator[Problem]:
    """Problems of `accounts.NAME`. `given` holds what stands in the file, perhaps with wrong values.

    Raises `ConfigError` for a provider file of one's own that is wrong itself.
    """
    base: Path = ("accounts", name)
    if wrong := account_name(name):
        yield Problem(base, *wrong)
    provider, known = given.get("provider"), providers.names()
    if isinstance(provider, str) and provider in known:
        chosen = providers.preset(provider)
        yield from _provider(base, given, chosen)
    elif isinstance(provider, str):
        yield Problem((*base, "provider"), f"cannot be {provider!r}", did_you_mean(provider, known))
    yield from _redirect(base, given)
    yield from _tls(base, given)
    yield from _neighbours(base, name, given, others)


def _login(base: Path, given: Mapping[str, Any]) -> Iterator[Problem]:
    match given.get("authentication", "oauth"):
        case "oauth":
            yield from _grant(base, given)
        case "password" if "password" not in given:
            yield _missing(base, ("password",), "for authentication = password")
        case "certificate" if "tls-certificate" not in given:
            yield _missing(base, ("tls-certificate",), "for authentication = certificate")
        case _:
            pass


def _grant(base: Path, given: Mapping[str, Any]) -> Iterator[Problem]:
    grant = given.get("grant")
    if grant is None:
        yield Problem((*base, "grant"), "is missing", f'Add grant = "…": one of {", ".join(grant_names())}.')
        return
    if kind := grant_class(grant):
        yield from _described(base, given, kind)
    if grant == "jwt-bearer":
        yield from _one_assertion(base, given)
    if given.get("client-authentication") == "private-key-jwt" and not (
        "private-key" in given or "certificate" in given
    ):
        yield _missing(base, ("private-key", "certificate"), "for client-authentication = private-key-jwt")


def _described(base: Path, given: Mapping[str, Any], kind: type[TokenGrant]) -> Iterator[Problem]:
    """What does not go with what a grant says of itself."""
    public = given.get("client-authentication") == "none"
    for group in kind.needs:
        if any(_has(given, key, kind) for key in group) or (public and "client-secret" in group):
            continue
        yield _missing(base, group, f"for the grant {kind.name}")
    if "password" in given and not any("password" in group for group in kind.needs):
        yield Problem(
            (*base, "password"),
            f"has no effect with {kind.name}: the login is by token",
            'Take it away; or write authentication = "password" in place of grant.',
        )
    if "grant-settings" in given:
        yield Problem((*base, "grant-settings"), f"has no effect with {kind.name}", "Take it away.")


def _one_assertion(base: Path, given: Mapping[str, Any]) -> Iterator[Problem]:
    """An assertion comes from a service account, from the client's own key, or from elsewhere: from one."""
    ways = [key for key in ("service-account", "private-key", "certificate", "assertion") if key in given]
    pair = {"private-key", "certificate"}
    if len(ways) > 1 and set(ways) != pair:
        yield Problem(
            (*base, ways[1]), f"is another way to an assertion beside {ways[0]}", "Keep one of them."
        )
    elif pair & set(ways) and "client-id" not in given:
        yield _missing(base, ("client-id",), "for a jwt-bearer grant with a private key")


def _provider(base: Path, given: Mapping[str, Any], chosen: Preset) -> Iterator[Problem]:
    if "servers" not in given and not chosen.servers:
        yield _missing(base, ("servers",), f"for provider {chosen.name}")
    cloud = given.get("cloud")
    if isinstance(cloud, str) and cloud not in (chosen.clouds or ("global",)):
        hint = did_you_mean(cloud, chosen.clouds) or f"{chosen.title} has none: leave the key out."
        yield Problem((*base, "cloud"), f"cannot be {cloud!r} with {chosen.title}", hint)
    tenant = given.get("tenant")
    if isinstance(tenant, str) and "{tenant}" in chosen.token_url:
        try:
            used = not ("token-url" in given or "issuer" in given)
            chosen.endpoint(chosen.token_url, tenant, str(given.get("grant")) if used else "")
        except ConfigError as error:
            yield Problem((*base, "tenant"), f"cannot be {tenant!r:.80}. {error.message}", error.hint)
    if chosen.no_oauth and given.get("authentication", "oauth") == "oauth":
        key = next((key for key in ("grant", "authentication") if key in given), "authentication")
        found = f"cannot be {given[key]!r} with" if key in given else "cannot be 'oauth', the default, with"
        yield Problem(
            (*base, key),
            f"{found} {chosen.title}. {chosen.no_oauth}",
            'Write authentication = "password" and password = "env:NAME" in place of grant.',
        )
        return
    yield from _login(base, given)
    grant = given.get("grant")
    offered = chosen.grants.get(grant) if isinstance(grant, str) else None
    if offered is not None and offered.works == "no":
        others = [name for name, each in chosen.grants.items() if each.works != "no"]
        yield Problem(
            (*base, "grant"),
            f"cannot be {grant!r} with {chosen.title}. {offered.note}".rstrip(),
            f"Choose one of {', '.join(others)}." if others else "",
        )
    else:
        yield from _endpoints(base, given, chosen)


def _endpoints(base: Path, given: Mapping[str, Any], chosen: Preset) -> Iterator[Problem]:
    kind = grant_class(given.get("grant"))
    if given.get("authentication", "oauth") != "oauth" or kind is None:
        return
    preset_urls = {
        "token-url": chosen.token_url,
        "authorize-url": chosen.authorize_url,
        "device-url": chosen.device_url,
    }
    used = [key for key in kind.endpoints if key not in given]
    if "issuer" in given or not used:
        return
    for key in used:
        if not preset_urls[key] and not chosen.issuer:
            yield _missing(base, (key,), f"for the grant {kind.name} with {chosen.title}")
    owed = kind.name in chosen.tenant_required_by or not chosen.default_tenant
    if owed and any("{tenant}" in preset_urls[key] for key in used) and not _has(given, "tenant", kind):
        yield _missing(base, ("tenant",), f"for the grant {kind.name} with {chosen.title}")


def _has(given: Mapping[str, Any], key: str, kind: type[TokenGrant]) -> bool:
    """Whether a key is there, or the platform gives its value."""
    return key in given or any(map(os.environ.get, kind.environment.get(key, ())))


def _redirect(base: Path, given: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(uri := given.get("redirect-uri"), str):
        from postbearer.oauth import loopback_port

        try:
            loopback_port(uri)
        except ConfigError as error:
            yield Problem((*base, "redirect-uri"), f"cannot be used. {error.message}", error.hint)


def _tls(base: Path, given: Mapping[str, Any]) -> Iterator[Problem]:
    servers = given.get("servers")
    if given.get("tls") == "none-loopback":
        listed = servers if isinstance(servers, list) else []
        far = [text for text in listed if isinstance(text, str) and not is_loopback(text.rpartition(":")[0])]
        if far or not listed:
            yield Problem(
                (*base, "tls"),
                f"cannot be 'none-loopback' for {far[0] if far else 'a server off loopback'}: "
                "a token never leaves the machine without TLS",
                "Use starttls or implicit.",
            )
    if servers == []:
        yield Problem((*base, "servers"), "is empty", _WHERE["servers"])


def _neighbours(
    base: Path, name: str, given: Mapping[str, Any], others: Collection[str]
) -> Iterator[Problem]:
    for key in ("fallback", "overflow"):
        other = given.get(key)
        if other == name:
            yield Problem((*base, key), "is the account itself", "Name another account.")
        elif isinstance(other, str) and account_name(other) is None and other not in others:
            yield unknown_account((*base, key), other, others)
    if "fallback-when" in given and "fallback" not in given:
        yield Problem((*base, "fallback-when"), "has no effect without fallback", "Add fallback = …")
    if "overflow-after" in given and "overflow" not in given:
        yield Problem((*base, "overflow-after"), "has no effect without overflow", "Add overflow = …")
    if given.get("aliases") and given.get("sender", "force") == "force":
        yield Problem(
            (*base, "aliases"),
            "has no effect while sender is force: everything leaves as the address",
            'Add sender = "allow".',
        )


def doubts(name: str, account: AccountSettings, folder: str, providers: Providers) -> Iterator[Problem]:
    """What may work but should be looked at. Relative paths start in `folder`."""
    base: Path = ("accounts", name)
    with suppress(ConfigError):  # of a provider; it has its own place
        yield from _client_id(base, account, providers.preset(account.provider, account.cloud or ""))
    kind = grant_class(account.grant)
    if account.authentication == "oauth" and kind is not None and any(kind.doubt):
        yield Problem((*base, "grant"), f"{kind.name} {kind.doubt[0]}", kind.doubt[1])
    lifetime = account.maximum_token_lifetime
    if lifetime is not None and lifetime < _SHORT:
        yield Problem(
            (*base, "maximum-token-lifetime"),
            f"of {lifetime:g} s means a new token for nearly every message: it is a setting for tests",
            "Take it away, or make it longer than five minutes.",
        )
    for key, file in (("ca-file", account.ca_file), ("tls-certificate", account.tls_certificate)):
        path = os.path.join(folder, file or "")
        if file and (wrong := _unreadable(path)):
            yield Problem((*base, key), f"names {path}, which {wrong[0]}", wrong[1])


def _client_id(base: Path, account: AccountSettings, chosen: Preset) -> Iterator[Problem]:
    form, elsewhere = chosen.client_id, account.token_url or account.issuer
    if form is not None and account.client_id and not elsewhere and not form.fits(account.client_id):
        yield Problem(
            (*base, "client-id"),
            f"is {account.client_id!r:.80}, and {chosen.title} knows applications by ids like {form.example}",
            "Copy the application's id from the provider's page: not its name, nor the id of its secret.",
        )


def _unreadable(path: str) -> tuple[str, str] | None:
    """Why a file cannot be read now, and what to do; None if it can."""
    try:
        with open(path, "rb"):
            return None
    except FileNotFoundError:
        return "is not there now", "Correct it, or make the file."
    except IsADirectoryError:
        return "is a folder", "Name a file."
    except OSError as error:
        hint = "Let the user that sends mail read it, and enter the folders above it."
        return f"cannot be read now: {error.strerror}", hint


def unknown_account(path: Path, name: str, accounts: Collection[str]) -> Problem:
    """A reference to an account that is not there."""
    hint = did_you_mean(name, sorted(accounts)) or f"Add a table [accounts.{name}]."
    return Problem(path, f"names the account {name!r}, which does not exist", hint)


def _missing(base: Path, keys: tuple[str, ...], reason: str) -> Problem:
    first, *others = keys
    hint = _WHERE.get(first, f'Add {first} = "env:NAME" or another secret reference.')
    instead = f" (or {', '.join(others)})" if others else ""
    return Problem((*base, first), f"is missing{instead} {reason}", hint)
