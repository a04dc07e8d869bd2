"""Lists of ``name=value;`` in DNS, as DKIM has them (RFC 6376 3.2), and DMARC too (RFC 7489 6.4)."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class TagError(Exception):
    """A receiver takes the record for none: what is wrong with it."""


def parse_tags(record: str) -> dict[str, str]:
    """The values by name, in their order, without blanks around them. Raises `TagError`."""
    tags: dict[str, str] = {}
    parts = record.split(";")
    if not parts[-1].strip():  # one may stand at the end
        parts.pop()
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not _NAME.fullmatch(name):
            raise TagError(f"{part.strip() or 'nothing'} is no name=value")
        if name in tags:
            raise TagError(f"{name}= stands in it twice")
        tags[name] = value.strip()
    return tags
