"""Whom ``[[relay.clients]]`` keep out on this machine, perhaps unmeant: doubts for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from postbearer.config.relay import ClientSettings
from postbearer.config.validation import Problem

_HERE = (ip_network("127.0.0.0/8"), ip_network("::1"))
_CURE = (
    'If they shall send as well, add [[relay.clients]] name = "local", networks = ["127.0.0.0/8", "::1"]; '
    "if {name} comes from elsewhere, name only the networks it comes from."
)


def client_doubts(clients: Sequence[ClientSettings]) -> Iterator[Problem]:
    """Clients that name loopback, so that the other programs of this machine are not let in any more."""
    here = [(index, each) for index, each in enumerate(clients) if _names_loopback(each)]
    if any(not each.username and not each.legacy and not each.senders for _, each in here):
        return  # that is everybody on this machine
    for index, each in here:
        if each.username:
            what = f"keeps out every program of this machine that does not log in as {each.username}"
        elif each.legacy:
            what = "is known on legacy listeners only, and others keep out every program of this machine"
        else:
            what = "makes every program of this machine this client, with its senders only"
        yield Problem(("relay", "clients", index, "networks"), what, _CURE.format(name=each.name))


def _names_loopback(client: ClientSettings) -> bool:
    found = [ip_network(text) for text in client.networks]
    return any(each.version == here.version and each.overlaps(here) for each in found for here in _HERE)
