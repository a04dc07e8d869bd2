"""What methods answer, as typed values: from these the JSON of the control socket and its schema are derived.

Points in time are Unix seconds. What is absent where it does not apply is `UNSET`.
"""

from __future__ import annotations

from typing import Any, Literal, Self, TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Encoder

from postbearer.diagnosis import Finding
from postbearer.engine import BudgetRemaining, BudgetUsed
from postbearer.moments import Time as Time
from postbearer.store import JobAction, PausedBy, Query, Status
from postbearer.tags import NamedTags, by_name

T = TypeVar("T")
Counts = dict[str, int]  # of recipients, by state

encode = Encoder(enc_hook=str).encode  # by `str`: what a finding holds beside its texts


class RecipientRow(Struct, frozen=True, kw_only=True):
    """One recipient of a queued message, and where it stands."""

    id: str  # the message's, and its place in the envelope; empty where there are too many to tell it
    address: str
    account: str
    priority: str
    due: Time | None
    attempts: int
    reply: str
    cause: str
    remedy: str
    unknown: bool  # it may have arrived: a copy is possible
    state: Status
    meaning: str
    waits: str = ""  # why it waits for its account, if it does …
    way_out: str = ""  # … and what ends that
    delivery: str = ""  # the same as of the attempts that were made for it


class AttemptRow(Struct, frozen=True, kw_only=True):
    """One try to deliver a message, or a part of its recipients: those of the same `delivery`."""

    number: int
    delivery: str
    began: Time
    ended: Time | None
    server: str
    queue_id: str  # the provider's
    error: str
    unknown: bool
    transcript: str  # what was said to the server and by it, without secrets; unless all went well


class MessageSummary(Struct, frozen=True, kw_only=True):
    """A queued message, as a list shows it.

    `recipients` are the first ones, and so many `others` there are. `counts` are of all of them, by state.
    """

    id: str
    accepted: Time
    age: float  # seconds
    expires: Time
    client: str
    sender: str
    size: int  # octets
    message_id: str
    author: str
    subject: str
    report_of: str
    send_at: Time | None  # before which it does not leave
    tags: NamedTags
    recipients: tuple[RecipientRow, ...]
    others: int
    counts: Counts


class MessageDetail(MessageSummary, frozen=True, kw_only=True):
    """All that is known about a message, or a page of it.

    Where there are more than the `recipients` told, `cursor` is what to ask on with, and `attempts` are the
    last ones for these.
    """

    cursor: str
    attempts: tuple[AttemptRow, ...]
    received: str
    sha256: str


class MessageReport(Struct, frozen=True, kw_only=True):
    """A report about a message, which is a message of its own, to its sender."""

    id: str
    accepted: Time
    counts: Counts


class Page(Struct, frozen=True, kw_only=True):
    """Messages, oldest first, at most `limit`; if there are `more`, `cursor` is what to go on `after`.

    A subject was looked for in what was accepted since `subjects_since` only.
    """

    messages: tuple[MessageSummary, ...]
    more: bool
    limit: int
    cursor: str = ""
    subjects_since: Time | UnsetType = UNSET


class Change(Struct, frozen=True, kw_only=True):
    """How many recipients of a message were changed, and in which `states` they all are now."""

    id: str
    changed: int
    states: Counts


class PauseInfo(Struct, frozen=True, kw_only=True):
    """Why an account does not send."""

    since: Time
    reason: str
    remedy: str
    tried_again: Time | None  # None: not before it is resumed


class PausedAccount(Struct, frozen=True, kw_only=True):
    """An account that does not send, why, and how many `recipients` of a message wait for it."""

    account: str
    recipients: int
    since: Time
    reason: str
    remedy: str
    tried_again: Time | None


class LetGo(Change, frozen=True, kw_only=True):
    """The same of what may leave now, but for those who wait for a paused account, or all for its time."""

    paused: tuple[PausedAccount, ...]
    send_at: Time | UnsetType = UNSET


class MessageResent(Struct, frozen=True, kw_only=True):
    """A new message of the content of another, the `original`, and who gets it."""

    id: str
    original: str
    recipients: tuple[str, ...]


class QueueStatistics(Struct, frozen=True, kw_only=True):
    """Recipients by state and account, and how long the oldest open message waits (seconds)."""

    counts: Counts
    oldest: Time | None
    age: float | None
    accounts: dict[str, Counts]


class EndingInfo(Struct, frozen=True, kw_only=True):
    """Something of an account that ends. `level`: how many days are not left any more, once it matters."""

    what: str
    title: str
    at: Time
    level: int | None
    remedy: str


class AccountStatus(Struct, frozen=True, kw_only=True):
    """Whether an account sends.

    `since`, `tried_again` and `paused_by` are there while it is paused, `reason` and `remedy` unless it is
    ready; what follows on them only the running relay knows. A pause by a `limit` is over by itself.
    `limited_until`: its own limits keep ordinary mail back, or did within the last minute.
    `budget` is what is left of them. `backlog_gone_at` estimates when what waits will be gone at the rate
    that they allow; null if nothing waits or limits it, or if nobody can say when it goes on.
    """

    name: str
    state: Literal["ready", "paused", "not-signed-in"]
    counts: Counts
    since: Time | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    remedy: str | UnsetType = UNSET
    tried_again: Time | UnsetType | None = UNSET
    paused_by: PausedBy | UnsetType = UNSET
    address: str | UnsetType = UNSET
    under_way: int | UnsetType = UNSET
    connections: int | UnsetType = UNSET
    resting: float | UnsetType = UNSET
    budget: BudgetRemaining | UnsetType = UNSET
    budget_used: BudgetUsed | UnsetType = UNSET
    limited_until: Time | UnsetType | None = UNSET
    backlog_gone_at: Time | UnsetType | None = UNSET
    token_expires: Time | UnsetType | None = UNSET
    token_lifetime: float | UnsetType | None = UNSET  # seconds
    last_error: str | UnsetType = UNSET
    runs_out: tuple[EndingInfo, ...]

    @property
    def waits_for_limit(self) -> bool:
        """Whether it is a limit, its own or the provider's, that its mail waits for."""
        kept_back = bool(self.limited_until) and self.counts.get("ready", 0) > 0
        return self.paused_by == "limit" or (self.state == "ready" and kept_back)


class CoursePoint(Struct, frozen=True, kw_only=True):
    """What was `used` of a limit in the window that ended then."""

    at: Time
    used: int


class AccountCourse(Struct, frozen=True, kw_only=True):
    """How full a sliding window of `window` seconds was: of `most` messages, or `recipients`."""

    name: str
    recipients: bool = False
    most: int = 0
    window: float = 0.0
    points: tuple[CoursePoint, ...] = ()


class Woken(Struct, frozen=True, kw_only=True):
    """Whether an account was paused, and is tried again now."""

    name: str
    tried: bool


class DiagnosisResult(Struct, frozen=True, kw_only=True):
    """What an examination found by the configuration in `file`: `accounts` are those it has.

    Each conversation is told line by line. `pause`: why the relay does not send for the account anyway.
    """

    file: str
    accounts: tuple[str, ...]
    findings: tuple[Finding, ...]
    conversations: tuple[tuple[str, ...], ...]
    pause: PauseInfo | None = None


class Matching(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which messages a job works on, and which of their recipients: in these states, by this account."""

    states: tuple[Status, ...] = ()
    account: str = ""
    client: str = ""
    address: str = ""
    sender: str = ""
    recipient: str = ""
    subject: str = ""
    reply: str = ""
    message_id: str = ""
    tags: NamedTags = {}
    accepted_before: Time | None = None
    accepted_after: Time | None = None

    @classmethod
    def of(cls, query: Query) -> Self:
        return cls(
            states=query.statuses,
            account=query.account,
            client=query.client,
            address=query.address,
            sender=query.sender,
            recipient=query.recipient,
            subject=query.subject,
            reply=query.reply,
            message_id=query.message_id,
            tags=by_name(query.tags),
            accepted_before=query.older_than,
            accepted_after=query.newer_than,
        )

    @property
    def query(self) -> Query:
        """What asks for the same."""
        return Query(
            statuses=self.states,
            account=self.account,
            client=self.client,
            address=self.address,
            sender=self.sender,
            recipient=self.recipient,
            subject=self.subject,
            reply=self.reply,
            message_id=self.message_id,
            tags=tuple((name, value) for name, each in self.tags.items() for value in each),
            older_than=self.accepted_before,
            newer_than=self.accepted_after,
        )


SignInState = Literal["waiting", "done", "failed", "busy"]


class SignInInfo(Struct, frozen=True, kw_only=True):
    """A sign-in: the person opens `url`, and types `code` there, if there is one.

    If it `pastes`, the address that the browser ends at has to be handed in. `busy`: somebody signs in by a
    command.
    """

    id: str
    account: str
    state: SignInState
    url: str
    code: str | UnsetType = UNSET
    pastes: bool
    expires: Time
    error: str


class NodeInfo(Struct, frozen=True, kw_only=True):
    """A relay that works on the queue. `alive`: it is this one, or its leases still hold, until `expires`.

    One that is alone and has nothing under way writes no heartbeat. `configuration` is a checksum: relays
    that share a queue and have different ones go by different rules. `busy` are its attempts under way.
    """

    name: str
    version: str
    address: str
    configuration: str
    busy: int
    own: bool
    alive: bool
    since: Time
    heartbeat: Time
    expires: Time


class NodeList(Struct, frozen=True, kw_only=True):
    """By name."""

    nodes: tuple[NodeInfo, ...]


class StagingMode(Struct, frozen=True, kw_only=True):
    """Where mail goes in staging mode (`redirect-all-to`, `allow-recipients`), for people."""

    staging: str  # empty where mail reaches everybody


class LoadedConfiguration(Struct, frozen=True, kw_only=True):
    """What the relay goes by. Secrets stand there as references, and what may be one is ``***``.

    `origins`: what comes from a variable of the environment, by the name of its key.
    """

    file: str
    origins: dict[str, str]
    settings: dict[str, Any]


class SettingRow(Struct, frozen=True, kw_only=True):
    """A key of the configuration: what holds and means; whether it was `given`, by which variable."""

    table: str
    key: str
    value: Any
    meaning: str
    given: bool
    origin: str


class SettingsExplained(Struct, frozen=True, kw_only=True):
    """What the relay goes by, key by key, without secrets."""

    file: str
    rows: tuple[SettingRow, ...]


class AuditRow(Struct, frozen=True, kw_only=True):
    """Who did what; `result` is empty if it was done, else why not.

    `hash` is of it and of the row before.
    """

    number: int
    at: Time
    by: str
    known_by: str
    action: str
    account: str
    message: str
    recipient: str
    detail: str
    count: int
    result: str
    hash: str


class MessageNews(Struct, frozen=True, kw_only=True):
    """What came after a message was accepted: what people did to it, and the ids of reports about it."""

    acts: tuple[AuditRow, ...]  # the oldest first
    reports: tuple[MessageReport, ...]


class AuditPage(Struct, frozen=True, kw_only=True):
    """The newest first; if there are `more`, they are before the last `number`."""

    entries: tuple[AuditRow, ...]
    more: bool


class AuditVerified(Struct, frozen=True, kw_only=True):
    """So many `entries` are as they were written, and which is the first that is `wrong`, if any.

    `last` is the newest hash: who keeps it elsewhere can tell later that nothing was taken off the end.
    """

    entries: int
    wrong: int | None
    last: str


class JobInfo(Struct, frozen=True, kw_only=True):
    """An action on all messages that match, and how far it is.

    Of the `matched` messages so many are `done`, by which so many recipients `changed`; `refused` of them
    may not leave by the `account` that they were to be moved to, the last one for what `error` says.
    """

    id: str | UnsetType = UNSET  # none: nothing was begun
    state: Literal["dry-run", "running", "done", "cancelled", "failed"]
    action: JobAction
    matching: Matching
    account: str
    by: str
    began: Time
    ended: Time | None
    matched: int
    done: int
    changed: int
    refused: int
    error: str


class JobList(Struct, frozen=True, kw_only=True):
    """The newest first."""

    jobs: tuple[JobInfo, ...]


class ConsoleAddress(Struct, frozen=True, kw_only=True):
    """Where a browser on the relay's machine opens the console, once and within ten minutes."""

    url: str


class RelayReloaded(Struct, frozen=True, kw_only=True):
    """The relay goes by its configuration as it is now."""

    reloaded: bool = True


class RelayStopping(Struct, frozen=True, kw_only=True):
    """The relay finishes what is under way, and ends."""

    stopping: bool = True


def known(value: T | UnsetType) -> T | None:
    """`value`, or None where it does not apply."""
    return None if isinstance(value, UnsetType) else value


def counted(counts: Any) -> Counts:
    """Counts by `Status` in the order of the states, without those that nobody is in."""
    return {str(status): counts[status] for status in Status if counts.get(status)}
