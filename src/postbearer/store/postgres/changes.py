"""What people do to messages and accounts, and what time does: each within a transaction that writes."""

from __future__ import annotations

from collections.abc import Collection

from postbearer.address import same_mailbox
from postbearer.errors import UsageError
from postbearer.store.postgres import tally
from postbearer.store.postgres.nodes import NODES
from postbearer.store.postgres.reads import LOOK, meta
from postbearer.store.postgres.rows import clean, recipients_of, shown_status, status_of
from postbearer.store.postgres.transaction import SESSION, TURN, Place, Transaction
from postbearer.store.records import KEYS_KEPT, Pause, Status
from postbearer.store.rows import DONE, LETTERS, WAITING, settled_state

FOR_WEBHOOKS = 4 * 86_400.0  # seconds that events a webhook needs are kept longer than others
MARKS_KEPT = 3600.0  # seconds, as a commit is asked for within some ten


async def change(
    transaction: Transaction,
    message: str,
    status: Status,
    now: float,
    *,
    address: str = "",
    account: str = "",
    among: Collection[Status] = (),
    early_at: float = 0.0,
) -> int:
    """Hold, release or cancel the recipients of a message that are open and not leased; how many changed.

    Only `address`, those that leave by `account`, or those in a state `among` some, as it is at `early_at`,
    where these are given.
    """
    if not status.by_hand:
        raise UsageError(f"A recipient cannot be made {status} by hand.")
    changed = 0
    for row in await transaction.connection.fetch(TURN["changeable"], message):
        if account and row["account"] != account:
            continue
        recipients, states = recipients_of(row["recipients"]), list(row["states"])
        chosen = [
            place
            for place, letter in enumerate(states)
            if not status_of(letter).final
            and not letter == LETTERS[status] == LETTERS[Status.HELD]
            and (not among or shown_status(letter, early=(row["send_at"] or 0.0) > early_at) in among)
            and (not address or same_mailbox(recipients[place].address, address))
        ]
        if not chosen:
            continue
        lets_go = status is Status.READY and (row["send_at"] or 0.0) > now
        place = Place(row["id"], row["client"], row["account"], None if lets_go else row["send_at"])
        for each in chosen:
            doubtful = row["doubts"][each] == "1"
            if states[each] != LETTERS[status]:
                counts, to = status is not Status.READY, recipients[each].address
                transaction.event(place, to, LETTERS[status], doubtful=doubtful, counts=counts)
            states[each] = LETTERS[status]
        changed += len(chosen)
        state = settled_state({letter.encode() for letter in states})
        due = now if status is Status.READY else row["due"]
        turn = row["turn"] + 1 if status is Status.READY else row["turn"]
        ended = now if state == DONE else 0.0
        marks = (state, due, ended, "".join(states), turn)
        await transaction.connection.execute(TURN["change"], row["slot"], row["number"], *marks)
        if state == WAITING and status is Status.READY:
            transaction.wait(row["account"], row["priority"], row["lane_client"], due, row["number"], turn)
    if changed and status is Status.READY:
        await transaction.connection.execute(TURN["begin-life"], message, now)
    transaction.stirs = transaction.stirs or changed > 0
    return changed


async def time_of(transaction: Transaction, message: str) -> float:
    """When a message is to leave at the earliest; 0 without such a time."""
    return float(await transaction.connection.fetchval(TURN["time-of"], message) or 0.0)


async def move(
    transaction: Transaction,
    message: str,
    target: str,
    now: float,
    *,
    account: str = "",
    among: Collection[Status] = (),
) -> int:
    """Let what waits or is held of a message leave by the account `target`, what waits from now on.

    Only what leaves by `account`, or has a recipient in a state `among` some. Returns how many recipients.
    """
    changed = 0
    for row in await transaction.connection.fetch(TURN["changeable"], message):
        open_ = [place for place, letter in enumerate(row["states"]) if not status_of(letter).final]
        due = max(now, row["send_at"] or 0.0)
        shown = {shown_status(row["states"][place], early=due > now) for place in open_}
        wanted = not among or not shown.isdisjoint(among)
        if row["account"] == target or account not in ("", row["account"]) or not open_ or not wanted:
            continue
        turn = row["turn"] + 1
        await transaction.connection.execute(TURN["move"], row["slot"], row["number"], target, due, turn)
        if row["state"] == WAITING:
            transaction.wait(target, row["priority"], row["lane_client"], due, row["number"], turn)
        recipients, place = (
            recipients_of(row["recipients"]),
            Place(row["id"], row["client"], target, row["send_at"]),
        )
        for each in open_:
            said = f"Moved from the account {row['account']}."
            letter, doubtful = row["states"][each], row["doubts"][each] == "1"
            transaction.event(place, recipients[each].address, letter, doubtful=doubtful, said=said)
        changed += len(open_)
    transaction.stirs = transaction.stirs or changed > 0
    return changed


async def pause(transaction: Transaction, pause: Pause) -> None:
    texts = clean(pause.reason), clean(pause.remedy)
    row = (pause.account, pause.since, *texts, pause.probe, pause.probes, pause.passes)
    await transaction.connection.execute(NODES["pause"], *row)
    transaction.stirs = True


async def resume(transaction: Transaction, account: str) -> bool:
    found = bool(await transaction.connection.fetch(NODES["resume"], account))
    transaction.stirs = transaction.stirs or found
    return found


async def retire(transaction: Transaction, before: float) -> tally.Retired:
    """From now on what came to its end before that is gone for everybody: what one transaction bears."""
    retired = await tally.retire(transaction, before)
    if retired.more:
        return retired
    connection = transaction.connection
    gone = max(before, (await meta(connection))["retired"])
    dropped = await connection.fetch(LOOK["drop-keys"], before - KEYS_KEPT, gone, tally.AT_ONCE)
    forgotten = await connection.fetch(LOOK["forget-events"], before, before - FOR_WEBHOOKS, tally.AT_ONCE)
    await connection.execute(SESSION["drop-marks"], transaction.time - MARKS_KEPT)
    return retired._replace(more=tally.AT_ONCE in (len(dropped), len(forgotten)))
