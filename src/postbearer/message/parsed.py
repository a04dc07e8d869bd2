"""A header as it was read at the front of a message."""

from __future__ import annotations

from postbearer.message.fields import Header
from postbearer.message.header_section import HeaderReader
from postbearer.message.sender import SenderRule


class ParsedHeader:
    """The `header`, and the octet at which the body begins. `parted`: an empty line stands between them."""

    __slots__ = ("_left", "_rule", "body", "header", "parted")

    def __init__(self, header: Header, body: int, *, parted: bool) -> None:
        self.header = header
        self.body = body
        self.parted = parted
        self._rule: SenderRule | None = None
        self._left = header

    @classmethod
    def of(cls, reader: HeaderReader) -> ParsedHeader:
        """What `reader` has read to the end. Raises `UsageError` for a header nobody may send."""
        return cls(Header.of(reader), reader.body, parted=reader.parted)

    def leaving(self, rule: SenderRule) -> Header:
        """The header as it leaves by `rule`, without what is not sent. Raises as `SenderRule.apply` does.

        It is asked at the door and for each attempt, mostly for the one account, so the last answer is kept.
        """
        if rule is not self._rule:
            self._left, self._rule = rule.apply(self.header.outgoing()), rule
        return self._left
