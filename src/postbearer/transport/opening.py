"""From a configured server to a session: TCP or proxy, TLS, greeting, EHLO, login."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from postbearer.clock import Clock
from postbearer.errors import ServerRefused, TlsFailed
from postbearer.events import Connected, ConnectionClosed, Observer, TlsStarted, hears
from postbearer.redaction import Redactor
from postbearer.reply import Reply
from postbearer.transport.capture import Capture
from postbearer.transport.conversation import Conversation
from postbearer.transport.login import Login
from postbearer.transport.proxy import reach, tunnel
from postbearer.transport.server_address import ServerAddress
from postbearer.transport.smarthost import Smarthost
from postbearer.transport.stream import Stream, connect
from postbearer.transport.timeouts import Deadline
from postbearer.wire import Ehlo, StartTls

Dial = Callable[[Smarthost, ServerAddress, float], Awaitable[Stream]]


async def dial(smarthost: Smarthost, server: ServerAddress, timeout: float) -> Stream:
    """A plain connection to `server`, through the proxy if there is one. Raises `NetworkError`."""
    proxy = smarthost.proxy
    if proxy is None:
        loopback_only = smarthost.tls == "none-loopback"
        return await connect(server.host, server.port, timeout=timeout, loopback_only=loopback_only)
    stream = await reach(proxy, timeout)
    try:
        await tunnel(stream, proxy, server.host, server.port, timeout)
    except BaseException:
        await stream.close()
        raise
    return stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """Opens conversations with the servers of one smarthost, up to the login."""

    smarthost: Smarthost
    context: Callable[[], ssl.SSLContext]
    clock: Clock
    observer: Observer
    account: str
    dial: Dial = dial
    capture: Callable[[], Capture] | None = None

    async def open(
        self, server: ServerAddress, login: Login, deadline: Deadline
    ) -> tuple[Conversation, float | None]:
        """An authenticated conversation, and when its token was obtained.

        Nothing that proves who we are is sent before TLS stands and the certificate holds: there is no
        other order in which this function can run. Raises `NetworkError`, `CredentialError`,
        `RemoteProtocolError`.
        """
        talk = await self.reach(server, deadline, login.redactor)
        try:
            return talk, await login.run(talk, server)
        except BaseException:
            await talk.stream.close()
            self._gone(server)
            raise

    async def reach(
        self, server: ServerAddress, deadline: Deadline, redactor: Redactor | None = None
    ) -> Conversation:
        """A conversation behind TLS and EHLO, in which nobody has logged in.

        `redactor` hides what the server may still know from a login before.

        Raises `NetworkError` or `RemoteProtocolError`.
        """
        timeout = deadline.cut(self.smarthost.timeouts.connect, "conn", str(server))
        stream = await self.dial(self.smarthost, server, timeout)
        try:
            self.observer.notice(Connected(self.account, str(server)))
            timeouts, capture = self.smarthost.timeouts, self.capture and self.capture()
            talk = Conversation(stream, str(server), timeouts, deadline, capture, redactor=redactor)
            await self._greet(talk, server)
        except BaseException:
            await stream.close()
            self._gone(server)
            raise
        return talk

    def _gone(self, server: ServerAddress) -> None:
        if hears(self.observer, ConnectionClosed):
            self.observer.notice(ConnectionClosed(self.account, str(server)))

    async def _greet(self, talk: Conversation, server: ServerAddress) -> None:
        if self.smarthost.tls == "implicit":
            await self._start_tls(talk, server)
        greeting = await talk.greeting()
        if not greeting.positive:
            raise _turned_away(server, "conn", "the connection", greeting)
        await self._ehlo(talk, server)
        if self.smarthost.tls == "starttls":
            await self._upgrade(talk, server)
            await self._ehlo(talk, server)  # what was said in clear text counts for nothing (RFC 3207 4.2)

    async def _ehlo(self, talk: Conversation, server: ServerAddress) -> None:
        """There is no HELO for a server that refuses EHLO: it could neither do TLS nor AUTH."""
        reply = await talk.ask(Ehlo(self.smarthost.ehlo_name))
        if not reply.positive:
            raise _turned_away(server, "ehlo", "EHLO", reply)
        talk.core.extensions = talk.core.extensions.without(self.smarthost.unused)

    async def _upgrade(self, talk: Conversation, server: ServerAddress) -> None:
        if not talk.core.extensions.starttls:
            raise TlsFailed(
                f"{server} does not offer STARTTLS, and nothing is sent without TLS.",
                host=str(server),
                stage="tls",
                hint='On port 465 use tls = "implicit"; else something on the way may be removing it.',
                configuration=True,
            )
        reply = await talk.ask(StartTls())
        if not reply.positive:
            raise _turned_away(server, "tls", "STARTTLS", reply)
        await self._start_tls(talk, server)
        talk.core.tls_started()

    async def _start_tls(self, talk: Conversation, server: ServerAddress) -> None:
        timeout = talk.deadline.cut(self.smarthost.timeouts.tls, "tls", str(server))
        try:
            await talk.stream.start_tls(self.context(), server.host, timeout)
        except TlsFailed as error:
            if error.plain:
                error.hint = _NOT_TLS[self.smarthost.tls]
            raise
        tls = talk.stream.tls
        if tls is None or tls.name != server.host:
            raise TlsFailed(f"{server}: no TLS stands after its handshake.", host=str(server), stage="tls")
        self.observer.notice(TlsStarted(self.account, str(server), tls.version, tls.cipher))


_NOT_TLS = {  # what to do where plain text came instead, by how TLS was to begin
    "implicit": 'This port speaks plain SMTP first: use tls = "starttls", or port 465.',
    "starttls": "The server agreed to STARTTLS and then spoke plain text: look what is on the way.",
    "none-loopback": "",
}


def _turned_away(server: ServerAddress, stage: str, what: str, reply: Reply) -> ServerRefused:
    return ServerRefused(
        f"{server} refused {what}: {reply.quoted}.", host=str(server), stage=stage, reply=reply
    )
