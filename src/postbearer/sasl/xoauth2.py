"""XOAUTH2: a bearer token as Google and Microsoft take it. No RFC; Google's protocol page defines it."""

from __future__ import annotations

import re

from postbearer.errors import LocalProtocolError
from postbearer.sasl.credential import BearerCredential
from postbearer.sasl.exchange import ClaimedIdentity, ClientHalf, RefusedChallenge, ServerHalf, malformed
from postbearer.sasl.octets import bearer_token, name_of

NAME = "XOAUTH2"
_RESPONSE = re.compile(rb"user=([^\x01]*)\x01auth=([^\x01]*)\x01\x01")


def client(credential: BearerCredential) -> ClientHalf:
    """``user=<login>^Aauth=Bearer <token>^A^A``; an error challenge is owed an empty line."""
    if not credential.username:
        raise LocalProtocolError("XOAUTH2 needs a user name.", hint="Give the account an address.")
    message = f"user={credential.username}\x01auth=Bearer {credential.token.reveal()}\x01\x01"
    challenge = yield message.encode()
    yield RefusedChallenge(challenge, answer=b"")


def server() -> ServerHalf:
    """One response, read to the letter."""
    response = yield b""
    found = _RESPONSE.fullmatch(response)
    if found is None:
        raise malformed(NAME, "not user=, auth= and two separators")
    return ClaimedIdentity(NAME, username=name_of(found[1], NAME), token=bearer_token(found[2], NAME))
