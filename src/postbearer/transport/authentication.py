"""AUTH without I/O (RFC 4954 4): what to say next, and what a refusal means."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Sequence
from typing import Any

from postbearer.errors import CredentialRefused, RemoteProtocolError, ServerRefused
from postbearer.oauth import Token
from postbearer.providers import First, Klass, Phase, Rule
from postbearer.reply import EnhancedStatus, Reply
from postbearer.sasl import BearerCredential, ClientExchange, Credential, PasswordCredential
from postbearer.verdict import judge
from postbearer.wire import Auth, AuthResponse, auth_fits, decode_challenge

ROUNDS = 8  # a server that asks for more is not authenticating
# RFC 4954 4: what a server should say to a response that is too long for it.
_TOO_LONG = Reply(500, (b"5.5.6 Authentication exchange line is too long",), EnhancedStatus(5, 5, 6))

Dialogue = Generator[Auth | AuthResponse, Reply, Reply]


class Turned(CredentialRefused):
    """A credential that was refused; `token` is what a renewal could replace."""

    token: Token | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process it tells what happened; the token stays here."""
        kind, args, state = super().__reduce__()
        return kind, args, {**state, "token": None}


class OneStep(ServerRefused):
    """The server took no initial response with AUTH: it is to be said in two steps."""


def dialogue(exchange: ClientExchange, peer: str, *, at_once: bool) -> Dialogue:
    """What to send, one command after another; it takes their replies, and returns the last one.

    With `at_once` the initial response goes with AUTH.
    """
    initial = exchange.initial
    reply = yield Auth(exchange.mechanism, initial if at_once else None)
    if initial is not None and not at_once and reply.intermediate:
        reply = yield AuthResponse(initial)
    for _ in range(ROUNDS):
        if not reply.intermediate:
            return reply
        reply = yield AuthResponse(exchange.respond(decode_challenge(reply)))
    raise RemoteProtocolError(f"{peer} asks without end for more in {exchange.mechanism}.")


def fits(exchange: ClientExchange) -> bool:
    """Whether the whole line keeps to 512 octets: servers refuse or cut longer ones, and the connection."""
    return exchange.initial is not None and auth_fits(exchange.mechanism, exchange.initial)


def secrets_of(credential: Credential, exchange: ClientExchange) -> tuple[bytes, ...]:
    """What must not come back in a reply: the secret itself, and the line that carries it."""
    own: list[bytes] = [b64encode(exchange.initial)] if exchange.initial else []
    if isinstance(credential, BearerCredential):
        own.append(credential.token.reveal().encode())
    if isinstance(credential, PasswordCredential):
        password = credential.password.reveal().encode()
        own += [password, b64encode(password)]
    return tuple(own)


def refusal(
    reply: Reply,
    exchange: ClientExchange,
    *,
    peer: str,
    username: str,
    account: str,
    rules: Sequence[Rule] | None,
    token: Token | None,
    at_once: bool,
) -> Turned | ServerRefused:
    """The error for `reply`, which let nobody in: `Turned`, `OneStep`, or that it cannot tell now."""
    verdict = judge(reply, Phase.AUTH, rules)
    one_step = First.TWO_STEP in verdict.first and at_once
    if First.TWO_STEP in verdict.first and not at_once:
        # It was two steps already: not the command was too long but the credential.
        verdict = judge(_TOO_LONG, Phase.AUTH, rules)
    if one_step or (verdict.klass is not Klass.HOLD and First.RENEW not in verdict.first):
        kind = OneStep if one_step else ServerRefused
        return kind(
            f"{peer} does not authenticate now: {reply.quoted}.",
            host=peer,
            stage="auth",
            reply=reply,
            hint=verdict.remedy,
        )
    error = Turned(
        f"{peer} refused {username or 'the certificate'}: {reply.quoted}.",
        account=account,
        reply=reply,
        code=exchange.failure.status if exchange.failure is not None else "",
        hint=verdict.remedy,
    )
    error.token = token if First.RENEW in verdict.first else None
    return error
