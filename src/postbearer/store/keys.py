"""Idempotency keys: what comes a second time under one is not accepted again."""

from __future__ import annotations

from collections.abc import Sequence

from postbearer.errors import AlreadyAccepted, KeyReused
from postbearer.store.records import IdempotencyKey


def refuse_repeated(key: IdempotencyKey, known: Sequence[str] | None) -> None:
    """Raise for a `key` that is known: with which digest, and as which message."""
    if known is None:
        return
    digest, message = known
    if digest != key.digest:
        raise KeyReused(
            f"The idempotency key {key.key!r} was used for another message, {message}.",
            hint="Use a new key for each message, and the same only to submit it again.",
        )
    raise AlreadyAccepted(f"It was accepted before, as {message}.", id=message)
