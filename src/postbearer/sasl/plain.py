"""PLAIN (RFC 4616)."""

from __future__ import annotations

from postbearer.sasl.credential import PasswordCredential
from postbearer.sasl.exchange import ClaimedIdentity, ClientHalf, ServerHalf, malformed
from postbearer.sasl.octets import name_of, text_of
from postbearer.secret import Secret

NAME = "PLAIN"


def client(credential: PasswordCredential) -> ClientHalf:
    """``<authzid> NUL <authcid> NUL <password>``, without an authzid."""
    yield f"\0{credential.username}\0{credential.password.reveal()}".encode()


def server() -> ServerHalf:
    """Whether authzid and user name may differ is for the caller to decide."""
    response = yield b""
    parts = response.split(b"\0")
    if len(parts) != 3 or not parts[2]:
        raise malformed(NAME, "not three parts with a password")
    return ClaimedIdentity(
        NAME,
        username=name_of(parts[1], NAME),
        password=Secret(text_of(parts[2], NAME)),
        authzid=name_of(parts[0], NAME, empty=True),
    )
