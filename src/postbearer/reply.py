"""What a mail server answered, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

TEXT = 1000  # characters of a reply that are shown, logged or stored
KEPT = 4096  # octets of a reply that are kept to be understood …
LINES = 64  # … and lines


class EnhancedStatus(NamedTuple):
    """An enhanced status code, ``class.subject.detail`` (RFC 3463)."""

    kind: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.kind}.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply (RFC 5321 4.2), possibly of several lines.

    `lines` are the texts behind code and separator, as the bytes that came, with any enhanced
    status code still in place. They may hold anything: use `text` to show them.
    """

    code: int
    lines: tuple[bytes, ...] = (b"",)
    enhanced: EnhancedStatus | None = None
    # Found once, as nothing else here is asked so often. `kind` is 2, 3, 4 or 5: what to do depends on this,
    # never on a list of codes (RFC 5321 4.2.1). 421 always means that the server closes the connection (3.8).
    kind: int = field(init=False, repr=False, compare=False)
    positive: bool = field(init=False, repr=False, compare=False)
    intermediate: bool = field(init=False, repr=False, compare=False)
    transient: bool = field(init=False, repr=False, compare=False)
    permanent: bool = field(init=False, repr=False, compare=False)
    closing: bool = field(init=False, repr=False, compare=False)

    protocol: ClassVar[str] = "smtp"

    def __post_init__(self) -> None:
        kind, find = self.code // 100, object.__setattr__
        find(self, "kind", kind)
        find(self, "positive", kind == 2)
        find(self, "intermediate", kind == 3)
        find(self, "transient", kind == 4)
        find(self, "permanent", kind == 5)
        find(self, "closing", self.code == 421)

    @property
    def report_status(self) -> str:
        """What a delivery report calls it (RFC 3463)."""
        return str(self.enhanced) if self.enhanced is not None else f"{self.kind}.0.0"

    @property
    def text(self) -> str:
        """All lines as one printable string of at most `TEXT` characters.

        Invalid UTF-8 and control characters are escaped. A server may say a MiB to each of a thousand
        recipients: what becomes text goes to the log and to the queue, for each of them.
        """
        if len(self.lines) == 1 and len(self.lines[0]) <= KEPT:  # as nearly always
            return cut(printable(self.lines[0]).strip())
        short = self.short
        return cut(" ".join([printable(line) for line in short.lines]).strip(), more=short is not self)

    @property
    def short(self) -> Reply:
        """The reply with no more of its lines than is kept; itself if that is all."""
        lines, left = self.lines, KEPT
        if len(lines) <= LINES and sum(map(len, lines)) <= left:
            return self
        kept = []
        for line in lines[:LINES]:
            kept.append(line[:left])
            left -= len(line)
            if left <= 0:
                break
        return replace(self, lines=tuple(kept))

    @property
    def quoted(self) -> str:
        """The reply inside a sentence of ours, which brings its own full stop."""
        return str(self).rstrip(".")

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()


def cut(text: str, longest: int = TEXT, *, more: bool = False) -> str:
    """`text`, or its beginning and a mark where it is too long, or where there was `more`."""
    if len(text) <= longest and not more:
        return text
    return text[: longest - 2].rstrip() + " …"


def printable(data: bytes | str) -> str:
    """What came from the wire as text that can do nothing to a terminal or a log."""
    text = data if isinstance(data, str) else data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
