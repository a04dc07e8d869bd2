"""One open connection to one server: messages go through it one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from postbearer.clock import Clock
from postbearer.envelope import Envelope
from postbearer.errors import Disconnected, LocalProtocolError, PostbearerError, UsageError
from postbearer.events import Attempted, ConnectionClosed, Observer, hears
from postbearer.meaning import ImmediateAction
from postbearer.message import Content
from postbearer.outcome import Outcome
from postbearer.providers import Phase
from postbearer.transport.conversation import Conversation
from postbearer.transport.conversion import fitted
from postbearer.transport.outcomes import Refusal, Replies, refused, settle
from postbearer.transport.server_address import ServerAddress
from postbearer.transport.smarthost import Smarthost
from postbearer.transport.timeouts import Deadline
from postbearer.transport.transaction import transact
from postbearer.transport.transaction_plan import groups, make_plan
from postbearer.verdict import judge, judged
from postbearer.wire import ClientState, Mail, Quit, Rcpt, Rset


@dataclass(slots=True)
class Transmission:
    """A message on its way, and what is known of each recipient; it may need several connections."""

    envelope: Envelope
    content: Content
    outcomes: list[Outcome | None] = field(init=False)
    server: str = ""  # that last answered
    dsn: bool = False  # it takes wishes for delivery reports
    reconnected: bool = False  # a verdict asked for a new connection, which is granted once

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.envelope.recipients)

    @property
    def pending(self) -> list[int]:
        """The places of the recipients whose fate is open."""
        return [place for place, outcome in enumerate(self.outcomes) if outcome is None]

    def refuse_here(self, places: Iterable[int], error: UsageError) -> None:
        """What is not even offered."""
        verdict = judge(error)
        for place in places:
            self.outcomes[place] = judged(self.envelope.recipients[place].address, error, verdict=verdict)

    def refuse_pending(self, refusal: Refusal) -> None:
        """Whatever is still open shares the fate of the message."""
        for place in self.pending:
            self.outcomes[place] = refusal.outcome(self.envelope.recipients[place].address)


class StaleConnection(Disconnected):
    """This connection is of no more use, which says nothing about the message: open another."""


class ClientSession:
    """An authenticated connection, for one `Transmission` at a time; close it once `usable` is False."""

    def __init__(
        self,
        talk: Conversation,
        smarthost: Smarthost,
        server: ServerAddress,
        *,
        clock: Clock,
        observer: Observer,
        account: str,
    ) -> None:
        self.server = server
        self._name = str(server)
        self._talk = talk
        self._smarthost = smarthost
        self._clock = clock
        self._observer = observer
        self._account = account
        self._intact = True
        self._messages = 0
        self._warm = False
        self._used_at = clock.monotonic()

    @property
    def usable(self) -> bool:
        """True while the connection can carry another message, as far as one can tell without asking."""
        return self._intact and self._talk.stream.quiet and not self._over

    async def deliver(self, job: Transmission, deadline: Deadline) -> None:
        """Offer the message to every pending recipient, in as many transactions as that takes.

        What is settled is noted in `job`. Raises `NetworkError` or `RemoteProtocolError` when the
        connection broke; recipients then still pending were neither accepted nor refused, and may be
        offered elsewhere. Any other error comes from the content itself.
        """
        self._talk.deadline = deadline
        self._intact = False  # until the end is reached: also when this task is cancelled
        await self._offer(job)
        self._intact = True

    def spoil(self) -> None:
        """It carries nothing more, and is closed without a word."""
        self._intact = False

    async def close(self) -> None:
        """Say QUIT if there is anybody to say it to, and close. Never raises."""
        try:
            if self._intact and self._talk.stream.quiet:
                with suppress(PostbearerError):
                    self._talk.deadline = Deadline(self._clock, None)
                    await self._talk.ask(Quit())
        finally:  # also when this task is cancelled: at the end of the event loop
            await self._talk.stream.close()
            if hears(self._observer, ConnectionClosed):
                self._observer.notice(ConnectionClosed(self._account, self._name, self._messages))

    async def _reset(self) -> None:
        """Leave a transaction that did not end well (RFC 3030 2: RSET before anything else)."""
        reply = await self._talk.ask(Rset())
        if not reply.positive:  # it closes, or does not know where it stands: another connection does
            raise StaleConnection(f"{self.server} answered RSET with {reply.quoted}.", host=str(self.server))

    async def _offer(self, job: Transmission) -> None:
        stream, offered = self._talk.stream, self._talk.core.extensions
        job.server, job.dsn = self._name, offered.dsn
        try:
            envelope, content = await fitted(job.envelope, job.content, offered)
        except UsageError as error:
            if not error.status:  # the content itself failed
                raise
            job.refuse_here(job.pending, error)
            return
        plan = make_plan(envelope, content, offered, tls=stream.tls is not None)
        for place, refusal in plan.refused:
            job.refuse_here([place], refusal)
        if plan.refusal is not None:
            job.refuse_here(job.pending, plan.refusal)
            return
        most = self._smarthost.recipients_per_message
        while waiting := [(place, rcpt) for place, rcpt in plan.rcpts if job.outcomes[place] is None]:
            if self._over:
                raise StaleConnection(
                    f"{self.server} takes no more messages on this connection.", host=str(self.server)
                )
            if self._talk.core.state is not ClientState.READY:
                await self._reset()
            group = next(groups(waiting, offered, most))
            replies = await self._transact(job, content, plan.mail, group)
            if job.outcomes[group[-1][0]] is None:  # too many at a time: as many as went well
                most = replies.accepted

    async def _transact(
        self, job: Transmission, content: Content, mail: Mail, group: Sequence[tuple[int, Rcpt]]
    ) -> Replies:
        """One transaction for `group`, and what was answered."""
        warm, self._warm = self._warm, True
        began = self._clock.monotonic()
        hurry = began - self._used_at <= self._smarthost.limits.fresh
        self._messages += 1
        try:
            replies = await transact(self._talk, mail, [rcpt for _, rcpt in group], content, hurry=hurry)
        except LocalProtocolError as error:
            error.stage = "mail"  # this message is what SMTP cannot carry: no fault of the account's
            raise
        self._used_at = self._clock.monotonic()
        rules = self._smarthost.rules
        refusal = refused(replies, rules)
        if refusal is not None and refusal.phase is Phase.MAIL:
            self._ask_for_another(job, refusal, warm=warm)
        addresses = [job.envelope.recipients[place].address for place, _ in group]
        outcomes = settle(replies, addresses, refusal, rules)
        for (place, _), outcome in zip(group, outcomes, strict=True):
            job.outcomes[place] = outcome
        settled = tuple([outcome for outcome in outcomes if outcome is not None])
        if settled:
            self._observer.notice(Attempted(self._account, self._name, settled, self._used_at - began))
        if refusal is not None:
            job.refuse_pending(refusal)
        if replies.error is not None:
            raise replies.error
        return replies

    def _ask_for_another(self, job: Transmission, refusal: Refusal, *, warm: bool) -> None:
        """Raise `StaleConnection` if MAIL was refused for what this connection is, not for what was asked."""
        if refusal.reply.closing:
            again = warm  # it grew old; a new one that is turned away is another matter
        else:
            again = not job.reconnected and ImmediateAction.RECONNECT in refusal.verdict.first
            job.reconnected = job.reconnected or again
        if again:
            raise StaleConnection(
                f"{self.server} wants another connection: {refusal.reply.quoted}.", host=str(self.server)
            )

    @property
    def _over(self) -> bool:
        """True once the server will take no further message here: it said so, or its LIMITS do (RFC 9422)."""
        most = self._talk.core.extensions.limits.get("MAILMAX")
        closing = self._talk.core.state in (ClientState.CLOSING, ClientState.ERROR)
        return closing or (most is not None and self._messages >= most)
