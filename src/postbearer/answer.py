"""What a mail provider answered: an SMTP reply, or the answer of an HTTP API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from postbearer.reply import Reply, cut, printable

_FOR_NOW = frozenset({408, 425, 429})  # of the 4xx (RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4)
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an HTTP API answered a message with (RFC 9110 15).

    `code` is the API's own word for an error, such as ``ErrorQuotaExceeded``, and `message` its sentence
    about it. They may hold anything: use `text` to show them. `retry_after` is in seconds, if it said so.
    """

    status: int
    code: str = ""
    message: str = ""
    retry_after: float | None = None

    protocol: ClassVar[str] = "http"

    @property
    def positive(self) -> bool:
        return self.status // 100 == 2

    @property
    def transient(self) -> bool:
        """Whether the same request may go well later."""
        return self.status // 100 == 5 or self.status in _FOR_NOW

    @property
    def report_status(self) -> str:
        """What a delivery report calls it (RFC 3463)."""
        if self.status == _TOO_LARGE:
            return "5.3.4"
        return "2.0.0" if self.positive else "4.0.0" if self.transient else "5.0.0"

    @property
    def text(self) -> str:
        """Code and message as one printable string, no longer than the text of a reply."""
        return cut(": ".join(printable(each).strip() for each in (self.code, self.message) if each))

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.text}".rstrip()


ProviderAnswer = Reply | HttpAnswer
"""What a transport brings back from a provider: which of the two, is its own affair."""
