"""What arrived at the sandbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default

from postbearer.envelope import Body


@dataclass(frozen=True, slots=True)
class Received:
    """One message as the sandbox took it: envelope, and content byte for byte."""

    id: str
    at: float  # wall clock
    username: str
    mechanism: str
    reverse_path: str
    recipients: tuple[str, ...]
    content: bytes
    body: Body | None = None
    smtputf8: bool = False

    def summary(self) -> dict[str, object]:
        """What the inbox page lists. The preview is a courtesy: it may fail, the bytes do not."""
        parsed = message_from_bytes(self.content, policy=default)
        return {
            "id": self.id,
            "at": self.at,
            "username": self.username,
            "mechanism": self.mechanism,
            "from": self.reverse_path,
            "to": list(self.recipients),
            "subject": str(parsed.get("Subject", "")),
            "size": len(self.content),
        }


class Inbox:
    """All messages, newest last."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self._arrived = asyncio.Event()

    def add(self, message: Received) -> None:
        self.messages.append(message)
        self._arrived.set()

    def find(self, identifier: str) -> Received | None:
        """The message of that id; ``last`` is the newest."""
        if identifier == "last":
            return self.messages[-1] if self.messages else None
        return next((each for each in self.messages if each.id == identifier), None)

    def clear(self) -> None:
        self.messages.clear()

    async def wait_for(self, count: int) -> list[Received]:
        """Wait until at least `count` messages are there."""
        while len(self.messages) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return list(self.messages)
