"""What the engine needs of a way out; SMTP is the first one."""

from __future__ import annotations

from typing import Protocol

from postbearer.envelope import Envelope
from postbearer.message import Content
from postbearer.outcome import Receipt


class Transport(Protocol):
    """One account's way to its mail provider."""

    async def deliver(self, envelope: Envelope, content: Content) -> Receipt:
        """Send one message: one outcome per recipient, refusals included.

        Raises `PostbearerError` only when nothing was attempted, or the content could not be read.
        """
        ...

    async def close(self) -> None:
        """Give up what is held open."""
        ...
