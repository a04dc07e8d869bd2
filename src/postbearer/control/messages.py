"""What people see of queued messages, and do to them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct

from postbearer.address import same_mailbox
from postbearer.clock import Clock
from postbearer.control.accounts import paused_as
from postbearer.control.acts import Act
from postbearer.control.answers import (
    AttemptRow,
    Change,
    Counts,
    LetGo,
    MessageDetail,
    MessageSummary,
    Page,
    PausedAccount,
    QueueStatistics,
    RecipientRow,
    counted,
)
from postbearer.control.job_runner import refusal_to_carry
from postbearer.control.method import Method, Nothing, Text
from postbearer.control.principal import Principal, Right
from postbearer.control.search import SUBJECTS
from postbearer.errors import UsageError
from postbearer.events import Observer
from postbearer.store import (
    Attempt,
    Entry,
    Pause,
    Query,
    RecipientPage,
    Row,
    Spool,
    Statistics,
    Status,
    Waiting,
)
from postbearer.tags import by_name

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.engine import AccountState, Dispatcher

MOST = 1000  # messages one answer may list
_NONE = RecipientPage(most=0)
_CAN_GO = (Status.SCHEDULED, Status.READY, Status.DEFERRED, Status.HELD)


class OneShown(Struct, forbid_unknown_fields=True, frozen=True):
    """A message, with `limit` recipients behind the place `after`, in one `state`; 0: all of them."""

    message: Text
    limit: Annotated[int, Meta(ge=0, le=MOST)] = 0
    after: Text = ""
    state: Status | None = None

    @property
    def page(self) -> RecipientPage | None:
        return RecipientPage(most=self.limit, after=self.after, status=self.state) if self.limit else None


class Which(Struct, forbid_unknown_fields=True, frozen=True):
    """A message, or one recipient of it."""

    message: Text
    address: Text = ""


class Moved(Struct, forbid_unknown_fields=True, frozen=True):
    """A message, and by which account it is to leave."""

    message: Text
    account: Text


class Look(Struct, forbid_unknown_fields=True, frozen=True):
    """The fields of `Query`."""

    id: Text = ""
    id_prefix: Text = ""
    account: Text = ""
    client: Text = ""
    statuses: tuple[Status, ...] = ()
    address: Text = ""
    sender: Text = ""
    recipient: Text = ""
    subject: Text = ""
    reply: Text = ""
    message_id: Text = ""
    tags: tuple[tuple[Text, Text], ...] = ()
    older_than: float | None = None
    newer_than: float | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 100
    after: Text = ""

    def query(self) -> Query:
        return Query(**{name: getattr(self, name) for name in self.__struct_fields__})


class Messages:
    """The messages of a spool, beside the dispatcher that empties it, if one runs.

    `configured` are the accounts there are where none runs; none given: they are not known. `find` makes one
    of them. All methods raise `UsageError` for what does not exist or cannot be done, and `StoreError`.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        dispatcher: Dispatcher | None,
        configured: Sequence[str],
        observer: Observer,
        find: Callable[[str], Account],
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._dispatcher = dispatcher
        self._configured = configured
        self._observer = observer
        self._find = find

    async def list(self, query: Query | None = None) -> Page:
        """Messages that fit `query`, oldest first."""
        query, now = query or Query(), self._clock.now()
        since = await self._subjects_since(query)
        if since is not None:
            query = replace(query, newer_than=since)
        found = await self._spool.search(replace(query, limit=query.limit + 1))
        obstacles = await self._obstacles()
        shown = tuple(MessageSummary(**_summary(entry, now, obstacles)) for entry in found[: query.limit])
        more = len(found) > query.limit
        return Page(
            messages=shown,
            more=more,
            limit=query.limit,
            cursor=shown[-1].id if more else "",
            subjects_since=UNSET if since is None else since,
        )

    async def _subjects_since(self, query: Query) -> float | None:
        """Since when a search looks at subjects, one after the other; None: at all, or at none.

        Those few that have an id or a tag are found first, so all of them are looked at.
        """
        if not query.subject or query.id or query.id_prefix or query.tags:
            return None
        before = math.inf if query.older_than is None else query.older_than
        since = await self._spool.latest(before, SUBJECTS)
        return None if since is None or since <= (query.newer_than or 0.0) else since

    async def show(self, message: str, page: RecipientPage | None = None) -> MessageDetail:
        """All that is known about one message, or a page of its recipients."""
        entry = await self._entry(message, page)
        return MessageDetail(
            **_summary(entry, self._clock.now(), await self._obstacles()),
            cursor=entry.cursor,
            attempts=tuple(map(_attempt, entry.attempts)),
            received=entry.message.received,
            sha256=entry.message.sha256,
        )

    async def hold(self, message: str, address: str = "", *, by: Principal) -> Change:
        """Keep the open recipients of a message until they are released."""
        return await self._change("hold", message, Status.HELD, address, by=by)

    async def release(self, message: str, address: str = "", *, by: Principal) -> LetGo:
        """Let what was held go, or wait for its time. `paused` tells of the accounts that it waits for."""
        entry = await self._entry(message)
        if not entry.message.waits_for_time(self._clock.now()):
            return await self._let_go("release", entry, address, by)
        when = entry.message.tried_from
        done = await self._change("release", message, Status.READY, address, by=by, due=when)
        return LetGo(id=done.id, changed=done.changed, states=done.states, paused=(), send_at=when)

    async def retry(self, message: str, address: str = "", *, by: Principal) -> LetGo:
        """Try now what would be tried later. `paused` tells of the accounts that it has to wait for."""
        entry = await self._entry(message)
        if address and len(entry.rows) > 1 and entry.message.waits_for_time(self._clock.now()):
            raise UsageError(
                f"{message} waits for its time, and leaves for all its recipients together.",
                hint="Retry all of it, or cancel the recipients that are not to get it.",
            )
        return await self._let_go("retry", entry, address, by)

    async def cancel(self, message: str, address: str = "", *, by: Principal) -> Change:
        """Give up the open recipients of a message; nobody is told."""
        return await self._change("cancel", message, Status.CANCELLED, address, by=by)

    async def move(self, message: str, account: str, *, by: Principal) -> LetGo:
        """Have what waits of a message, or is held, leave by another account, if that may carry it.

        `paused` tells whether it has to wait for it.
        """
        entry, target = await self._entry(message), self._find(account)
        if refusal := await refusal_to_carry(self._spool, target, entry.message):
            raise UsageError(f"{message} may not leave by {account}: {refusal}")
        act = Act(by=by, action="move", account=account, message=message, detail=_comes_from(entry))
        now = self._clock.now()
        changed = await self._spool.move(message, account, now, audit=act.record(now))
        if changed:
            self._observer.notice(act.event(changed))
        paused = await self._in_the_way(await self._entry(message), "")
        return LetGo(id=message, changed=changed, states=await self._states(message), paused=paused)

    async def stats(self) -> QueueStatistics:
        """Recipients by state and account, and the age of the oldest open message."""
        return self.summed(await self._spool.statistics())

    def summed(self, found: Statistics) -> QueueStatistics:
        """The same of statistics that somebody has."""
        return QueueStatistics(
            counts=counted(found.counts),
            oldest=found.oldest,
            age=None if found.oldest is None else max(0.0, self._clock.now() - found.oldest),
            accounts={name: counted(counts) for name, counts in sorted(found.by_account.items())},
        )

    async def waiting(self) -> tuple[Waiting, ...]:
        """What waits for each account, or is under way."""
        return tuple(await self._spool.waiting())

    async def _obstacles(self) -> _Obstacles:
        names = self._dispatcher.account_states if self._dispatcher is not None else self._configured
        return _Obstacles(frozenset(names), {pause.account: pause for pause in await self._spool.pauses()})

    async def _let_go(self, action: str, entry: Entry, address: str, by: Principal) -> LetGo:
        done = await self._change(action, entry.message.id, Status.READY, address, by=by)
        paused = await self._in_the_way(entry, address)
        return LetGo(id=done.id, changed=done.changed, states=done.states, paused=paused)

    async def _in_the_way(self, entry: Entry, address: str) -> tuple[PausedAccount, ...]:
        """The pauses that the open recipients of a message wait for, and how many wait for each."""
        waiting = Counter(
            row.account
            for row in entry.rows
            if row.status in _CAN_GO and (not address or same_mailbox(row.address, address))
        )
        return tuple(
            PausedAccount(account=pause.account, recipients=waiting[pause.account], **paused_as(pause))
            for pause in await self._spool.pauses()
            if waiting[pause.account] and not self._stands_in(pause.account)
        )

    def _stands_in(self, account: str) -> bool:
        """Whether the mail of a paused account leaves by its fallback."""
        states: Mapping[str, AccountState] = (
            self._dispatcher.account_states if self._dispatcher is not None else {}
        )
        if account not in states:
            return False
        other = states.get(states[account].account.settings.fallback or "")
        return other is not None and not other.paused

    async def _change(
        self,
        action: str,
        message: str,
        status: Status,
        address: str,
        *,
        by: Principal,
        due: float | None = None,
    ) -> Change:
        """`due`: when what is let go is, if not now."""
        await self._entry(message, _NONE)
        act, now = Act(by=by, action=action, message=message, recipient=address), self._clock.now()
        when = now if due is None else due
        changed = await self._spool.change(message, status, when, address, audit=act.record(now))
        if changed:
            self._observer.notice(act.event(changed))
        return Change(id=message, changed=changed, states=await self._states(message))

    async def _states(self, message: str) -> Counts:
        """Where its recipients stand."""
        return counted((await self._entry(message, _NONE)).counts)

    async def _entry(self, message: str, page: RecipientPage | None = None) -> Entry:
        entry = await self._spool.show(message, page)
        if entry is None:
            raise UsageError(
                f"There is no message {message!r} in the queue.", hint="`postbearer queue list` shows them."
            )
        return entry


@dataclass(frozen=True, slots=True)
class _Obstacles:
    """What keeps mail waiting that is no matter of its own."""

    configured: frozenset[str]  # accounts; empty: not known
    pauses: Mapping[str, Pause]

    def of(self, row: Row) -> tuple[str, str]:
        """Why an open recipient waits for its account, and the way out; empty texts if it does not."""
        name, pause = row.account, self.pauses.get(row.account)
        if row.status not in (Status.READY, Status.DEFERRED):
            return "", ""
        if self.configured and name not in self.configured:
            return (
                f"The account {name} is not configured any more.",
                f"Put [accounts.{name}] back and reload, or cancel it: postbearer queue cancel.",
            )
        if pause is None:
            return "", ""
        way_out = paused_as(pause)["remedy"] or f"Find out more: postbearer check {name}"
        return f"The account {name} is paused: {pause.reason}", way_out


def _comes_from(entry: Entry) -> str:
    """By which accounts a message would have left."""
    accounts = dict.fromkeys(row.account for row in entry.rows if row.status in _CAN_GO)
    return f"from {', '.join(accounts)}" if accounts else ""


def _summary(entry: Entry, now: float, obstacles: _Obstacles) -> dict[str, Any]:
    """The fields of `MessageSummary`."""
    message = entry.message
    named = message.envelope.addresses if entry.whole else ()
    numbers = {address: number for number, address in enumerate(named, 1)}
    return {
        "id": message.id,
        "accepted": message.accepted,
        "age": max(0.0, now - message.accepted),
        "expires": message.expires,
        "client": message.client,
        "sender": message.envelope.reverse_path,
        "size": message.size,
        "message_id": message.message_id,
        "author": message.author,
        "subject": message.subject,
        "report_of": message.report_of,
        "send_at": message.send_at,
        "tags": by_name(message.tags),
        "recipients": tuple(
            _row(
                recipient_id(message.id, numbers.get(row.address, 0)) if entry.whole else "",
                row,
                *obstacles.of(row),
            )
            for row in entry.rows
        ),
        "others": sum(entry.counts.values()) - len(entry.rows),
        "counts": counted(entry.counts),
    }


def recipient_id(message: str, number: int) -> str:
    """The id of the recipient at a place in the envelope, counted from 1."""
    return f"{message}.{number}"


def _row(identifier: str, row: Row, waits: str, way_out: str) -> RecipientRow:
    return RecipientRow(
        id=identifier,
        address=row.address,
        account=row.account,
        priority=row.priority.name.lower(),
        due=row.due,
        attempts=row.attempts,
        reply=row.reply,
        cause=row.cause,
        remedy=row.remedy,
        unknown=row.unknown,
        state=row.status,
        meaning="accepted by the provider" if row.status is Status.DELIVERED else str(row.status),
        waits=waits,
        way_out=way_out,
        delivery=str(row.delivery),
    )


def _attempt(attempt: Attempt) -> AttemptRow:
    return AttemptRow(
        number=attempt.number,
        delivery=str(attempt.delivery),
        began=attempt.began,
        ended=attempt.ended,
        server=attempt.server,
        queue_id=attempt.queue_id,
        error=attempt.error,
        unknown=attempt.unknown,
        transcript=attempt.transcript,
    )


METHODS: Mapping[str, Method] = {
    "queue.list": Method(Look, Page, Right.LOOK, lambda on, given, by: on.messages.list(given.query())),
    "queue.show": Method(
        *(OneShown, MessageDetail, Right.LOOK),
        lambda on, given, by: on.messages.show(given.message, given.page),
    ),
    "queue.hold": Method(
        *(Which, Change, Right.OPERATE),
        lambda on, given, by: on.messages.hold(given.message, given.address, by=by),
    ),
    "queue.release": Method(
        *(Which, LetGo, Right.OPERATE),
        lambda on, given, by: on.messages.release(given.message, given.address, by=by),
    ),
    "queue.retry": Method(
        *(Which, LetGo, Right.OPERATE),
        lambda on, given, by: on.messages.retry(given.message, given.address, by=by),
    ),
    "queue.cancel": Method(
        *(Which, Change, Right.OPERATE),
        lambda on, given, by: on.messages.cancel(given.message, given.address, by=by),
    ),
    "queue.move": Method(
        *(Moved, LetGo, Right.OPERATE),
        lambda on, given, by: on.messages.move(given.message, given.account, by=by),
    ),
    "queue.stats": Method(Nothing, QueueStatistics, Right.LOOK, lambda on, given, by: on.messages.stats()),
    "queue.waiting": Method(
        Nothing, tuple[Waiting, ...], Right.LOOK, lambda on, given, by: on.messages.waiting()
    ),
}
