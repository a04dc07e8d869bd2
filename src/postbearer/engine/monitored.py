"""Content on its way out, watched: a mailer needs no more of the queue's work than this."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postbearer.errors import LeaseLost, PostbearerError
from postbearer.message import Content


def _always() -> bool:
    return True


class MonitoredContent:
    """Content that leaves while its lease `holds`, and remembers whether it `left`.

    `error` tells why it could not be read: no fault of the provider's.
    """

    def __init__(self, content: Content, holds: Callable[[], bool] = _always) -> None:
        self._content = content
        self._holds = holds
        self.size, self.eight_bit, self.binary = content.size, content.eight_bit, content.binary
        self.left = False
        self.error: PostbearerError | None = None

    def blocks(self, size: int = 65536) -> Iterator[bytes]:
        try:
            for block in self._content.blocks(size):
                if not self._holds():
                    raise LeaseLost("The relay stood still for so long that another one may send this.")
                self.left = True
                yield block
        except PostbearerError as error:
            self.error = error
            raise
