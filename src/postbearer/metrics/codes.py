"""What a server's reply is counted as: a code of a closed list, so that no server makes up new series."""

from __future__ import annotations

import re
from typing import Final

NONE: Final = "none"  # nobody answered: the connection was lost, or we refused it ourselves
OTHER: Final = "other"

BASIC: Final = frozenset(
    {
        *("250", "251", "252", "421", "432", "450", "451", "452", "454", "455", "458", "459"),
        *("500", "501", "502", "503", "504", "521", "523", "524", "525", "530", "534", "535", "538"),
        *("550", "551", "552", "553", "554", "555", "556"),
    }
)
ENHANCED: Final = frozenset(  # RFC 3463, its registry, and those that large providers send
    {
        *("2.0.0", "2.1.5", "2.6.0"),
        *("4.1.8", "4.2.0", "4.2.1", "4.2.2", "4.3.0", "4.3.1", "4.3.2", "4.3.5"),
        *("4.4.0", "4.4.1", "4.4.2", "4.4.3", "4.4.5", "4.4.7", "4.5.0", "4.5.3"),
        *("4.7.0", "4.7.1", "4.7.5", "4.7.24", "4.7.28", "4.7.500", "4.7.650"),
        *("5.0.0", "5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.7", "5.1.8", "5.1.10"),
        *("5.2.0", "5.2.1", "5.2.2", "5.2.3", "5.2.252", "5.3.0", "5.3.3", "5.3.4"),
        *("5.4.1", "5.4.4", "5.4.5", "5.4.6", "5.4.14"),
        *("5.5.0", "5.5.1", "5.5.2", "5.5.3", "5.5.4", "5.5.6"),
        *("5.6.0", "5.6.1", "5.6.3", "5.6.7", "5.6.9"),
        *("5.7.0", "5.7.1", "5.7.3", "5.7.5", "5.7.8", "5.7.9", "5.7.14", "5.7.23", "5.7.25", "5.7.26"),
        *("5.7.27", "5.7.28", "5.7.30", "5.7.57", "5.7.60", "5.7.64", "5.7.124", "5.7.133", "5.7.139"),
        *("5.7.501", "5.7.509", "5.7.606", "5.7.705", "5.7.708"),
    }
)

STATUSES: Final = frozenset(  # RFC 9110 15, RFC 6585 4
    {
        *("200", "201", "202", "204", "400", "401", "403", "404", "408", "409", "413", "415", "422", "429"),
        *("500", "502", "503", "504"),
    }
)

_STATUS = re.compile(r"HTTP (\d{3})\b")
_CODES = re.compile(r"(\d{3})(?: (\d\.\d{1,3}\.\d{1,3})\b)?")


def code_of(reply: str) -> str:
    """The enhanced status code of a reply if it is a known one, else its basic code; or `NONE`.

    Of an HTTP API's answer it is ``http-429`` or the like, where that is one of `STATUSES`.
    """
    if not reply:
        return NONE
    if answered := _STATUS.match(reply):
        return f"http-{answered[1]}" if answered[1] in STATUSES else OTHER
    found = _CODES.match(reply)
    if found is None:
        return OTHER
    basic, enhanced = found.groups()
    if enhanced in ENHANCED:
        return enhanced
    return basic if basic in BASIC else OTHER
