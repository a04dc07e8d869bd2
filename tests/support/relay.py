"""A relay without sockets: a clock that waits for its test, scripted providers, a spool in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from postbearer.account import Account
from postbearer.engine import (
    AttemptSettings,
    Channel,
    Dispatcher,
    Intake,
    IntakeSettings,
    Reporter,
    RetryPolicy,
    Router,
    Submission,
    Submitter,
)
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import Disconnected, UsageError
from postbearer.events import Defect, Event
from postbearer.message import Content
from postbearer.outcome import Outcome, Receipt, State
from postbearer.providers import Phase
from postbearer.reply import Reply
from postbearer.settings import Limits
from postbearer.state import Ledger, MemoryLedger, MemoryState
from postbearer.store import Entry, MemorySpool, Pause, Query, Spool
from postbearer.testing import ManualClock
from postbearer.testing.replies import parse_reply
from postbearer.transport import Transport
from postbearer.transport.outcomes import dealt_with
from postbearer.verdict import judged

HOST = "relay.example.org"
RETRY = RetryPolicy()
APP = Submitter(name="app", senders=("*", "@example.org"))  # anybody, but these are its own


class WaitingClock(ManualClock):
    """Who sleeps wakes up when the test has let that much time pass, and not before."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        super().__init__(now)
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.monotonic() + seconds, future))
        await future

    def next_alarm(self) -> float | None:
        """Seconds until the first sleeper wakes up."""
        self._sleepers = [each for each in self._sleepers if not each[1].done()]
        return (
            min((at for at, _ in self._sleepers), default=self.monotonic()) - self.monotonic()
            if self._sleepers
            else None
        )

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        for at, future in self._sleepers:
            if at <= self.monotonic() + 1e-9 and not future.done():
                future.set_result(None)


Answer = str | Exception | Callable[[str], str]


@dataclass
class Sent:
    """One message as a provider saw it."""

    at: float
    envelope: Envelope
    content: bytes

    @property
    def to(self) -> tuple[str, ...]:
        return self.envelope.addresses


@dataclass
class Provider:
    """A transport whose answers are scripted: for the message (`answers`), or by recipient (`rcpt`).

    An answer is a reply, ``lost`` for a connection lost behind the content, ``ours`` for what was not even
    offered, or an error raised because nothing could be attempted. Without one: 250. `connecting` is how
    long it takes before the content leaves, `delay` how long afterwards.
    """

    clock: ManualClock
    rules: Any = None
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    rcpt: dict[str, str] = field(default_factory=dict)
    connecting: float = 0.0
    delay: float = 0.0
    dsn: bool = True
    sent: list[Sent] = field(default_factory=list)
    attempts: int = 0
    at_once: int = 0
    most_at_once: int = 0
    closed: int = 0

    async def deliver(self, envelope: Envelope, content: Content) -> Receipt:
        self.attempts += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.connecting:
                await self.clock.sleep(self.connecting)
            octets = b"".join(content.blocks())
            if self.delay:
                await self.clock.sleep(self.delay)
            answer = self.answers.pop(0) if self.answers else self.always
            if isinstance(answer, Exception):
                raise answer
            text = (
                answer(envelope.reverse_path) if callable(answer) else answer or "250 2.0.0 Ok: queued as Q1"
            )
            outcomes = tuple(self._outcome(each.address, text) for each in envelope.recipients)
            if text == "lost" or any(each.state is State.DELIVERED for each in outcomes):
                self.sent.append(Sent(self.clock.now(), envelope, octets))
            return Receipt(outcomes, server="mail.example.org:587", dsn=self.dsn, works=dealt_with(outcomes))
        finally:
            self.at_once -= 1

    async def forgive(self) -> None:
        """There is no password."""

    async def close(self) -> None:
        self.closed += 1

    def _outcome(self, address: str, text: str) -> Outcome:
        if text == "ours":
            return judged(address, UsageError("It is signed.", hint="Encode it.", status="5.6.3"))
        if text == "lost":
            return judged(address, Disconnected("The connection was lost."), Phase.EOD, self.rules)
        if address in self.rcpt:
            return judged(address, parse_reply(self.rcpt[address]), Phase.RCPT, self.rules)
        reply = parse_reply(text)
        if reply.positive:
            return Outcome(address, State.DELIVERED, reply, queue_id="Q1", phase=Phase.EOD)
        return judged(address, reply, Phase.EOD, self.rules)


def account(name: str = "alerts", provider: str = "microsoft", **options: Any) -> Account:
    """An account whose servers are never asked for anything."""
    from dataclasses import replace

    from postbearer.oauth import StaticToken
    from postbearer.providers import preset
    from postbearer.secret import Secret

    limits = options.pop("limits", None)
    largest = options.pop("largest", None)
    made = Account.of(
        preset(provider).in_cloud(),
        f"{name}@example.org",
        StaticToken(Secret("canary-token")),
        name=name,
        **({"servers": ["mail.example.org:587"]} | options),
    )
    known = made.limits  # how much it may send is unlimited, unless it is said
    carried = Limits(connections=known.connections, recipients_per_message=known.recipients_per_message)
    return replace(made, limits=(limits or Limits(size=largest)).or_else(carried))


@dataclass
class Relay:
    """Everything between accept and delivery."""

    spool: Spool
    clock: WaitingClock
    accounts: dict[str, Account]
    providers: dict[str, Provider]
    intake: Intake
    dispatcher: Dispatcher
    events: list[Event]
    sockets: bool = False  # real ones: what goes on there takes real time

    async def submit(
        self,
        *to: str | Recipient,
        sender: str = "app@example.org",
        client: Submitter = APP,
        content: bytes | None = None,
        send_at: float | None = None,
        **envelope: Any,
    ) -> str:
        recipients = tuple(Recipient(each) if isinstance(each, str) else each for each in to)
        made = Envelope(sender, recipients or (Recipient("anna@example.net"),), **envelope)
        intaking = await self.intake.begin(
            Submission(client=client, envelope=made, peer="127.0.0.1", helo="app", send_at=send_at)
        )
        assert not isinstance(intaking, Reply), str(intaking)
        text = f"From: {sender or 'x@example.org'}\r\nSubject: hi\r\n\r\nHello.\r\n"
        await intaking.write(content if content is not None else text.encode())
        answer = await intaking.finish()
        assert isinstance(answer, str), str(answer)
        return answer

    async def settle(self) -> None:
        """Let everybody run until nobody can go on without time passing."""
        quiet = 0
        for _ in range(2000):
            for _ in range(30):
                await asyncio.sleep(0)
            quiet = 0 if self.sockets and self.dispatcher.busy else quiet + 1
            if quiet == 2:
                return
            if not quiet:
                await asyncio.sleep(0.001)

    async def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass, stopping wherever somebody wakes up."""
        end = self.clock.monotonic() + seconds
        await self.settle()
        while (alarm := self.clock.next_alarm()) is not None and self.clock.monotonic() + alarm <= end:
            self.clock.advance(max(alarm, 0.0))
            await self.settle()
        self.clock.advance(max(0.0, end - self.clock.monotonic()))
        await self.settle()

    async def entry(self, message: str) -> Entry:
        found = await self.spool.show(message)
        assert found is not None
        return found

    async def statuses(self, message: str) -> list[str]:
        return [str(row.status) for row in (await self.entry(message)).rows]

    async def reports(self) -> list[Entry]:
        return [each for each in await self.spool.search(Query()) if each.message.report_of]

    def said(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Ears:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def notice(self, event: Event) -> None:
        self.events.append(event)

    @property
    def defects(self) -> list[Defect]:
        return [event for event in self.events if isinstance(event, Defect)]


def way_out(each: Account, clock: ManualClock, ears: Ears) -> Transport:
    """The real way out, with tokens kept in memory."""
    credential = each.credential(MemoryState(), clock=clock, observer=ears)
    return each.open_transport(credential, clock=clock, observer=ears)


def rules(retry: RetryPolicy = RETRY, bounces_to: str = "") -> AttemptSettings:
    return AttemptSettings(
        retry,
        Reporter(hostname=HOST, bounces_to=bounces_to, retry=retry, clients={APP.name: APP}),
        lambda: 0.5,
    )


@asynccontextmanager
async def relaying(
    *accounts: Account,
    retry: RetryPolicy = RETRY,
    bounces_to: str = "",
    router: Router | None = None,
    ledgers: dict[str, Ledger] | None = None,
    pauses: Sequence[Pause] = (),
    clock: WaitingClock | None = None,
    sockets: bool = False,
    spool: MemorySpool | None = None,
) -> AsyncIterator[Relay]:
    """A relay at work; the first account is the default one."""
    clock, ears = clock or WaitingClock(), Ears()
    spool = spool or MemorySpool(clock)
    await spool.open()
    for pause in pauses:
        await spool.pause(pause)
    named = {each.name: each for each in accounts or (account(),)}
    providers = {name: Provider(clock, each.rules) for name, each in named.items()}
    channels = {
        name: Channel(
            each,
            way_out(each, clock, ears) if sockets else providers[name],
            (ledgers or {}).get(name) or (MemoryLedger(clock) if each.limits.budgeted else None),
        )
        for name, each in named.items()
    }
    dispatcher = Dispatcher(spool, channels, clock=clock, observer=ears, rules=rules(retry, bounces_to))
    intake = Intake(
        spool,
        router or Router(default_account=next(iter(named))),
        named,
        clock=clock,
        observer=ears,
        settings=IntakeSettings(hostname=HOST),
        starter=dispatcher,
    )
    relay = Relay(spool, clock, named, providers, intake, dispatcher, ears.events, sockets)
    running = asyncio.create_task(dispatcher.run())
    try:
        yield relay
    finally:
        drained = asyncio.create_task(dispatcher.drain(1.0))
        await relay.pass_time(2.0)
        await drained
        await running


def most_in_any(window: float, times: Sequence[float]) -> int:
    """The most of `times` that lie within any `window` seconds."""
    return max((sum(1 for other in times if at <= other < at + window) for at in times), default=0)


def dated(at: float) -> str:
    return formatdate(at)
