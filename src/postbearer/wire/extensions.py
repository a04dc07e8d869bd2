"""What EHLO offers (RFC 5321 4.1.1.1), the same value for the side that offers and the side that reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from postbearer.wire.grammar import ESMTP_KEYWORD

_NUMBER = re.compile(r"[0-9]{1,20}")
_LIMIT = re.compile(r"([A-Z0-9]+)=([1-9][0-9]{0,5})")  # RFC 9422 3

# What mail can do without; AUTH, STARTTLS and REQUIRETLS are not among it.
Dispensable = Literal[
    "8bitmime", "binarymime", "chunking", "dsn", "limits", "mt-priority", "pipelining", "size", "smtputf8"
]


MOST = 200  # keywords, and values of one

_OFFERED = {
    "pipelining": "PIPELINING",  # RFC 2920
    "chunking": "CHUNKING",  # RFC 3030
    "binarymime": "BINARYMIME",  # RFC 3030
    "starttls": "STARTTLS",  # RFC 3207
    "eightbitmime": "8BITMIME",  # RFC 6152
    "smtputf8": "SMTPUTF8",  # RFC 6531
    "dsn": "DSN",  # RFC 3461
    "requiretls": "REQUIRETLS",  # RFC 8689
    "mt_priority": "MT-PRIORITY",  # RFC 6710
    "enhanced": "ENHANCEDSTATUSCODES",  # RFC 2034
}


@dataclass(frozen=True, slots=True)
class Extensions:
    """The service extensions of one server: upper-case keyword → its parameters."""

    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Read once, asked for every message: the largest one in octets, None when no fixed maximum is known
    # (RFC 1870 4); and RFC 9422's MAILMAX, RCPTMAX, RCPTDOMAINMAX and whatever else was named.
    size: int | None = field(init=False, repr=False, compare=False)
    limits: Mapping[str, int] = field(init=False, repr=False, compare=False)
    # Whether each of these is offered.
    pipelining: bool = field(init=False, repr=False, compare=False)
    chunking: bool = field(init=False, repr=False, compare=False)
    binarymime: bool = field(init=False, repr=False, compare=False)
    starttls: bool = field(init=False, repr=False, compare=False)
    eightbitmime: bool = field(init=False, repr=False, compare=False)
    smtputf8: bool = field(init=False, repr=False, compare=False)
    dsn: bool = field(init=False, repr=False, compare=False)
    requiretls: bool = field(init=False, repr=False, compare=False)
    mt_priority: bool = field(init=False, repr=False, compare=False)
    enhanced: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        upper = {keyword.upper(): tuple(values) for keyword, values in self.keywords.items()}
        matches = (_LIMIT.fullmatch(item.upper()) for item in upper.get("LIMITS", ()))
        limits = {match[1]: int(match[2]) for match in matches if match}
        size = next(iter(upper.get("SIZE", ())), "")
        object.__setattr__(self, "keywords", MappingProxyType(upper))
        object.__setattr__(self, "size", (int(size) or None) if _NUMBER.fullmatch(size) else None)
        object.__setattr__(self, "limits", MappingProxyType(limits))
        for name, keyword in _OFFERED.items():
            object.__setattr__(self, name, keyword in upper)

    def __contains__(self, keyword: str) -> bool:
        return keyword.upper() in self.keywords

    @classmethod
    def parse(cls, lines: Sequence[bytes]) -> Extensions:
        """Read the lines behind the first one of an EHLO reply.

        A line that does not follow the grammar is left out: what was not understood is not offered.
        Some servers still write ``AUTH=`` (a draft older than RFC 2554) beside or instead of
        ``AUTH``; both count. No more than `MOST` keywords and mechanisms are taken, ten times what any
        server offers: a reply may have a MiB.
        """
        keywords: dict[str, tuple[str, ...]] = {}
        for line in lines:
            text = line.decode("latin-1").replace("\t", " ").strip(" ")
            if not (text.isascii() and text.isprintable()):
                continue
            keyword, *values = text.split() or [""]
            if keyword[:5].upper() == "AUTH=":
                keyword, values = "AUTH", [keyword[5:], *values]
            keyword = keyword.upper()
            if not ESMTP_KEYWORD.fullmatch(keyword):
                continue
            values = values[:MOST]
            if keyword == "AUTH":
                known = keywords.get("AUTH", ())
                keywords["AUTH"] = tuple(dict.fromkeys((*known, *(v.upper() for v in values if v))))[:MOST]
            elif len(keywords) < MOST:
                keywords.setdefault(keyword, tuple(values))
        return cls(keywords)

    def without(self, keywords: Collection[str]) -> Extensions:
        """The same, as if `keywords` had not been offered."""
        unwanted = {keyword.upper() for keyword in keywords}
        return Extensions({key: values for key, values in self.keywords.items() if key not in unwanted})

    def render(self) -> list[str]:
        """The lines of an EHLO reply behind the first one."""
        return [" ".join((keyword, *values)) for keyword, values in self.keywords.items()]

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms in the order offered (RFC 4954 3)."""
        return self.keywords.get("AUTH", ())
