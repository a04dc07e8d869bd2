"""The words of a reply, as rules and people read them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from postbearer.reply import printable

_STATUS = re.compile(rb"^[245]\.[0-9]{1,3}\.[0-9]{1,3}(?:[ :]+|$)")


def plain_text(lines: Sequence[bytes]) -> str:
    """All lines as one, without the enhanced status codes that servers repeat on each."""
    return " ".join([" ".join(printable(_STATUS.sub(b"", line)).split()) for line in lines])
