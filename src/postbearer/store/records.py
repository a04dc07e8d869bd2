"""What the spool keeps, as values. Times are wall clock, Unix seconds; sizes are octets.

What is leased, paced and attempted is a *delivery*: one message, one account, at most as many
recipients as one transaction carries. Outcomes are kept per *recipient*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.outcome import RecipientFate
from postbearer.outcome import Status as Status
from postbearer.reply import TEXT, cut
from postbearer.store.staging import Staging
from postbearer.tags import Tags

if TYPE_CHECKING:
    from postbearer.message import ParsedHeader

TEXTS = 64 * 1024  # characters of each kind of text that the end of an attempt keeps, as long as each …
TRANSCRIPT = 16 * 1024  # characters of what was said in one attempt
SHORTEST = 100  # … recipient has so many


class Priority(IntEnum):
    """Lanes, the most urgent first."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An accepted message without its content."""

    id: str  # made by us before the transaction; also in our Received line and in every log line
    accepted: float
    client: str  # who submitted it
    envelope: Envelope
    received: str  # value of our Received field, added at delivery
    size: int
    sha256: str  # hex, of the accepted octets
    eight_bit: bool = False
    binary: bool = False
    expires: float  # when to stop trying
    message_id: str = ""  # header fields, for search and for people
    author: str = ""
    subject: str = ""
    report_of: str = ""  # id of the message this one is a delivery report about: no report about a report
    send_at: float | None = None  # before that it does not leave
    tags: Tags = ()  # of its client's; in order
    # As it was read at the door, while the message is in memory since then; no store keeps it.
    header: ParsedHeader | None = field(default=None, repr=False, compare=False)

    @property
    def tried_from(self) -> float:
        """Since when it may leave: how late it is, and how long it is tried, counts from there."""
        return self.accepted if self.send_at is None else max(self.accepted, self.send_at)

    def waits_for_time(self, now: float) -> bool:
        """Whether the time at which it is to leave is still to come."""
        return self.send_at is not None and self.send_at > now


KEYS_KEPT = 86_400.0  # seconds that an idempotency key is known at least, and as long as its message is


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A client's word that what it submits under `key` is one message, however often it comes.

    `digest` tells whether it is the same again: it is made of what the client sent, since the message that
    is built of it has a new Date and Message-ID each time.
    """

    client: str
    key: str
    digest: str


LaneKey = tuple[str, Priority, str]  # account, priority, client


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery to be made: which recipients go through which account, in which lane, from when on."""

    account: str
    recipients: tuple[Recipient, ...]
    priority: Priority = Priority.NORMAL
    client: str = ""  # the other half of the lane: clients take turns
    due: float = 0.0
    held: bool = False  # until a person releases it
    at_once: bool = False  # its first attempt begins now, so it is leased in the commit that makes it

    @property
    def lane(self) -> LaneKey:
        """Where it waits."""
        return self.account, self.priority, self.client


class Incoming(Struct, frozen=True, kw_only=True):
    """A message that is to be accepted: its content, its deliveries, and the key it comes again under."""

    message: Message
    content: Staging
    deliveries: tuple[NewDelivery, ...]
    key: IdempotencyKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A queue within the queue, and when its first delivery is due."""

    account: str
    priority: Priority
    client: str
    due: float
    timed: bool = False  # what is first waits for a time that its client named
    waiting: int = 0  # open deliveries in it, if counted

    @property
    def key(self) -> LaneKey:
        return self.account, self.priority, self.client


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One recipient row of a claimed delivery."""

    row: int
    recipient: Recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery leased to us, its attempt open since the same commit."""

    delivery: int
    lease: int  # every later write carries it; when it has changed, the work is not ours any more
    attempt: int  # counts from 1, over all attempts of this delivery
    account: str
    priority: Priority
    client: str
    message: Message
    targets: tuple[Target, ...]  # the recipients still open
    warned: bool = False  # the sender was told about the delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A delivery report (RFC 3464) that comes into being together with the marks it reports."""

    message: Message
    content: Staging
    delivery: NewDelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The end of an attempt. One transaction: attempt, recipients, due time, reports.

    `results` are of all `Claimed.targets`, in their order; none: those stay as they are.
    """

    results: tuple[RecipientFate, ...]
    ended: float
    due: float | None = None  # for the recipients that stay open
    unknown: bool = False  # the content may have arrived: a copy is possible (window DUP-REPLY)
    server: str = ""
    queue_id: str = ""  # the provider's
    error: str = ""
    transcript: str = ""  # what was said to the server and by it, without secrets
    reports: tuple[Report, ...] = ()
    warned: bool = False
    account: str = ""  # move what stays open to this account (fallback, overflow)
    counted: bool = True  # False: nothing was tried (no token, account paused); the attempt does not count

    def __post_init__(self) -> None:
        """What others said takes no more room than this, whoever writes it down and for however many."""
        each = min(TEXT, max(SHORTEST, TEXTS // max(1, len(self.results))))
        object.__setattr__(self, "results", tuple([result.cut(each) for result in self.results]))
        if max(len(self.server), len(self.queue_id), len(self.error)) > TEXT:
            for name in ("server", "queue_id", "error"):
                object.__setattr__(self, name, cut(getattr(self, name), TEXT))
        if len(self.transcript) > TRANSCRIPT:
            object.__setattr__(self, "transcript", cut(self.transcript, TRANSCRIPT))


BY_HAND = "Paused by hand."  # the reason of a pause that a person made
PausedBy = Literal["operator", "limit", "relay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why an account does not send, since when, and when it is probed again (None: by a person only).

    `passes`: a limit of the provider's was reached, so that it goes on by itself.
    """

    account: str
    since: float
    reason: str
    remedy: str = ""
    probe: float | None = None
    probes: int = 0
    passes: bool = False

    def __post_init__(self) -> None:
        for name in ("reason", "remedy"):
            object.__setattr__(self, name, cut(getattr(self, name), TEXT))

    @property
    def by(self) -> PausedBy:
        """Who stopped it: a person, a limit of the provider's, or the relay for what somebody has to mend."""
        return "operator" if self.reason == BY_HAND else "limit" if self.passes else "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, for people. `delivery` is the same as of the recipients that it was for."""

    number: int
    delivery: int
    began: float
    ended: float | None = None
    server: str = ""
    queue_id: str = ""
    error: str = ""
    unknown: bool = False
    transcript: str = ""  # what was said, unless all went well


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recipient, for people."""

    address: str
    status: Status
    account: str
    priority: Priority
    due: float | None
    attempts: int
    delivery: int
    reply: str = ""
    cause: str = ""
    remedy: str = ""
    unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientPage:
    """Some recipients of a message: `most` of them, behind the place that an `Entry` told, in one state."""

    most: int
    after: str = ""
    status: Status | None = None

    def gone(self) -> UsageError:
        """What to raise when there is no such place."""
        return UsageError(f"There is no recipient {self.after!r:.60} to go on behind.", hint="Begin anew.")


# Recipients in one of these states are few in most messages, and found by an index in SQLite.
SET_ASIDE = (Status.DEFERRED, Status.HELD, Status.FAILED, Status.EXPIRED, Status.CANCELLED)
ATTEMPTS = 100  # of a page's recipients that are told, the last ones
LONG_ENVELOPE = 256 * 1024  # octets: a longer one is not read for a page
LISTED = 10  # recipients of each message that a list tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message with all that is known about it, or with a page of its recipients.

    Of a page, `attempts` are those for its recipients, and `cursor` is what to ask on behind; empty: there
    are no more, or it stands in a list. The envelope of one that is long is not `whole`: it names the
    recipients of the page only.
    """

    message: Message
    rows: tuple[Row, ...]
    attempts: tuple[Attempt, ...] = ()
    counted: Mapping[Status, int] | None = None  # of all recipients, by state; None: `rows` are all
    cursor: str = ""
    whole: bool = True

    @property
    def counts(self) -> Mapping[Status, int]:
        """Of all recipients, by state."""
        return Counter(row.status for row in self.rows) if self.counted is None else self.counted


def first_of(rows: Sequence[Row], statuses: Collection[Status]) -> tuple[Row, ...]:
    """Those that a list tells, in their order; those in one of the `statuses` before others."""
    places = sorted(range(len(rows)), key=lambda place: rows[place].status not in statuses)
    return tuple([rows[place] for place in sorted(places[:LISTED])])


FOLDED = ("address", "sender", "recipient", "subject", "reply", "message_id")  # of `Query`


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for. Empty fields ask for nothing.

    What stands in `FOLDED` matches anywhere, without case; the names of things match whole.
    """

    id: str = ""
    id_prefix: str = ""  # what the id begins with
    account: str = ""
    client: str = ""
    statuses: tuple[Status, ...] = ()
    address: str = ""  # sender, author or recipient
    sender: str = ""  # sender or author
    recipient: str = ""
    subject: str = ""
    reply: str = ""  # what was said last about a recipient, or the cause of that
    message_id: str = ""
    tags: Tags = ()  # all of them
    report_of: str = ""  # id of the message that it is a report about
    older_than: float | None = None  # accepted before
    newer_than: float | None = None
    limit: int = 100
    after: str = ""  # id to go on behind

    def asked(self) -> dict[str, Any]:
        """What is looked for, by name, without how much and behind what; texts that match anywhere folded."""
        wanted = {name: getattr(self, name) for name in self.__slots__ if name not in ("limit", "after")}
        wanted |= {name: wanted[name].casefold() for name in FOLDED}
        return {name: value for name, value in wanted.items() if value not in ("", None, ())}

    def gone(self) -> UsageError:
        """What to raise when there is no message to go on behind."""
        return UsageError(f"There is no message {self.after} to go on behind.", hint="Begin anew.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a spool found when it was opened."""

    clean: bool  # the last run ended properly, and those before that nobody was told of
    unknown: int = 0  # leased, attempt open: deferred, and a copy is possible (window DUP-MARK)
    orphans: int = 0  # contents nobody names, removed
    doubtful: tuple[str, ...] = ()  # ids of the messages behind `unknown`
    restored: bool = False  # it is an older copy of what was here (window DUP-RESTORE) …
    held: int = 0  # … so these messages wait for a person
    ahead: bool = False  # … or will, once the relay starts
    newest: float = 0.0  # the latest time that was written; a clock behind it was set back

    @property
    def what_is_held(self) -> str:
        """In words, of a queue that was restored."""
        return (
            "The queue is an older copy of what was here, or was moved here. What waits in it may be "
            f"delivered already (DUP-RESTORE), so {self.held} messages {'will be' if self.ahead else 'are'} "
            f"held{' when the relay starts' if self.ahead else ''}. Look at them by `postbearer queue list "
            "--state held`, and release or cancel them."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many messages wait for an account, and since when the oldest of them might have left."""

    account: str
    messages: int
    oldest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts of recipients by status, and since when the oldest open message might have left."""

    counts: dict[Status, int] = field(default_factory=dict)
    oldest: float | None = None
    by_account: dict[str, dict[Status, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """How far a webhook is: all events up to `position` arrived, are not wanted, or wait to be sent again.

    Times are Unix seconds: when an event `arrived` last, since when nothing does (`failing`). `disabled`
    says why nothing is sent any more. So many events were `dropped` without having arrived.
    """

    name: str
    position: int
    arrived: float | None = None
    failing: float | None = None
    error: str = ""
    disabled: str = ""
    disabled_at: float | None = None
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is sent again at `due`, tried `tries` times since `since`; 0: it waits behind another."""

    number: int
    message: str
    since: float
    due: float
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A recipient came into a state. `number` grows with each; `at` is Unix seconds.

    `said` is the server's reply, or the cause where it sent none. `unknown`: the message may have arrived.
    """

    number: int
    at: float
    message: str
    client: str
    account: str
    recipient: str
    status: Status
    unknown: bool = False
    said: str = ""
    tags: Tags = ()  # of the message


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCount:
    """How many recipients came into each state in the span of time that `begins` then (Unix seconds).

    READY are those that were accepted.
    """

    begins: float
    counts: Mapping[Status, int]
