"""OAUTHBEARER (RFC 7628): a bearer token within the GS2 framework (RFC 5801 4)."""

from __future__ import annotations

import re

from postbearer.sasl.credential import BearerCredential
from postbearer.sasl.exchange import ClaimedIdentity, ClientHalf, RefusedChallenge, ServerHalf, malformed
from postbearer.sasl.octets import bearer_token, name_of

NAME = "OAUTHBEARER"
_RESPONSE = re.compile(rb"[ny],(?:a=([^,\x01]+))?,\x01((?:[A-Za-z]+=[^\x01]*\x01)+)\x01")
_ESCAPED = re.compile(rb"=(2C|3D|)")


def client(credential: BearerCredential) -> ClientHalf:
    """The response of RFC 7628 3.1; an error challenge is owed one 0x01 (3.2.3)."""
    authzid = credential.username.replace("=", "=3D").replace(",", "=2C")  # saslname, RFC 5801 4
    pairs = [f"host={credential.host}"] if credential.host else []
    pairs += [f"port={credential.port}"] if credential.port else []
    pairs += [f"auth=Bearer {credential.token.reveal()}"]
    header = f"n,a={authzid}," if authzid else "n,,"
    challenge = yield ("\x01".join([header, *pairs]) + "\x01\x01").encode()
    yield RefusedChallenge(challenge, answer=b"\x01")


def server() -> ServerHalf:
    """One response, read to the letter. An empty ``auth`` asks for the error challenge: token None (4.3)."""
    response = yield b""
    found = _RESPONSE.fullmatch(response)
    if found is None:
        raise malformed(NAME, "no GS2 header with key-value pairs")
    pairs = _pairs(found[2])
    if b"auth" not in pairs:
        raise malformed(NAME, "no auth pair")
    port = pairs.get(b"port", b"")
    if port and not re.fullmatch(rb"[0-9]{1,5}", port):
        raise malformed(NAME, "the port is no number")
    return ClaimedIdentity(
        NAME,
        username=name_of(_saslname(found[1] or b""), NAME, empty=True),
        token=bearer_token(pairs[b"auth"], NAME) if pairs[b"auth"] else None,
        host=name_of(pairs.get(b"host", b""), NAME, empty=True),
        port=int(port or 0),
    )


def _pairs(block: bytes) -> dict[bytes, bytes]:
    pairs: dict[bytes, bytes] = {}
    for pair in block.removesuffix(b"\x01").split(b"\x01"):
        key, _, value = pair.partition(b"=")
        if key in pairs:
            raise malformed(NAME, "a key stands twice")
        pairs[key] = value
    return pairs


def _saslname(escaped: bytes) -> bytes:
    def plain(found: re.Match[bytes]) -> bytes:
        if not found[1]:
            raise malformed(NAME, "an equals sign that escapes nothing")
        return b"," if found[1] == b"2C" else b"="

    return _ESCAPED.sub(plain, escaped)
