"""Ending a person's sign-in: at the authorization server (RFC 7009), and in what is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbearer.errors import GrantRefused, TokenUnavailable
from postbearer.oauth.endpoint import Endpoint, TokenRequest, read_answer
from postbearer.oauth.grants import GrantContext, client_fields
from postbearer.oauth.inputs import read_secrets
from postbearer.oauth.person import PersonGrant
from postbearer.oauth.store import SAVES, GrantStore, StoredGrant, overwritten
from postbearer.secret import Secret

_GONE = "invalid_token"  # RFC 7009 2.2 has a token that is unknown answered like one that was revoked


async def revoke(
    grant: PersonGrant, endpoint: Endpoint, token: Secret, account: str = "", *, now: float
) -> None:
    """Have the server end the sign-in that the refresh `token` is of; `now` is Unix time.

    Raises `TokenUnavailable` when it cannot be asked now, and `GrantRefused` when it does not.
    """
    secrets = await read_secrets(grant.sources())
    context = GrantContext(endpoint.url, account, secrets, now=now)
    form, headers = client_fields(grant, context, scopes=False)
    form |= {"token": token, "token_type_hint": "refresh_token"}
    response = await endpoint.send(TokenRequest(grant.revocation_url, form, headers), account)
    if response.ok:
        return
    known = [token, *secrets.values()]
    try:
        read_answer(response, grant.revocation_url, account=account, secrets=known, now=now)
    except (GrantRefused, TokenUnavailable) as refused:
        if refused.code == _GONE:
            return
        alone = f"To forget it here alone: postbearer logout {account} --local"
        refused.hint = f"{refused.hint} {alone}".strip()
        raise


async def end_sign_in(
    store: GrantStore, revoke: Callable[[Secret], Awaitable[None]] | None = None
) -> StoredGrant:
    """Forget what is kept, and return it. What `revoke` raises leaves it as it is.

    No other process renews meanwhile, so what is revoked is the newest. Raises `TokenUnavailable` if the lock
    cannot be had and `StoreError` if nothing can be written.
    """
    async with store.lock():
        kept = await store.load()
        if revoke is not None and kept.refresh is not None:
            await revoke(kept.refresh)
        version = kept.version
        for _ in range(SAVES):
            if await store.save(StoredGrant(version=version)):
                return kept
            version = (await store.load()).version
    raise overwritten("the account")
