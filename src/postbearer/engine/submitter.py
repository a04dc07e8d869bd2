"""Who submits, and as whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from postbearer.address import ascii_domain, canonical
from postbearer.errors import UsageError
from postbearer.store import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """A submitter. `senders` are addresses, ``@domain`` or ``*``; none given: any sender."""

    name: str
    account: str = ""  # where its mail goes; empty: routes or the default say
    senders: tuple[str, ...] = ()
    priority: Priority = Priority.NORMAL
    messages_per_minute: int | None = None
    legacy: bool = False
    default_sender: str = ""  # for devices that have none of their own
    size: int | None = None  # octets one message may have
    bounces_to: str = ""  # gets all reports about its mail

    @property
    def may_send_as_anyone(self) -> bool:
        return not self.senders or "*" in self.senders

    def may_send_as(self, address: str) -> bool:
        """Whether it may use `address` as reverse-path or author; compared in canonical form."""
        return not self.senders or matches(address, self.senders)

    def owns(self, address: str) -> bool:
        """Whether `address` is one that it was given by name or domain."""
        given = (*self.senders, self.default_sender) if self.default_sender else self.senders
        return matches(address, [each for each in given if each != "*"])


def matches(address: str, patterns: Iterable[str]) -> bool:
    """Whether `address` is one of `patterns`: an address, ``@domain``, or ``*``, which even no address is."""
    try:
        wanted = canonical(address)
    except UsageError:
        wanted = ""
    return any(_matches(wanted, pattern) for pattern in patterns)


def _matches(address: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    if not address:
        return False
    if pattern.startswith(("@", "*@")):
        return address.rpartition("@")[2] == ascii_domain(pattern.rpartition("@")[2])
    return address == canonical(pattern)
