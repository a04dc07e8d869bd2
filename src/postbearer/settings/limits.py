"""What an account may send: the provider's limits, and those that take their place."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from postbearer.settings.constraints import Count, Prose, Size


class Limits(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What an account may send; the provider's own limits unless set. None: no limit is known."""

    messages_per_minute: Annotated[Count | None, Prose("Messages in any 60 seconds.")] = None
    recipients_per_day: Annotated[Count | None, Prose("Recipients in any 24 hours.")] = None
    messages_per_day: Annotated[Count | None, Prose("Messages in any 24 hours.")] = None
    connections: Annotated[Count | None, Prose("Connections open at one time.")] = None
    recipients_per_message: Annotated[Count | None, Prose("Recipients of one message.")] = None
    size: Annotated[Size | None, Prose("Octets of one message.")] = None

    def __post_init__(self) -> None:
        for key in self.__struct_fields__:
            if getattr(self, key) is not None and getattr(self, key) < 1:
                raise ValueError(f"{key.replace('_', '-')} must be at least 1")

    @property
    def budgeted(self) -> bool:
        """Whether there is a limit for which what was sent has to be counted."""
        return any((self.messages_per_minute, self.messages_per_day, self.recipients_per_day))

    def or_else(self, usual: Limits) -> Limits:
        """These, with `usual` in place of those that are not set."""
        return Limits(**{key: getattr(self, key) or getattr(usual, key) for key in self.__struct_fields__})
