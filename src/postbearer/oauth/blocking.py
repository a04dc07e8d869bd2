"""What a token source is, and how a thread without an event loop asks one."""

from __future__ import annotations

import asyncio
from typing import Protocol

from postbearer.errors import UsageError
from postbearer.oauth.token import Token


class TokenSource(Protocol):
    """Where access tokens come from."""

    async def token(self) -> Token:
        """A token that may be used now. Raises `CredentialError`, `SecretError` or `StoreError`."""
        ...

    async def invalidate(self, token: Token) -> None:
        """The mail server refused exactly this token: never hand it out again."""
        ...


def token_blocking(source: TokenSource) -> Token:
    """A token for a thread without an event loop. Raises `UsageError` in a thread that runs one."""
    _require_no_loop("token_blocking", "source.token()")
    return asyncio.run(_token(source))


def invalidate_blocking(source: TokenSource, token: Token) -> None:
    """`TokenSource.invalidate` for a thread without an event loop. Raises as `token_blocking`."""
    _require_no_loop("invalidate_blocking", "source.invalidate(token)")
    asyncio.run(_invalidate(source, token))


def _require_no_loop(name: str, instead: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(f"{name}() would stop the event loop of this thread.", hint=f"Write: await {instead}")


async def _token(source: TokenSource) -> Token:
    return await source.token()


async def _invalidate(source: TokenSource, token: Token) -> None:
    await source.invalidate(token)
