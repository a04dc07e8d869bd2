"""The SMTP transport: one account's way to its mail provider."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace

from postbearer.clock import Clock, SystemClock
from postbearer.envelope import Envelope
from postbearer.errors import (
    CredentialRefused,
    MechanismMissing,
    NetworkError,
    PostbearerError,
    RemoteProtocolError,
    UsageError,
)
from postbearer.events import ConnectionReused, Observer, ServerFailed, Silent, TokenRefused, hears
from postbearer.message import Content
from postbearer.outcome import Receipt, State
from postbearer.state import ConnectionShare
from postbearer.transport.authentication import LoginRefused, RetryAuthentication
from postbearer.transport.capture import Capture
from postbearer.transport.connections import Connections
from postbearer.transport.conversation import Conversation
from postbearer.transport.login import Login, ServerQuirks, Source
from postbearer.transport.opening import Dial, Opener, dial
from postbearer.transport.outcomes import dealt_with
from postbearer.transport.pool import Pooled
from postbearer.transport.server_address import ServerAddress
from postbearer.transport.session import ClientSession, StaleConnection, Transmission
from postbearer.transport.smarthost import Smarthost
from postbearer.transport.timeouts import Deadline
from postbearer.verdict import advise, judge, judged

# What one server's failure leaves to the next one. A token that cannot be had is none of these.
NEXT_SERVER = (NetworkError, RemoteProtocolError, CredentialRefused, MechanismMissing)


class SmtpTransport:
    """Delivers messages through the servers of one smarthost, on as few connections as make sense.

    `source` is a `TokenSource` for OAuth, a `SecretSource` for a password, None otherwise. Safe to share
    between tasks of one event loop; after a fork, or in another loop, it starts anew.
    """

    def __init__(
        self,
        smarthost: Smarthost,
        source: Source | None = None,
        *,
        account: str = "",
        clock: Clock | None = None,
        observer: Observer | None = None,
        dial: Dial = dial,
        capture: Callable[[], Capture] | None = None,
        share: ConnectionShare | None = None,
    ) -> None:
        """`share`: of the connections that others have, too."""
        if (smarthost.authentication in ("oauth", "password")) != (source is not None):
            raise UsageError(f"authentication = {smarthost.authentication!r} does not go with this source.")
        self._smarthost = smarthost
        self._source = source
        self._account = account
        self._clock = clock or SystemClock()
        self._observer = observer or Silent()
        self._context: ssl.SSLContext | None = None
        self._habits = ServerQuirks()
        self._connections = Connections(smarthost.limits, self._clock, self._observer, share)
        self._opener = Opener(
            smarthost=smarthost,
            context=self._tls,
            clock=self._clock,
            observer=self._observer,
            account=account,
            dial=dial,
            capture=capture,
        )

    def __repr__(self) -> str:
        return (
            f"SmtpTransport({self._account!r}, servers={[str(server) for server in self._smarthost.servers]})"
        )

    async def deliver(self, envelope: Envelope, content: Content) -> Receipt:
        """Send one message; one outcome per recipient, refusals included.

        Never sends twice: once the content may have arrived, its recipients are ``unknown``. Raises
        `NetworkError`, `RemoteProtocolError` or `CredentialError` only when no server let us in, so that
        nothing was attempted; the cause of the last server that could not be reached goes before that of
        one that refused us. An error in reading `content` is raised as it is.
        """
        job = Transmission(envelope, content)
        try:
            await _Delivery(self._opener, self._connections, self._login, job).run()
        except PostbearerError as error:
            advise(error, self._smarthost.rules)
            raise
        outcomes = tuple([outcome for outcome in job.outcomes if outcome is not None])
        return Receipt(outcomes, server=job.server, dsn=job.dsn, works=dealt_with(outcomes))

    async def adopt(self, talk: Conversation, server: ServerAddress) -> None:
        """Take over a connection to `server` on which somebody has logged in: the next message goes by it."""
        entry = await self._connections.take()
        if entry is None:
            session = _session(self._opener, talk, server)
            entry = self._connections.opened(session, self._smarthost.servers.index(server), None)
        else:
            await talk.stream.close()  # there is one already
        self._connections.release(entry)

    async def close(self) -> None:
        """Close all idle connections; to be called when nothing is under way.

        A renewal of the token that is under way is waited for, for some seconds: a new refresh token would
        be lost with the event loop.
        """
        await self._connections.close()
        aclose = getattr(self._source, "aclose", None)  # sources of other packages need not have one
        if aclose is not None:
            await aclose()

    async def forgive(self) -> None:
        """A person wants a password tried again that was refused. Raises `TokenUnavailable`, `StoreError`."""
        forgive = getattr(self._source, "forgive", None)
        if forgive is not None:
            await forgive()

    def _login(self) -> Login:
        return Login(self._smarthost, self._source, self._observer, self._account, self._habits)

    def _tls(self) -> ssl.SSLContext:
        """Made once, and late: reading the system's authorities takes a while."""
        if self._context is None:
            self._context = self._smarthost.tls_context()
        return self._context


def _session(opener: Opener, talk: Conversation, server: ServerAddress) -> ClientSession:
    return ClientSession(
        talk, opener.smarthost, server, clock=opener.clock, observer=opener.observer, account=opener.account
    )


class _Delivery:
    """One message on its way through the servers, from the top of the list downward.

    It holds one place in the pool all the time: a connection, or the right to open one.
    """

    _deadline: Deadline

    def __init__(
        self, opener: Opener, connections: Connections, new_login: Callable[[], Login], job: Transmission
    ) -> None:
        self._opener = opener
        self._connections = connections
        self._new_login = new_login
        self._login: Login | None = None  # only a new connection needs one
        self._job = job
        self._rank = 0  # of the next server to try
        self._errors: list[PostbearerError] = []
        self._attempted = False
        self._may_open = False

    async def run(self) -> None:
        entry = await self._connections.take()
        self._deadline = Deadline(self._opener.clock, self._opener.smarthost.timeout)  # not while in line
        self._may_open = entry is None
        opener = self._opener
        if entry is not None and hears(opener.observer, ConnectionReused):
            opener.observer.notice(ConnectionReused(opener.account, str(entry.connection.server)))
        try:
            done = entry is not None and await self._use(entry, warm=True)
            while not done and self._job.pending:
                done = await self._use(await self._open(), warm=False)
        except NEXT_SERVER as error:
            if not self._attempted:
                raise
            self._defer(error)
        finally:
            if self._may_open:
                self._connections.failed()

    async def _use(self, entry: Pooled[ClientSession], *, warm: bool) -> bool:
        """Offer the message on this connection; False if the connection broke."""
        before = self._job.outcomes.count(None)
        try:
            await entry.connection.deliver(self._job, self._deadline)
        except (NetworkError, RemoteProtocolError) as error:
            if not self._connections.swap(entry):
                raise
            self._may_open = True
            self._attempted = self._attempted or not warm or self._job.outcomes.count(None) < before
            if warm or isinstance(error, StaleConnection):
                self._rank = 0  # a new connection starts at the top
            else:
                self._note(entry.connection.server, error)
            return False
        except BaseException:
            self._connections.release(entry)  # which closes it, as it was interrupted
            raise
        self._connections.release(entry)
        return True

    async def _open(self) -> Pooled[ClientSession]:
        """A new connection to the first server that lets us in.

        Raises the error of a server that could not be used, before that of one that refused us: as
        long as one may still take us, nobody needs to look after the account.
        """
        servers = self._opener.smarthost.servers
        await self._connections.room()
        while self._rank < len(servers):
            rank, self._rank = self._rank, self._rank + 1
            try:
                session, token_obtained = await self._open_on(servers[rank])
            except NEXT_SERVER as error:
                self._note(servers[rank], error)
                continue
            self._may_open = False
            return self._connections.opened(session, rank, token_obtained)
        unusable = [e for e in self._errors if not isinstance(e, CredentialRefused | MechanismMissing)]
        raise (unusable or self._errors)[0]

    async def _open_on(self, server: ServerAddress) -> tuple[ClientSession, float | None]:
        """A session with `server`; a token that is refused is renewed once, for a new connection."""
        opener = self._opener
        login = self._login = self._login or self._new_login()
        while True:
            try:
                talk, token_obtained = await opener.open(server, login, self._deadline)
            except RetryAuthentication:
                continue  # once for each form: the login knows better now
            except LoginRefused as refusal:
                if refusal.token is not None and refusal.reply is not None:
                    opener.observer.notice(TokenRefused(opener.account, str(server), refusal.reply))
                if not await login.renew(refusal):
                    raise
            else:
                return _session(opener, talk, server), token_obtained

    def _note(self, server: ServerAddress, error: PostbearerError) -> None:
        self._errors.append(error)
        self._opener.observer.notice(ServerFailed(self._opener.account, str(server), error))

    def _defer(self, error: PostbearerError) -> None:
        """What no server took and no server refused is to be tried again."""
        verdict = judge(error, rules=self._opener.smarthost.rules)
        for place in self._job.pending:
            address = self._job.envelope.recipients[place].address
            self._job.outcomes[place] = judged(address, error, verdict=replace(verdict, state=State.DEFERRED))
