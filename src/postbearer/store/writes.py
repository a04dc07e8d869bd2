"""The steps of a message's life, each made by the writer within a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import apsw

from postbearer.address import same_mailbox
from postbearer.errors import LeaseLost, StoreError, UsageError
from postbearer.store.database import get, rows
from postbearer.store.keys import refuse_repeated
from postbearer.store.queries import queries
from postbearer.store.records import (
    KEYS_KEPT,
    Claimed,
    Found,
    IdempotencyKey,
    Lane,
    Message,
    NewDelivery,
    Pause,
    Settlement,
    Status,
    Target,
)
from postbearer.store.rows import (
    DONE,
    HELD,
    LEASED,
    LETTERS,
    WAITING,
    message_of,
    message_row,
    recipient_of,
    recipient_row,
    settled_state,
    shown_status,
    text,
)

SQL, MOVES = queries("queue"), queries("operating")
MESSAGE = queries("look")["message"]
WHOLE = 2**63 - 1  # octets of an envelope, however long
COUNTED_ALONE = 1_000  # recipients of a message: of more, it is kept how many are in each state
CHUNK_BITS = 20  # a content has at most 2^20 chunks
AT_ONCE = 128  # chunks a transaction removes: each is overwritten with zeros, which the log must hold

RESTORED = "The queue was restored from an older copy, so it may have been delivered since."
RESTORED_REMEDY = "Look whether it arrived; release or cancel it."
DAMAGED = "Its place in the queue cannot be read: the disk, or another program, damaged it."
DAMAGED_REMEDY = "Look at it by `postbearer queue show`, then release or cancel it, and look at the disk."

MOVABLE = Status.SCHEDULED, Status.READY, Status.DEFERRED, Status.HELD

Chunk = tuple[int, bytes]  # its number, its octets


def add_chunks(connection: apsw.Connection, number: int, chunks: Iterable[Chunk]) -> None:
    for chunk, data in chunks:
        connection.execute(SQL["add-chunk"], (number << CHUNK_BITS | chunk, data))


def stage(connection: apsw.Connection, number: int, chunk: Chunk) -> None:
    """Keep a piece of content that nobody sees yet."""
    if chunk[0] == 0:
        connection.execute(SQL["stage"], (number,))
    add_chunks(connection, number, [chunk])


def unstage(connection: apsw.Connection, number: int) -> bool:
    """Remove content that was not accepted, or a good part of it; says whether all of it is gone."""
    if connection.execute(SQL["is-staged"], (number,)).get is None:
        return True
    if _drop_chunks(connection, number, AT_ONCE) == AT_ONCE:
        return False
    connection.execute(SQL["unstage"], (number,))
    return True


def _drop_chunks(connection: apsw.Connection, number: int, most: int) -> int:
    connection.execute(SQL["drop-chunks"], (number, most))
    return connection.changes()


def take_key(connection: apsw.Connection, key: IdempotencyKey, message: Message) -> None:
    """Note that `message` is what `key` stands for. Raises `AlreadyAccepted`, `KeyReused`."""
    known = connection.execute(SQL["key"], (key.client, key.key)).fetchone()
    refuse_repeated(key, known and [text(column) for column in known])
    row = key.client, key.key, key.digest, message.id, message.accepted
    connection.execute(SQL["add-key"], row)


def keep(
    connection: apsw.Connection,
    number: int,
    message: Message,
    chunks: Sequence[Chunk],
    deliveries: Iterable[NewDelivery],
    next_lease: Callable[[], int],
) -> list[Claimed]:
    """Add a message, and lease what is to begin at once.

    `chunks` are those of its content that are not staged already.
    """
    if not chunks or chunks[0][0]:
        connection.execute(SQL["unstage"], (number,))
    try:
        connection.execute(SQL["add-message"], (number, *message_row(message)))
    except apsw.ConstraintError:
        raise StoreError(f"There is a message {message.id} already.") from None
    if message.send_at is not None:
        connection.execute(SQL["add-scheduled"], (number, message.send_at))
    for tag in message.tags:
        connection.execute(SQL["add-tag"], (number, *tag))
    add_chunks(connection, number, chunks)
    added = [_add_delivery(connection, number, message, new, next_lease) for new in deliveries]
    if len(message.envelope.recipients) > COUNTED_ALONE:
        connection.execute(SQL["add-fates"], (number,))
    return [claimed for claimed in added if claimed is not None]


def _add_delivery(
    connection: apsw.Connection,
    number: int,
    message: Message,
    new: NewDelivery,
    next_lease: Callable[[], int],
) -> Claimed | None:
    state = HELD if new.held else WAITING
    leased = (LEASED, next_lease(), 1) if new.at_once else (state, 0, 0)
    waits = (*leased, message.tried_from, message.send_at is not None)
    row = (number, new.account, int(new.priority), new.client, new.due, *waits)
    connection.execute(SQL["add-delivery"], row)
    delivery = connection.last_insert_rowid()
    targets = []
    letter = LETTERS[Status.HELD if new.held else Status.READY]
    for each in new.recipients:
        connection.execute(SQL["add-recipient"], (delivery, letter, *recipient_row(each)))
        targets.append(Target(row=connection.last_insert_rowid(), recipient=each))
    if not new.at_once:
        return None
    connection.execute(SQL["open-attempt"], (delivery, 1, new.due))
    return Claimed(
        delivery=delivery,
        lease=leased[1],
        attempt=1,
        account=new.account,
        priority=new.priority,
        client=new.client,
        message=message,
        targets=tuple(targets),
    )


def claim(
    connection: apsw.Connection,
    shares: Mapping[Lane, int],
    now: float,
    next_lease: Callable[[], int],
    known: Callable[[int], Message | None],
) -> list[Claimed]:
    """Lease what is due in each lane, an attempt open for each. Messages that are `known` are not read."""
    return [
        claimed
        for lane, most in shares.items()
        for claimed in _claim(connection, lane, most, now, next_lease, known)
    ]


def _claim(
    connection: apsw.Connection,
    lane: Lane,
    most: int,
    now: float,
    next_lease: Callable[[], int],
    known: Callable[[int], Message | None],
) -> list[Claimed]:
    wanted = (lane.account, int(lane.priority), lane.client, now, most)
    claimed = []
    for delivery, number, attempts, warned in rows(connection, SQL["claim"], wanted):
        lease, attempt = next_lease(), attempts + 1
        connection.execute(SQL["lease"], (lease, attempt, delivery))
        connection.execute(SQL["open-attempt"], (delivery, attempt, now))
        message = known(number)
        if message is None:
            message = message_of(connection.execute(MESSAGE, (number, WHOLE)).fetchone())
        targets = [
            Target(row=target, recipient=recipient_of(*wishes))
            for target, *wishes in rows(connection, SQL["targets"], (delivery,))
        ]
        claimed.append(
            Claimed(
                delivery=delivery,
                lease=lease,
                attempt=attempt,
                account=lane.account,
                priority=lane.priority,
                client=lane.client,
                message=message,
                targets=tuple(targets),
                warned=bool(warned),
            )
        )
    return claimed


def hold_damaged(connection: apsw.Connection, delivery: int, now: float) -> None:
    """Let a delivery that belongs to no lane wait for a person, with what is left of its row."""
    for account, client in rows(connection, SQL["damaged"], (delivery,)):
        connection.execute(SQL["hold-damaged"], (text(account), text(client), now, delivery))
        connection.execute(SQL["hold-recipients-of"], (delivery,))
        connection.execute(SQL["explain-held"], (DAMAGED, DAMAGED_REMEDY, delivery))


def settle(
    connection: apsw.Connection, claimed: Claimed, settlement: Settlement, *, texts: bool = True
) -> None:
    """End an attempt. Without `texts` only marks are made, which need no room. Raises `LeaseLost`."""
    known = zip(claimed.targets, settlement.results, strict=True) if settlement.results else ()
    for target, fate in known:
        if texts and (fate.reply or fate.cause or fate.remedy):  # else what was said last stays
            connection.execute(SQL["answer"], (target.row, fate.reply, fate.cause, fate.remedy))
        mark = (LETTERS[fate.status], settlement.unknown, target.row, claimed.delivery)
        connection.execute(SQL["mark"], mark)
    _close_attempt(connection, claimed, settlement, texts=texts)
    state = _state(connection, claimed.delivery)
    due = settlement.ended if settlement.due is None else settlement.due
    connection.execute(
        SQL["settle"],
        (
            state,
            due if state == WAITING else None,
            settlement.ended if state == DONE else 0,
            settlement.warned,
            *(settlement.account if state != DONE else "",) * 2,
            0 if settlement.counted else 1,
            claimed.delivery,
            claimed.lease,
        ),
    )
    if not connection.changes():  # what was done so far is undone with the job
        raise LeaseLost(f"The delivery of {claimed.message.id} is not ours any more.")


def warn(connection: apsw.Connection, late: Claimed) -> bool:
    """Note that the sender knows; False if it did, or if the delivery does not wait any more."""
    connection.execute(SQL["warn"], (late.delivery,))
    return connection.changes() > 0


def _close_attempt(
    connection: apsw.Connection, claimed: Claimed, settlement: Settlement, *, texts: bool
) -> None:
    key = (claimed.delivery, claimed.attempt)
    if not settlement.counted:
        connection.execute(SQL["drop-attempt"], key)
        return
    said = (settlement.server, settlement.queue_id, settlement.error) if texts else ("", "", "")
    connection.execute(SQL["close-attempt"], (settlement.ended, settlement.unknown, *said, *key))
    if texts and settlement.transcript:
        connection.execute(SQL["add-transcript"], (*key, settlement.transcript))


def _state(connection: apsw.Connection, delivery: int) -> str:
    return settled_state({letter for (letter,) in rows(connection, SQL["states"], (delivery,))})


def untold(connection: apsw.Connection) -> Found:
    """What this start and those before it found, as far as nobody was told."""
    doubtful = tuple(text(message) for (message,) in rows(connection, SQL["doubtful"]))
    return Found(
        clean=not get(connection, "unclean"),
        unknown=len(doubtful),
        doubtful=doubtful,
        restored=bool(get(connection, "restored")),
        held=get(connection, "held"),
    )


def told(connection: apsw.Connection) -> None:
    """All of it was told."""
    connection.execute(SQL["drop-doubtful"])
    for name in ("unclean", "restored", "held"):
        put(connection, name, 0)


def hold_all(connection: apsw.Connection) -> None:
    """Let what waits wait for a person: it may have been delivered already."""
    messages = int(connection.execute(SQL["waiting-messages"]).get)
    put(connection, "restored", 1)
    put(connection, "held", get(connection, "held") + messages)
    connection.execute(SQL["explain-all"], (RESTORED, RESTORED_REMEDY))
    connection.execute(SQL["hold-recipients"])
    connection.execute(SQL["hold-deliveries"])


def orphans(connection: apsw.Connection) -> list[int]:
    """Numbers of contents an earlier run began to take and did not accept."""
    return [number for (number,) in rows(connection, SQL["staged"])]


def change(
    connection: apsw.Connection,
    message: str,
    status: Status,
    now: float,
    *,
    address: str = "",
    account: str = "",
    among: Collection[Status] = (),
    early_at: float = 0.0,
) -> int:
    """What a person decides about the recipients of a message that are open and not leased.

    Only `address`, those that leave by `account`, or those in a state `among` some, as it is at `early_at`,
    where these are given.
    """
    if not status.by_hand:
        raise UsageError(f"A recipient cannot be made {status} by hand.")
    wanted, early = [], time_of(connection, message) > early_at
    for row, delivery, letter, mailbox, by in rows(connection, SQL["changeable"], (message,)):
        if text(letter) == LETTERS[status] == LETTERS[Status.HELD]:
            continue
        if (address and not same_mailbox(text(mailbox), address)) or (account and text(by) != account):
            continue
        if among and shown_status(letter, early=early) not in among:
            continue
        wanted.append((row, delivery))
    if wanted and status is Status.READY:  # first, as events tell of what waits for its time
        for query in ("begin-life", "forget-time", "drop-time"):
            connection.execute(SQL[query], (message, now))
    for row, _ in wanted:
        connection.execute(SQL["set-state"], (LETTERS[status], row))
    for delivery in {delivery for _, delivery in wanted}:
        state = _state(connection, delivery)
        due = now if status is Status.READY else None
        connection.execute(SQL["release"], (state, due, now if state == DONE else 0, delivery))
    return len(wanted)


def time_of(connection: apsw.Connection, message: str) -> float:
    """When a message is to leave at the earliest; 0 without such a time."""
    return float(connection.execute(SQL["time-of"], (message,)).get or 0.0)


def move(
    connection: apsw.Connection,
    message: str,
    target: str,
    now: float,
    account: str = "",
    among: Collection[Status] = MOVABLE,
) -> int:
    """Let what waits or is held of a message leave by the account `target`, what waits from now on.

    Only what leaves by `account`, or has a recipient in a state `among` some. Returns how many recipients.
    """
    letters = "".join(LETTERS[each] for each in among)
    asked = {"message": message, "target": target, "account": account, "statuses": letters, "now": now}
    changed = 0
    for (delivery,) in rows(connection, MOVES["movable"], asked):
        connection.execute(MOVES["move"], (target, now, delivery))
        changed += int(connection.execute(MOVES["open-recipients"], (delivery,)).get)
    return changed


def retire(connection: apsw.Connection, before: float) -> tuple[int, bool]:
    """Remove some messages that came to their end before `before`: how many, and whether there are more.

    And keys whose messages are gone and that are a day older than that.
    """
    done = rows(connection, SQL["retirable"], (before, AT_ONCE))
    left = AT_ONCE
    for count, (number,) in enumerate(done):
        left -= _drop_chunks(connection, number, left)
        if left == 0:  # the message itself goes with the next call, with what there may be left of it
            return count, True
        _drop_message(connection, number)
    connection.execute(SQL["drop-keys"], (before - KEYS_KEPT, AT_ONCE))
    return len(done), len(done) == AT_ONCE


def _drop_message(connection: apsw.Connection, number: int) -> None:
    for (delivery,) in rows(connection, SQL["deliveries-of"], (number,)):
        for query in ("drop-answers", "drop-recipients", "drop-attempts", "drop-transcripts"):
            connection.execute(SQL[query], (delivery,))
    for query in ("drop-deliveries", "drop-fates", "drop-scheduled", "drop-tags", "drop-message"):
        connection.execute(SQL[query], (number,))


def drop_empty_counts(connection: apsw.Connection) -> None:
    """Remove the counts of seconds and times of which nothing is left."""
    connection.execute(SQL["drop-empty-seconds"])
    connection.execute(SQL["drop-empty-times"])


def fill(connection: apsw.Connection, pages: int) -> None:
    """Write so many pages and free them again."""
    size = pages * connection.pragma("page_size")
    connection.execute(SQL["add-chunk"], (-1, apsw.zeroblob(size)))
    connection.execute(SQL["drop-filling"])


def shrink(connection: apsw.Connection, spare: int, most: int) -> None:
    """Give up to `most` pages nobody needs back to the disk, and keep `spare` of them."""
    pages = min(most, connection.pragma("freelist_count") - spare)
    if pages > 0:
        connection.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()


def pause(connection: apsw.Connection, pause: Pause) -> None:
    row = (pause.account, pause.since, pause.reason, pause.remedy, pause.probe, pause.probes, pause.passes)
    connection.execute(SQL["pause"], row)


def resume(connection: apsw.Connection, account: str) -> bool:
    connection.execute(SQL["resume"], (account,))
    return connection.changes() > 0


def put(connection: apsw.Connection, name: str, value: int) -> None:
    """One number of the table `meta`."""
    connection.execute(SQL["set"], (value, name))
