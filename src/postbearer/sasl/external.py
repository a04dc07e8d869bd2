"""EXTERNAL (RFC 4422 appendix A): the TLS client certificate has already said who we are."""

from __future__ import annotations

from postbearer.sasl.credential import ExternalCredential
from postbearer.sasl.exchange import ClaimedIdentity, ClientHalf, ServerHalf
from postbearer.sasl.octets import name_of

NAME = "EXTERNAL"


def client(credential: ExternalCredential) -> ClientHalf:
    """The authorization identity; empty, as a rule, which is not the same as none."""
    yield credential.authzid.encode()


def server() -> ServerHalf:
    response = yield b""
    return ClaimedIdentity(NAME, authzid=name_of(response, NAME, empty=True))
