"""Address lists as header fields spell them (RFC 5322 3.4): display names, groups, comments.

Python's own parsers accept text that names one mailbox to them and another to the next program
(CVE-2023-27043); what this one cannot read without doubt, it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from postbearer.address import Address, refuse_controls
from postbearer.address_words import address_words
from postbearer.errors import UsageError

REMEMBERED = 998  # characters; longer lists are not worth the memory

_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<comment>\((?:[^()\\]|\\.)*\))
      | (?P<angle><[^<>]*>)
      | (?P<literal>\[[^\[\]]*\])
      | (?P<group>:)
      | (?P<separator>[,;])
      | (?P<text>[^"()<>\[\],:;\\]+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One author or recipient. `display` is as it stood in the field: quoted, encoded or plain."""

    display: str
    address: str

    def __str__(self) -> str:
        return f"{self.display} <{self.address}>" if self.display else self.address


def parse_mailboxes(value: str) -> tuple[Mailbox, ...]:
    """Read the unfolded value of a From, To, Cc, Bcc, Sender or Reply-To field.

    Groups give their members; a blank parts complete addresses, too. Raises `UsageError` when any part is
    not an address.
    """
    return _parse(value) if len(value) <= REMEMBERED else _parse.__wrapped__(value)


@lru_cache(maxsize=128)  # an account has few authors, and each message names one
def _parse(value: str) -> tuple[Mailbox, ...]:
    refuse_controls(value, "an address field")
    return tuple(box for item in _items(value) if item for box in _mailboxes(item, value))


def _items(value: str) -> Iterator[list[tuple[str, str]]]:
    """The list cut at its commas, each item as (kind, text) without comments and group names."""
    item: list[tuple[str, str]] = []
    position = 0
    while position < len(value):
        token = _TOKEN.match(value, position)
        if token is None or token.lastgroup is None:
            raise _doubtful(value)
        position = token.end()
        kind, text = token.lastgroup, token[0]
        if kind == "separator":
            yield item
            item = []
        elif kind == "group":
            if any(kind not in ("text", "quoted") or "@" in text for kind, text in item):
                raise _doubtful(value)  # what some take for a group's name, others take for an address
            item = []
        elif kind != "comment" and text.strip():
            item.append((kind, text.strip()))
    yield item


def _mailboxes(item: list[tuple[str, str]], value: str) -> list[Mailbox]:
    match item:
        case [("text", text)]:
            return [Mailbox("", _address(word, value)) for word in address_words(text)]
        case _:
            return [_mailbox(item, value)]


def _mailbox(item: list[tuple[str, str]], value: str) -> Mailbox:
    *words, (kind, last) = item
    if kind == "angle" and all(kind in ("text", "quoted") for kind, _ in words):
        return Mailbox(" ".join(text for _, text in words), _address(last[1:-1].strip(), value))
    if all(kind in ("text", "quoted", "literal") for kind, _ in item):
        return Mailbox("", _address("".join(text for _, text in item), value))
    raise _doubtful(value)


def _address(text: str, value: str) -> str:
    try:
        return str(Address.parse(text))
    except UsageError as error:
        within = f"In {value[:80]!r}: " if value.strip() != text else ""
        raise UsageError(f"{within}{error.message}") from None


def _doubtful(value: str) -> UsageError:
    return UsageError(
        f"{value[:80]!r} is not a list of mail addresses.",
        hint="Write each as user@example.org or Name <user@example.org>, with commas between.",
    )
