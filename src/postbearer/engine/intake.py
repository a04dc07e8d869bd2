"""Taking a message: may it come in, where does it go; then one synced transaction, then the id.

The same for every way in. Replies of ours are refusals; whoever called says them to the client.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct

from postbearer.account import Account
from postbearer.clock import Clock
from postbearer.engine.conversion import mended_size
from postbearer.engine.fastpath import NoReservations, Reservations, Starter
from postbearer.engine.queue_id import new_id
from postbearer.engine.recipients import RecipientRules
from postbearer.engine.refusals import NO_ROOM, refusal_of, refuse, refuse_for, too_large
from postbearer.engine.route import Route, Router, lane_for
from postbearer.engine.submitter import Submitter
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import AlreadyAccepted, KeyReused, StoreError, UsageError
from postbearer.events import Accepted, Observer
from postbearer.message import Header, HeaderReader, ParsedHeader, Scanner, authors, claimed
from postbearer.reply import Reply
from postbearer.store import IdempotencyKey, Incoming, Message, NewDelivery, Priority, Spool, Staging
from postbearer.tags import Tags
from postbearer.trace_context import parse

LONGEST_PATH = 50  # Received fields, RFC 5321 6.3
OWN_PATH = 3  # of them ours
LONGEST_HOLD = 30 * 86_400  # seconds until the time at which a message is to leave

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.\[\]:-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """Sizes are in octets, times in seconds. `postmaster` is an address; empty: the account's own."""

    hostname: str
    postmaster: str = ""
    size: int = 36 * 1024 * 1024
    expire_after: float = 5 * 86_400.0
    traced: bool = False  # whether somebody wants to know to which trace a message belongs
    recipients: RecipientRules | None = None  # None: each message goes to whom it is for, and to nobody else


class Submission(Struct, frozen=True, kw_only=True):
    """What is known before the content comes. `peer` is an address, `protocol` as in RFC 3848.

    `checked`: content with a NUL, or with a CR or LF that is not a CRLF, will not come to its end.
    `send_at` is when it is to leave (Unix seconds); what is past is now. `id`: it was told already
    that it has this one.
    """

    client: Submitter
    envelope: Envelope
    peer: str = ""
    helo: str = ""
    protocol: str = "ESMTP"
    size: int | None = None  # declared
    checked: bool = False
    send_at: float | None = None
    tags: Tags = ()
    id: str = ""


class Intake:
    """The one door to the spool."""

    def __init__(
        self,
        spool: Spool,
        router: Router,
        accounts: Mapping[str, Account],
        *,
        clock: Clock,
        observer: Observer,
        settings: IntakeSettings,
        starter: Starter | None = None,
    ) -> None:
        self.spool = spool
        self.router = router
        self.accounts = accounts
        self.clock = clock
        self.observer = observer
        self.settings = settings
        self.starter = starter or NoReservations()

    def replace(self, router: Router, accounts: Mapping[str, Account], settings: IntakeSettings) -> None:
        """Go by another configuration from the next message on."""
        self.router, self.accounts, self.settings = router, accounts, settings

    @property
    def banner(self) -> str:
        """What a client is told first of the relay, beside its name."""
        return "staging: mail does not reach everybody" if self.staging else ""

    @property
    def staging(self) -> str:
        """Where mail goes in staging mode, for people; empty where it reaches everybody."""
        return self.settings.recipients.notice if self.settings.recipients else ""

    def size_for(self, client: Submitter) -> int:
        """Octets one message of `client` may have."""
        return min(self.settings.size, client.size or self.settings.size)

    def refuse_sender(self, client: Submitter, reverse_path: str) -> Reply | None:
        """Why `client` may not use this reverse-path; None: it may. The null one is everybody's."""
        if not reverse_path or client.may_send_as(reverse_path):
            return None
        return refuse(550, "5.7.1", f"{client.name} may not send as {reverse_path}")

    def forward_path(self, client: Submitter, reverse_path: str, path: str) -> str:
        """The address that RCPT names; ``Postmaster`` is who looks after this relay (RFC 5321 4.5.1)."""
        if path.lower() != "postmaster":
            return path
        own = f"{path}@{self.settings.hostname}"
        if self.settings.recipients and self.settings.recipients.aliases.expand(own) is not None:
            return own
        account = self.accounts.get(self.router.choose(client, reverse_path, path).account)
        return self.settings.postmaster or (account.address if account else path)

    def refuse_recipient(self, client: Submitter, reverse_path: str, recipient: str) -> Reply | None:
        """Why nothing can be sent to this recipient; None: it can."""
        rules = self.settings.recipients
        addresses = (recipient,) if rules is None else rules.resolve(recipient)
        if not addresses:
            return refuse(
                550, "5.1.1", f"{recipient} is an alias that stands for nobody: add an address to it"
            )
        for address in addresses:
            route = self.router.choose(client, reverse_path, address)
            account = self.accounts.get(route.account)
            if account is None:
                return self.without_account()
            if reverse_path and account.sender.rule != "force" and not account.sender.permits(reverse_path):
                return refuse(550, "5.7.1", f"Mail may not leave {account.name} as {reverse_path}")
        return None

    def without_account(self) -> Reply:
        """The refusal of what no account carries: only for now, while there is none at all."""
        code, enhanced = (550, "5.7.1") if self.accounts else (451, "4.3.5")
        return refuse(code, enhanced, "No account is set up that this could leave from")

    def refuse_time(self, send_at: float) -> Reply | None:
        """Why nothing is kept until then; None: it is."""
        if send_at <= self.clock.now() + LONGEST_HOLD:
            return None
        return refuse(501, "5.5.4", f"A message is held for {LONGEST_HOLD // 86_400} days at most")

    async def has_room(self, size: int) -> bool:
        """Whether a message of `size` octets could be taken now."""
        try:
            return await self.spool.room(size)
        except StoreError:
            return False

    async def begin(self, submission: Submission) -> MessageIntake | Reply:
        """Make ready for the content, if there is room for it."""
        limit = self.size_for(submission.client)
        if submission.size is not None and submission.size > limit:
            return too_large(limit)
        if submission.send_at is not None and (refusal := self.refuse_time(submission.send_at)):
            return refusal
        if self.settings.recipients is not None:
            envelope = self.settings.recipients.apply(submission.envelope)
            submission = msgspec.structs.replace(submission, envelope=envelope)
        try:
            if not await self.spool.room(submission.size or 0):
                return NO_ROOM
            identifier = submission.id or new_id(self.clock.now())
            return MessageIntake(self, submission, identifier, self.spool.stage(identifier), limit)
        except StoreError as error:
            return refusal_of(error)

    async def store(self, batch: Sequence[tuple[MessageIntake, IdempotencyKey | None]]) -> Reply | None:
        """Make messages durable that are prepared, all or none of them; why not, and then nothing is kept.

        Raises `AlreadyAccepted` for a key that is known.
        """
        places = Reservations(self.starter)
        try:
            claimed = await self.spool.accept_all([each.incoming(places, key) for each, key in batch])
        except BaseException as error:
            places.give_back()
            if isinstance(error, StoreError | KeyReused) and not isinstance(error, AlreadyAccepted):
                return refusal_of(error)
            raise
        places.begin(claimed)
        for each, _ in batch:
            each.tell()
        return None


_Groups = dict[tuple[str, Priority], list[tuple[Recipient, Route]]]  # recipients by account and lane


class _Plan(NamedTuple):
    """A message as it is to be stored, and its recipients."""

    message: Message
    groups: _Groups
    account: str  # by which all of it leaves; empty if that is several


class MessageIntake:
    """One message on its way in. `write` until all is there, then `finish`, or `examine`; or `abort`.

    Then `lanes` tells by which account, and how urgently, each recipient goes, `send_at` when it leaves at
    the earliest, if that is later, and `repeated` whether it was known by its idempotency key.
    """

    def __init__(
        self, intake: Intake, submission: Submission, identifier: str, staging: Staging, limit: int
    ) -> None:
        """`limit`: octets that it may have."""
        self.id = identifier
        self.lanes: dict[str, tuple[str, Priority]] = {}
        self.send_at: float | None = None
        self.repeated = False
        self._intake = intake
        self._submission = submission
        self._staging = staging
        self._limit = limit
        self._scanner = Scanner(checked=submission.checked)
        self._reader = HeaderReader()
        self._refusal: Reply | None = None  # found while the content still comes
        self._plan: _Plan | None = None
        self._began = 0.0

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those that get it: not each that was named need be among them."""
        return self._submission.envelope.addresses

    async def write(self, data: bytes) -> None:
        """Take the next octets. What is wrong with them is said by `finish`."""
        if self._refusal is not None:
            return
        if self._staging.size + len(data) > self._limit:
            self._refusal = too_large(self._limit)
        self._reader.feed(data)
        if self._reader.fault:
            self._refusal = refuse(554, "5.6.0", self._reader.fault)
        if self._refusal is None:
            self._scanner.feed(data)
            try:
                await self._staging.write(data)
            except StoreError as error:
                self._refusal = refusal_of(error)
        if self._refusal is not None:
            await self.abort()

    async def finish(self, key: IdempotencyKey | None = None) -> str | Reply:
        """Make it durable. The id; or why not, and then nothing is kept: but for the 451 of a commit whose
        fate is not known, which may turn out to be kept after all. Under a `key` that is known, the id that
        was told first.
        """
        refusal = await self.prepare()
        if refusal is None:
            try:
                refusal = await self._intake.store([(self, key)])
            except AlreadyAccepted as known:
                self.repeated = True
                await self.abort()
                return known.id
        if refusal is not None:
            await self.abort()
            return refusal
        return self.id

    async def prepare(self) -> Reply | None:
        """Why it is not taken; None: it is fit to be stored."""
        self._began = self._intake.clock.monotonic()
        if self._refusal is None:
            try:
                self._refusal = await self._planned()
            except StoreError as error:
                self._refusal = refusal_of(error)
        return self._refusal

    def incoming(self, places: Reservations, key: IdempotencyKey | None) -> Incoming:
        """What was prepared, as the spool takes it. What may begin at once has a place among `places`."""
        assert self._plan is not None, "it was prepared"
        deliveries: list[NewDelivery] = []
        for lane, routed in self._plan.groups.items():
            deliveries += self._deliveries(places, lane, routed)
        return Incoming(
            message=self._plan.message, content=self._staging, deliveries=tuple(deliveries), key=key
        )

    def tell(self) -> None:
        """It is accepted."""
        assert self._plan is not None, "it was prepared"
        message = self._plan.message
        self._intake.observer.notice(
            Accepted(
                self._plan.account,
                id=self.id,
                client=message.client,
                size=message.size,
                recipients=len(message.envelope.recipients),
                message_id=message.message_id,
                seconds=self._intake.clock.monotonic() - self._began,
                traceparent=message.envelope.traceparent,
                tracestate=message.envelope.tracestate,
            )
        )

    async def examine(self) -> Reply | None:
        """Why it would not be taken; None: it would. Nothing is kept in either case."""
        try:
            return await self.prepare()
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Forget what came so far."""
        with suppress(StoreError):
            await self._staging.discard()

    async def _planned(self) -> Reply | None:
        """Settle what is to be stored of the message, and where its recipients go; or why it is not taken."""
        self._reader.finish()
        if self._reader.fault:
            return refuse(554, "5.6.0", self._reader.fault)
        parsed = ParsedHeader.of(self._reader)
        header = parsed.header
        if refusal := self._refuse_circle(header):
            return refusal
        groups = self._routed(header)
        accounts = {account for account, _ in groups}
        try:
            size = await mended_size(
                self._staging, self._scanner.finish(), eight_bit=all(map(self._takes_eight_bit, accounts))
            )
        except UsageError as error:
            return refuse(554, error.status, error.message)
        for account in accounts:
            if refusal := self._refuse_for(account, parsed, size):
                return refusal
        if refusal := self._refuse_author(header, accounts):
            return refusal
        account = accounts.pop() if len(accounts) == 1 else ""
        self._plan = _Plan(self._message(parsed, groups), groups, account)
        return None

    def _takes_eight_bit(self, name: str) -> bool:
        """Whether 8-bit content may leave by this account, as far as is known without its server."""
        account = self._intake.accounts.get(name)
        return account is None or account.outgoing.eight_bit

    def _refuse_circle(self, header: Header) -> Reply | None:
        if not (received := header.all("received")):
            return None
        ours = sum(f" by {self._intake.settings.hostname} (postbearer)" in field.value for field in received)
        if len(received) > LONGEST_PATH or ours >= OWN_PATH:
            return refuse(554, "5.4.6", "The message goes in circles: it has too many Received fields")
        return None

    def _refuse_author(self, header: Header, accounts: Collection[str]) -> Reply | None:
        """Why the client may not send under the names in `header`."""
        client = self._submission.client
        if client.may_send_as_anyone:
            return None
        rules = [self._intake.accounts[account].sender for account in accounts]
        try:
            if all(rule.rule == "force" for rule in rules):
                found = claimed(header)
            else:
                found = authors(header, as_is=not all(rule.reads_authors for rule in rules))
        except UsageError as error:
            return refuse(550, "5.6.0", str(error))
        stranger = next((each for each in found if not client.may_send_as(each)), None)
        return refuse(550, "5.7.1", f"{client.name} may not send as {stranger}") if stranger else None

    def _routed(self, header: Header) -> _Groups:
        """The recipients by account and lane."""
        client, envelope = self._submission.client, self._submission.envelope
        groups: _Groups = defaultdict(list)
        for recipient in envelope.recipients:
            route = self._intake.router.choose(client, envelope.reverse_path, recipient.address, header)
            lane = route.account, lane_for(route, client, envelope.priority)
            groups[lane].append((recipient, route))
            self.lanes[recipient.address] = lane
        return dict(groups)

    def _refuse_for(self, name: str, parsed: ParsedHeader, size: int) -> Reply | None:
        """Why this account cannot carry the message, which has `size` octets as it leaves."""
        account = self._intake.accounts.get(name)
        if account is None:
            return self._intake.without_account()
        return refuse_for(account, self._submission.envelope.reverse_path, parsed, size)

    def _traced(self, header: Header) -> Envelope:
        """The envelope, with the trace that fields of the header name."""
        envelope = self._submission.envelope
        if not self._intake.settings.traced:
            return envelope
        found = ([field.value for field in header.all(name)] for name in ("traceparent", "tracestate"))
        return envelope.within(parse(*found))

    def _deliveries(
        self, places: Reservations, lane: tuple[str, Priority], routed: Sequence[tuple[Recipient, Route]]
    ) -> list[NewDelivery]:
        (account, priority), client = lane, self._submission.client.name
        recipients = tuple([recipient for recipient, _ in routed])
        rules = self._intake.settings.recipients
        held = () if rules is None else rules.strangers(recipients)
        known = self._intake.accounts.get(account)  # it may have left the configuration meanwhile
        most = (known and known.limits.recipients_per_message) or len(recipients)
        return [
            NewDelivery(
                account=account,
                recipients=part[start : start + most],
                priority=priority,
                client=client,
                due=self._intake.clock.now() if self.send_at is None else self.send_at,
                held=part is held,
                at_once=self.send_at is None and part is not held and places.take(account, priority),
            )
            for part in ((recipients,) if not held else (_without(recipients, held), held))
            for start in range(0, len(part), most)
        ]

    def _message(self, parsed: ParsedHeader, groups: _Groups) -> Message:
        now, traits, header = self._intake.clock.now(), self._scanner.finish(), parsed.header
        asked = self._submission.send_at
        self.send_at = asked if asked is not None and asked > now else None
        lives = [
            route.expire_after
            for routed in groups.values()
            for _, route in routed
            if route.expire_after is not None
        ]
        return Message(
            id=self.id,
            accepted=now,
            client=self._submission.client.name,
            envelope=self._traced(header),
            received=received(self._submission, self._intake.settings.hostname, self.id, now),
            size=self._staging.size,
            sha256=self._staging.sha256,
            eight_bit=traits.eight_bit,
            binary=traits.binary,
            expires=(self.send_at or now) + min(lives, default=self._intake.settings.expire_after),
            message_id=_brief(header.get("message-id")),
            author=_brief(header.get("from")),
            subject=_brief(header.get("subject")),
            send_at=self.send_at,
            tags=self._submission.tags,
            header=parsed,
        )


def _without(recipients: Sequence[Recipient], others: Collection[Recipient]) -> tuple[Recipient, ...]:
    return tuple([each for each in recipients if each not in others])


def received(submission: Submission, hostname: str, identifier: str, now: float) -> str:
    """The value of our Received field (RFC 5321 4.4); what the client said of itself is made harmless."""
    helo = _NOT_IN_A_NAME.sub("", submission.helo)
    literal = f"[{'IPv6:' if ':' in submission.peer else ''}{submission.peer}]" if submission.peer else ""
    peer = f" ([{submission.peer}])" if submission.peer else ""
    return (
        f"from {helo[:255] or literal or 'localhost'}{peer} by {hostname} (postbearer)"
        f" with {submission.protocol} id {identifier}; {_date(int(now))}"
    )


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second)


def _brief(value: str | None) -> str:
    """A header value for search: one line, not too long."""
    if not value or value.isprintable():
        return (value or "")[:998]
    return "".join(char if char.isprintable() else " " for char in value)[:998]
