"""What a relay sees of an outbox: messages that programs handed over within transactions of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message: as `content`, or as `parts` (JSON) it is to be made of.

    `role` logged in to the database; `request` is what programs of the relay's machine say beside a message.
    """

    id: str
    role: str
    request: str
    parts: str | None
    content: bytes | None


@dataclass(slots=True)
class Taken:
    """Rows that nobody else has meanwhile. What is neither `done` nor `refused` stays where it is."""

    rows: Sequence[OutboxRow]
    done: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # why


class Outbox(Protocol):
    """Each method raises `StoreError`, but for `wait` and `close`."""

    def taken(
        self, most: int, but: Collection[str], roles: Collection[str]
    ) -> AbstractAsyncContextManager[Taken]:
        """Up to `most` messages, but for those of the ids `but` and of `roles`; what is done is gone then."""
        ...

    async def is_empty(self) -> bool:
        """A look that costs next to nothing."""
        ...

    async def wait(self) -> bool:
        """Until something is handed over, or for a while; whether it was."""
        ...

    async def stay_awake(self, seconds: float) -> None:
        """Somebody looks all the time for so long: who hands something over need not tell."""
        ...

    async def forget(self, age: float) -> None:
        """Remove what was refused for longer than `age` seconds."""
        ...

    async def close(self) -> None: ...
