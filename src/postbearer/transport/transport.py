"""What mail leaves by; SMTP is the first one."""

from __future__ import annotations

from typing import Protocol

from postbearer.envelope import Envelope
from postbearer.message import Content
from postbearer.outcome import Receipt


class Transport(Protocol):
    """One account's way to its mail provider."""

    async def deliver(self, envelope: Envelope, content: Content) -> Receipt:
        """Send one message: one outcome per recipient, in the order of the envelope, refusals included.

        Each outcome but that of a delivered recipient has its verdict, and the receipt says whether the
        account `works`. Raises `PostbearerError` only when nothing was attempted, or the content could not
        be read.
        """
        ...

    async def forgive(self) -> None:
        """A person wants a password tried again that was refused. Raises `TokenUnavailable`, `StoreError`."""
        ...

    async def close(self) -> None:
        """Give up what is held open."""
        ...
