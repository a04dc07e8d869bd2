"""LOGIN: user name and password, each asked for by a prompt. No RFC; draft-murchison-sasl-login."""

from __future__ import annotations

from postbearer.sasl.credential import PasswordCredential
from postbearer.sasl.exchange import ClaimedIdentity, ClientHalf, ServerHalf, malformed
from postbearer.sasl.octets import name_of, text_of
from postbearer.secret import Secret

NAME = "LOGIN"


def client(credential: PasswordCredential) -> ClientHalf:
    """The prompts differ from server to server, their order never does."""
    yield None
    yield credential.username.encode()
    yield credential.password.reveal().encode()


def server() -> ServerHalf:
    username = name_of((yield b"Username:"), NAME)
    password = text_of((yield b"Password:"), NAME)
    if not password or "\0" in password:
        raise malformed(NAME, "no password")
    return ClaimedIdentity(NAME, username=username, password=Secret(password))
