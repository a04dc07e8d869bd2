"""Which header fields name recipients, and which of them nobody may see (RFC 5322 3.6.3, 3.6.6).

Without regular expressions and other modules: ``sendmail`` starts with it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HIDDEN = ("bcc", "resent-bcc")
NOT_SENT = (*HIDDEN, "return-path")  # the last is added where a message is delivered (RFC 5321 4.4)
_FIELDS = ("to", "cc", "bcc")
_RESENT = ("resent-to", "resent-cc", "resent-bcc")
_OF_A_BLOCK = (*_RESENT, "resent-from", "resent-sender", "resent-date", "resent-message-id")


def naming_recipients(names: Sequence[str]) -> list[int]:
    """The places, in a header of fields with these lower-case `names`, of those that name the recipients.

    A message that was resent goes to those whom the last one who resent it named: each puts a block of
    fields on top, which ends where one of them comes for the second time.
    """
    block: list[int] = []
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in _OF_A_BLOCK:
            if name in seen:
                break
            seen.add(name)
            if name in _RESENT:
                block.append(place)
    return block or [place for place, name in enumerate(names) if name in _FIELDS]
