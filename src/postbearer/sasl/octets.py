"""What the server halves share: octets of a client, read strictly."""

from __future__ import annotations

from postbearer.errors import LocalProtocolError
from postbearer.sasl.credential import check_name, check_token
from postbearer.sasl.exchange import malformed
from postbearer.secret import Secret


def name_of(data: bytes, mechanism: str, *, empty: bool = False) -> str:
    """A name: UTF-8 without control characters, and not empty unless `empty`."""
    name = text_of(data, mechanism)
    try:
        check_name(name, "name")
    except LocalProtocolError:
        raise malformed(mechanism, "a name that is overlong or holds control characters") from None
    if not name and not empty:
        raise malformed(mechanism, "no user name")
    return name


def text_of(data: bytes, mechanism: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise malformed(mechanism, "not UTF-8") from None


def bearer_token(data: bytes, mechanism: str) -> Secret:
    """The token behind the scheme ``Bearer``, which has no case (RFC 9110 11.1)."""
    scheme, _, token = text_of(data, mechanism).partition(" ")
    if scheme.lower() != "bearer":
        raise malformed(mechanism, "the scheme is not Bearer")
    secret = Secret(token)
    try:
        check_token(secret)
    except LocalProtocolError:
        raise malformed(mechanism, "the token is no b64token") from None
    return secret
