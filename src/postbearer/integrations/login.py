"""A login by another library's connection, without I/O: the lines it has to say, for the replies it gets."""

from __future__ import annotations

from collections.abc import Collection, Generator

from postbearer.errors import RemoteProtocolError
from postbearer.integrations.identity import Identity, Peer
from postbearer.oauth import Token
from postbearer.reply import Reply
from postbearer.sasl import BearerCredential, negotiate, others
from postbearer.transport import RetryAuthentication, dialogue, fits, refusal, scrubbed
from postbearer.wire import auth_line, reply_of

Answer = tuple[int, bytes]  # code and text, its lines joined by LF, as these libraries give it
Steps = Generator[bytes, Answer, Reply]


def steps(identity: Identity, peer: Peer, token: Token, offered: Collection[str]) -> Steps:
    """The lines, without CRLF, of a login by the best mechanism that is `offered`; returns the 235.

    A server that takes no initial response gets the same in two steps, and one that does not know the
    mechanism gets the other. Raises `LoginRefused` when the token is
    refused, `ServerRefused` when the server cannot tell now, `MechanismMissing`, and `RemoteProtocolError`,
    after which the connection is of no further use.
    """
    credential = BearerCredential(identity.username, token.access, peer.host, peer.port)
    at_once, unknown = True, set[str]()
    while True:
        # `Identity.check` has seen to it that this is verified TLS, or never leaves this machine.
        left = [name for name in offered if name.upper() not in unknown]
        exchange = negotiate(left, credential, tls=True, prefer=identity.mechanism)
        at_once = at_once and fits(exchange)
        talk = dialogue(exchange, str(peer), at_once=at_once)
        command = next(talk)
        try:
            while True:
                command = talk.send(_reply((yield auth_line(command)), peer))
        except StopIteration as end:
            reply = scrubbed(end.value, exchange.redactor)
        if reply.positive:
            return reply
        error = refusal(
            reply,
            exchange,
            peer=str(peer),
            username=identity.username,
            account=identity.account,
            rules=identity.rules,
            token=token,
            at_once=at_once,
            others=others(exchange, left, credential, identity.mechanism),
        )
        if not isinstance(error, RetryAuthentication):
            raise error
        if error.other_mechanism:
            unknown.add(exchange.mechanism)
        else:
            at_once = False


def _reply(answer: Answer, peer: Peer) -> Reply:
    code, text = answer
    if not 200 <= code <= 599:
        raise RemoteProtocolError(f"{peer} sent what is no SMTP reply.", hint="Close the connection.")
    return reply_of(code, tuple(text.split(b"\n")))
