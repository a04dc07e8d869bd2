"""A sign of life for a watch elsewhere, which raises the alarm when it stays away: a dead man's switch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from postbearer.alerts.channels import TIMEOUT
from postbearer.errors import RemoteProtocolError
from postbearer.http import fetch
from postbearer.secret import SecretSource

EVERY: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Where signs of life go: an address that is asked, a file whose time is set."""

    url: str | SecretSource = ""
    file: Path | None = None
    every: float = EVERY

    def __bool__(self) -> bool:
        return bool(self.url) or self.file is not None

    async def beat(self) -> None:
        """Give a sign. Raises `PostbearerError` or `OSError` when one did not arrive; both are tried."""
        try:
            if self.file is not None:
                await asyncio.to_thread(self.file.touch)
        finally:
            if self.url:
                await self._ask(self.url)

    async def _ask(self, url: str | SecretSource) -> None:
        place = url if isinstance(url, str) else (await url.read()).reveal()
        answer = await fetch("GET", place, timeout=TIMEOUT)
        if not answer.ok:
            host = urlsplit(url).netloc if isinstance(url, str) else url.reference
            raise RemoteProtocolError(f"{host} answered {answer.status} to a sign of life.")
