"""Looking up what an account's forecast is made of: its certificates, and the sign-in that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path

from postbearer.account import Account
from postbearer.clock import Clock
from postbearer.errors import ConfigError, SecretError, StoreError
from postbearer.forecast.expiry import Facts
from postbearer.oauth import StoredGrant, certificate_ends
from postbearer.state import Persistence

_SIGNING = ("certificate", "private_key", "key_password")


async def gather_all(accounts: Iterable[Account], state: Persistence, clock: Clock) -> dict[str, Facts]:
    """What is known about each of `accounts`, by its name."""
    return {each.name: await gather(each, state, clock) for each in accounts}


async def gather(account: Account, state: Persistence, clock: Clock) -> Facts:
    """What is known about the ends of `account`. Never raises: what cannot be read stands in `troubles`."""
    dated, troubles = dict(account.expires), []
    for key in ("certificate", "tls-certificate"):
        try:
            at = await _certificate_ends(account, key)
        except (SecretError, OSError, ValueError) as error:
            troubles.append(f"When the {key} of {account.name} ends cannot be told: {error}")
        else:
            if at is not None:
                dated[key] = at
    try:
        kept = await _kept(account, state, clock)
    except (StoreError, ConfigError) as error:
        troubles.append(f"The kept sign-in of {account.name} cannot be looked at: {error}")
        kept = StoredGrant(damage="it cannot be looked at")
    return Facts(
        account=account.name,
        dated=dated,
        signed_in=kept.signed_in,
        refreshed=kept.refreshed,
        refresh_expires=kept.refresh_expires,
        by_login=account.grant is not None and account.grant.signs_in,
        refresh_idle=account.refresh_idle,
        refresh_lifetime=account.refresh_lifetime,
        awaits_sign_in=_awaits_sign_in(account, kept),
        troubles=tuple(troubles),
    )


async def awaits_sign_in(account: Account, state: Persistence, clock: Clock) -> bool:
    """Whether a person has to sign in before `account` can send; False also if that cannot be told."""
    try:
        return _awaits_sign_in(account, await _kept(account, state, clock))
    except (StoreError, ConfigError):
        return False


def _awaits_sign_in(account: Account, kept: StoredGrant) -> bool:
    if account.grant is None or not account.grant.signs_in:
        return False
    return kept.refresh is None and not kept.damage and "refresh_token" not in account.grant.sources()


async def _certificate_ends(account: Account, key: str) -> float | None:
    if key == "certificate":
        return await _signing_ends(account)
    certificate = account.outgoing.certificate
    if certificate is None:
        return None
    return end_of_certificate(await asyncio.to_thread(Path(certificate.file).read_text, "ascii", "replace"))


async def _signing_ends(account: Account) -> float | None:
    sources = account.grant.sources() if account.grant is not None else {}
    if "certificate" not in sources:
        return None
    needed = {name: sources[name] for name in _SIGNING if name in sources}
    return certificate_ends({name: await source.read() for name, source in needed.items()})


def end_of_certificate(pem: str) -> float | None:
    """When the first certificate in `pem` ends; None if there is none. Raises `ValueError`."""
    head, tail = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start, end = pem.find(head), pem.find(tail)
    if start < 0 or end < start:
        return None
    from cryptography.x509 import load_pem_x509_certificate

    try:
        found = load_pem_x509_certificate(pem[start : end + len(tail)].encode("ascii", "replace"))
    except ValueError:
        raise ValueError("it is damaged") from None  # what cannot be parsed stands in the original error
    return found.not_valid_after_utc.astimezone(UTC).timestamp()


async def _kept(account: Account, state: Persistence, clock: Clock) -> StoredGrant:
    if account.grant is None or not account.grant.keeps_refresh_token:
        return StoredGrant()
    return await account.token_store(state, clock=clock).load()
