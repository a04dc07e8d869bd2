"""DMARC (RFC 7489): what a domain asks others to do with mail that proves by nothing where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from postbearer.diagnosis.tag_list import TagError, parse_tags

POLICIES = ("none", "quarantine", "reject")
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")  # it stands first, and in these capitals (6.3)


class DmarcError(Exception):
    """A receiver takes the record for none (6.6.3): what is wrong with it."""


@dataclass(frozen=True, slots=True)
class DmarcPolicy:
    """What is asked for mail of the domain, and of the domains below it; whether reports go anywhere."""

    policy: str
    subdomains: str
    reports: bool


def dmarc_records(texts: Iterable[str]) -> list[str]:
    """Those of the TXT records that are DMARC's."""
    return [text for text in texts if _VERSION.match(text)]


def parse_dmarc(record: str) -> DmarcPolicy:
    """What a record asks for. Raises `DmarcError`."""
    try:
        tags = parse_tags(record)
    except TagError as error:
        raise DmarcError(str(error)) from None
    reports = "mailto:" in tags.get("rua", "").lower()
    policy = tags.get("p", "").lower()
    if policy not in POLICIES:
        if not reports:
            raise DmarcError("it has no policy (p=)")
        policy = "none"  # 6.6.3, step 6
    below = tags.get("sp", policy).lower()
    return DmarcPolicy(policy, below if below in POLICIES else policy, reports)
