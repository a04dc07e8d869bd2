"""AUTH without I/O (RFC 4954 4): what to say next, and what a refusal means."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from postbearer.errors import CredentialRefused, RemoteProtocolError, ServerRefused
from postbearer.oauth import Token
from postbearer.providers import Disposition, ImmediateAction, Phase, Rule
from postbearer.reply import EnhancedStatus, Reply
from postbearer.sasl import ClientExchange
from postbearer.verdict import Verdict, judge
from postbearer.wire import Auth, AuthResponse, auth_fits, decode_challenge

ROUNDS = 8  # a server that asks for more is not authenticating
# RFC 4954 4: what a server should say to a response that is too long for it.
_TOO_LONG = Reply(500, (b"5.5.6 Authentication exchange line is too long",), EnhancedStatus(5, 5, 6))

_TOKEN_REFUSED = Reply(535, (b"5.7.8 Authentication credentials invalid",), EnhancedStatus(5, 7, 8))
LONGEST_LINE = 12_288  # octets with CRLF that a server has to take in an exchange (RFC 4954 4)

Dialogue = Generator[Auth | AuthResponse, Reply, Reply]


class LoginRefused(CredentialRefused):
    """A credential that was refused; `token` is what a renewal could replace."""

    token: Token | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process it tells what happened; the token stays here."""
        kind, args, state = super().__reduce__()
        return kind, args, {**state, "token": None}


class RetryAuthentication(ServerRefused):
    """Not the credential was refused but how it was said: it is to be said otherwise, on a new connection.

    With `other_mechanism` by another mechanism, else in two steps, without an initial response.
    """

    other_mechanism = False


def dialogue(exchange: ClientExchange, peer: str, *, at_once: bool) -> Dialogue:
    """What to send, one command after another; it takes their replies, and returns the last one.

    With `at_once` the initial response goes with AUTH.
    """
    initial = exchange.initial
    reply = yield Auth(exchange.mechanism, initial if at_once else None)
    if initial is not None and not at_once and reply.intermediate:
        reply = yield AuthResponse(initial)
    for _ in range(ROUNDS):
        if not reply.intermediate or (exchange.failure is not None and exchange.cancelled):
            return reply  # a 334 that goes on behind a refusal and our "*" is none the less one
        reply = yield AuthResponse(exchange.respond(_challenge(reply)))
    raise RemoteProtocolError(f"{peer} asks without end for more in {exchange.mechanism}.")


def _challenge(reply: Reply) -> bytes:
    """What a 334 carries; where it is no base64, what it says: behind a token every 334 is a refusal."""
    try:
        return decode_challenge(reply)
    except RemoteProtocolError:
        return b" ".join(reply.lines)


def fits(exchange: ClientExchange) -> bool:
    """Whether the whole line keeps to 512 octets: servers refuse or cut longer ones, and the connection."""
    return exchange.initial is not None and auth_fits(exchange.mechanism, exchange.initial)


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
    others: bool = False,
) -> LoginRefused | ServerRefused:
    """The error for `reply`, which let nobody in: `LoginRefused`, `RetryAuthentication`, `ServerRefused`.

    `others`: the server offers another mechanism that fits.
    """
    told = exchange.failure is not None and token is not None  # its challenge is the word that counts
    verdict = judge(reply, Phase.AUTH, rules)
    meant = _meant(reply, exchange, verdict, told=told, at_once=at_once)
    if meant is not reply:
        verdict = judge(meant, Phase.AUTH, rules)
    two_steps = ImmediateAction.TWO_STEP in verdict.first and at_once
    other_mechanism = ImmediateAction.OTHER_MECHANISM in verdict.first and others and not told
    if (
        two_steps
        or other_mechanism
        or (verdict.disposition is not Disposition.HOLD and ImmediateAction.RENEW not in verdict.first)
    ):
        kind = RetryAuthentication if two_steps or other_mechanism else ServerRefused
        turned = kind(
            f"{peer} does not authenticate now: {reply.quoted}.",
            host=peer,
            stage="auth",
            reply=reply,
            hint=verdict.remedy,
        )
        if isinstance(turned, RetryAuthentication):
            turned.other_mechanism = other_mechanism
        return turned
    error = LoginRefused(
        f"{peer} refused {username or 'the certificate'}: {reply.quoted}.",
        account=account,
        reply=reply,
        code=exchange.failure.status if exchange.failure is not None else "",
        hint=verdict.remedy,
    )
    error.meant = meant
    error.token = token if told or ImmediateAction.RENEW in verdict.first else None
    return error


def _meant(reply: Reply, exchange: ClientExchange, verdict: Verdict, *, told: bool, at_once: bool) -> Reply:
    """`reply`, or what it stands for by all that is known here."""
    if told and verdict.disposition is not Disposition.HOLD:
        return _TOKEN_REFUSED  # RFC 7628 3.2.2: the code behind the challenge adds nothing
    too_long = reply.code in (500, 501) and _line(exchange) > LONGEST_LINE
    if too_long or (ImmediateAction.TWO_STEP in verdict.first and not at_once):
        return _TOO_LONG  # it was two steps already: not the command was too long but the credential
    return reply


def _line(exchange: ClientExchange) -> int:
    """The octets of the line that carries the credential, with its CRLF."""
    return 4 * -(-len(exchange.initial or b"") // 3) + 2
