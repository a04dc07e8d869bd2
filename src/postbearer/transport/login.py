"""Proving who we are: which credential, by which mechanism, and what a refusal leads to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from traceback import clear_frames
from typing import cast

from postbearer.errors import (
    GrantRefused,
    LocalProtocolError,
    NetworkError,
    RemoteProtocolError,
    ServerRefused,
)
from postbearer.events import Authenticated, Observer
from postbearer.oauth import Token, TokenSource, read_secret
from postbearer.providers import Phase, Who
from postbearer.redaction import Redactor
from postbearer.reply import Reply
from postbearer.sasl import (
    BearerCredential,
    ClientExchange,
    Credential,
    ExternalCredential,
    PasswordCredential,
    negotiate,
    others,
)
from postbearer.secret import SecretSource
from postbearer.transport.authentication import LoginRefused, RetryAuthentication, dialogue, fits, refusal
from postbearer.transport.conversation import Conversation
from postbearer.transport.server_address import ServerAddress
from postbearer.transport.smarthost import Smarthost
from postbearer.verdict import judge

Source = TokenSource | SecretSource


@dataclass(slots=True)
class ServerQuirks:
    """What servers were found not to take: learned at a login, and known at the next."""

    two_steps: set[ServerAddress] = field(default_factory=set)  # no initial response with AUTH
    unknown: set[tuple[ServerAddress, str]] = field(default_factory=set)  # a mechanism that they offer
    redactor: Redactor | None = field(default=None, repr=False)  # of what they were sent last


class Login:
    """How one account logs in while one message looks for a server.

    A token that is refused is renewed once, whatever the number of servers: they all know the same
    authorization server. `source` must fit ``smarthost.authentication``.
    """

    def __init__(
        self,
        smarthost: Smarthost,
        source: Source | None,
        observer: Observer,
        account: str,
        habits: ServerQuirks | None = None,
    ) -> None:
        self._smarthost = smarthost
        self._source = source
        self._observer = observer
        self._account = account
        self._habits = habits or ServerQuirks()
        self._renewed = False

    async def run(self, talk: Conversation, server: ServerAddress) -> float | None:
        """Authenticate; returns when the token that was used was obtained, if one was.

        Raises `LoginRefused` when the credential is refused, `RetryAuthentication` when only the form was,
        `ServerRefused` when the server cannot tell now, `MechanismMissing`, and whatever the source of the
        credential raises.
        """
        if self._skipped(talk):
            return None
        self._refuse_strangers(talk, server)
        credential, token = await self._credential(server)
        protected = talk.stream.tls is not None or self._smarthost.tls == "none-loopback"
        offered = self._offered(talk, server)
        exchange = negotiate(offered, credential, tls=protected, prefer=self._smarthost.mechanism)
        self._habits.redactor = exchange.redactor
        at_once = fits(exchange) and server not in self._habits.two_steps
        reply = await converse(talk, exchange, at_once=at_once)
        if not reply.positive:
            other = others(exchange, offered, credential, self._smarthost.mechanism)
            error = self._refused(server, exchange, reply, token, at_once=at_once, others=other)
            await self._remember(credential, error)
            raise error
        self._observer.notice(Authenticated(self._account, str(server), exchange.mechanism, reply))
        return token.obtained_at if token is not None else None

    @property
    def redactor(self) -> Redactor | None:
        """Hides what was sent at the login before: a server may repeat it before this one."""
        return self._habits.redactor

    async def renew(self, refusal: LoginRefused) -> bool:
        """Get another token if that can help: not twice, and not if the same one comes again."""
        token = refusal.token
        if self._renewed or token is None:
            return False
        self._renewed = True
        source = self._tokens()
        await source.invalidate(token)
        try:
            return (await source.token()).access != token.access
        except GrantRefused as error:
            if error.code != "same_token":
                raise
            refusal.remedy = error.hint  # what the server said tells more than this error
            refusal.hint = error.hint or refusal.hint
            return False

    def _offered(self, talk: Conversation, server: ServerAddress) -> list[str]:
        """The mechanisms that the server offers, but for those that it does not know all the same."""
        names = [name.upper() for name in talk.core.extensions.mechanisms]
        return [name for name in names if (server, name) not in self._habits.unknown]

    def _skipped(self, talk: Conversation) -> bool:
        """A certificate proves its holder within TLS; EXTERNAL is only for servers that want it said."""
        kind = self._smarthost.authentication
        return kind == "none" or (kind == "certificate" and "EXTERNAL" not in talk.core.extensions.mechanisms)

    def _refuse_strangers(self, talk: Conversation, server: ServerAddress) -> None:
        """The last gate in front of every credential: this account's servers, under their own names."""
        tls = talk.stream.tls
        verified = self._smarthost.tls == "none-loopback" if tls is None else tls.name == server.host
        if server not in self._smarthost.servers or not verified:
            raise LocalProtocolError(f"{server} is not verified to be a server of {self._account}.")

    async def _credential(self, server: ServerAddress) -> tuple[Credential, Token | None]:
        name = self._smarthost.username
        if self._smarthost.authentication == "oauth":
            token = await self._tokens().token()
            return BearerCredential(name, token.access, server.host, server.port), token
        if self._smarthost.authentication == "password":
            password = await read_secret("password", cast(SecretSource, self._source))
            return PasswordCredential(name, password), None
        return ExternalCredential(), None

    async def _remember(self, credential: Credential, error: LoginRefused | ServerRefused) -> None:
        """A refused password is not tried again: a few times more would lock the mailbox."""
        refused = getattr(self._source, "refused", None)  # a source of another package need not care
        if refused is None or not isinstance(credential, PasswordCredential):
            return
        verdict = judge(error, Phase.AUTH, self._smarthost.rules)
        if (
            isinstance(error, LoginRefused) and verdict.who is Who.MAILBOX_USER
        ):  # not where SMTP is switched off
            await refused(credential.password)

    def _tokens(self) -> TokenSource:
        return cast(TokenSource, self._source)

    def _refused(
        self,
        server: ServerAddress,
        exchange: ClientExchange,
        reply: Reply,
        token: Token | None,
        *,
        at_once: bool,
        others: bool,
    ) -> LoginRefused | ServerRefused:
        error = refusal(
            reply,
            exchange,
            peer=str(server),
            username=self._smarthost.username,
            account=self._account,
            rules=self._smarthost.rules,
            token=token,
            at_once=at_once,
            others=others,
        )
        if isinstance(error, RetryAuthentication):
            if error.other_mechanism:
                self._habits.unknown.add((server, exchange.mechanism))
            else:
                self._habits.two_steps.add(server)
        return error


async def converse(talk: Conversation, exchange: ClientExchange, *, at_once: bool) -> Reply:
    """Carry out a SASL exchange (RFC 4954 4) and return its last reply, without what it repeats of ours.

    With `at_once` the initial response goes with AUTH. An error leaves without the values of the
    variables on its way: crash reporters show them, and here they are credentials.
    """
    try:
        return await _converse(talk, exchange, at_once=at_once)
    except BaseException as error:
        clear_frames(error.__traceback__)
        raise


async def _converse(talk: Conversation, exchange: ClientExchange, *, at_once: bool) -> Reply:
    talk.redactor = exchange.redactor
    steps = dialogue(exchange, talk.peer, at_once=at_once)
    command = next(steps)
    try:
        while True:
            command = steps.send(await talk.ask(command))
    except StopIteration as end:
        reply: Reply = end.value
    except (NetworkError, RemoteProtocolError) as error:
        reply = _said_otherwise(error, exchange)
    if reply.intermediate and exchange.failure is not None:  # in its last word it may repeat the token
        reply = Reply(reply.code, (exchange.failure.text.encode(),))
    return reply


def _said_otherwise(error: NetworkError | RemoteProtocolError, exchange: ClientExchange) -> Reply:
    """The refusal of a server that broke off, or spoke HTTP; else the error is raised.

    Whoever hangs up behind the challenge that refuses a token has refused it, and so has a gateway that
    answers AUTH by ``HTTP/1.1 401 Unauthorized``.
    """
    http = re.match(r"HTTP/[0-9.]{1,3} (401)\b *(.{0,100})", getattr(error, "said", ""))
    if http:
        return Reply(int(http[1]), (http[2].encode(),))
    if exchange.failure is None:
        raise error
    return Reply(334, (exchange.failure.text.encode(),))
