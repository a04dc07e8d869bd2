"""What an account can prove itself with. Checked when made, so that nothing unsafe exists later."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from postbearer.errors import LocalProtocolError
from postbearer.secret import Secret

LONGEST_TOKEN = 24 * 1024
LONGEST_NAME = 1024
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class BearerCredential:
    """An OAuth 2.0 access token and the mailbox it is for.

    `host` and `port` name the server as configured; OAUTHBEARER tells them (RFC 7628 3.1).
    Raises `LocalProtocolError` for a token or a name that must not go on the wire.
    """

    username: str
    token: Secret
    host: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        check_token(self.token)
        check_name(self.username, "user name")
        check_name(self.host, "host name")


@dataclass(frozen=True, slots=True)
class PasswordCredential:
    """A name and a password, for servers that know nothing better."""

    username: str
    password: Secret

    def __post_init__(self) -> None:
        check_name(self.username, "user name")
        if not self.username:
            raise LocalProtocolError("The user name is empty.", hint="Give the account a user name.")
        if not self.password or "\0" in self.password.reveal():
            raise LocalProtocolError(
                "The password is empty or holds a NUL, which SASL cannot carry (RFC 4616 2).",
                hint="Check what the password's secret reference yields.",
            )


@dataclass(frozen=True, slots=True)
class ExternalCredential:
    """Whatever the connection has proved already, as a rule a TLS client certificate (RFC 4422 A)."""

    authzid: str = ""

    def __post_init__(self) -> None:
        check_name(self.authzid, "authorization identity")


Credential = BearerCredential | PasswordCredential | ExternalCredential


def check_token(token: Secret) -> None:
    """Raise `LocalProtocolError` unless `token` is a b64token (RFC 6750 2.1) of at most 24 KiB.

    0x01 separates the parts of both OAuth mechanisms, so a token that holds one could say anything.
    """
    value = token.reveal()
    if len(value) > LONGEST_TOKEN:
        raise LocalProtocolError(
            f"The access token is {len(value)} characters long; {LONGEST_TOKEN} are allowed.",
            hint="Have the authorization server put fewer claims into the token.",
        )
    if not _B64TOKEN.fullmatch(value):
        raise LocalProtocolError(
            "The access token is empty or holds characters that no bearer token has (RFC 6750 2.1).",
            hint="Check what the authorization server, or the reference of a static token, yields.",
        )


def check_name(name: str, what: str) -> None:
    """Raise `LocalProtocolError` if `name` is overlong or holds control characters."""
    if len(name) > LONGEST_NAME:
        raise LocalProtocolError(f"The {what} is longer than {LONGEST_NAME} characters.")
    if any(unicodedata.category(char) in _UNSAFE for char in name):
        raise LocalProtocolError(
            f"The {what} holds a control character: {name!r:.80}", hint=f"Correct the {what} of the account."
        )
