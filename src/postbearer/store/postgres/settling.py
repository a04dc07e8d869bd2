"""The ends of attempts: a mark for each, made only while the lease is the one it was made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postbearer.errors import LeaseLost
from postbearer.store.postgres.contents import PostgresStaging
from postbearer.store.postgres.rows import OPEN, clean, recipients_of, said_text, slot_of
from postbearer.store.postgres.transaction import READY, TURN, Place, Transaction
from postbearer.store.records import Claimed, Report, Settlement, Status
from postbearer.store.rows import DONE, LETTERS, WAITING, settled_state

DEFERRED = LETTERS[Status.DEFERRED]
ANSWERED = [LETTERS[each] for each in (Status.DELIVERED, Status.DEFERRED, Status.FAILED, Status.EXPIRED)]


@dataclass(frozen=True, slots=True)
class Held:
    """What a delivery was like when it was leased: nobody else changes it until the lease is over."""

    states: str
    doubts: str
    began: float


@dataclass(frozen=True, slots=True)
class Ending:
    """An attempt that is to end: how it began, and how it ends."""

    claimed: Claimed
    held: Held
    settlement: Settlement
    reports: tuple[tuple[Report, PostgresStaging], ...] = ()

    def marked(self) -> tuple[str, str]:
        """The states and the doubts of its recipients, after it."""
        states, doubts = list(self.held.states), list(self.held.doubts)
        for target, fate in self._fates():
            states[target.row] = LETTERS[fate.status]
            if self.settlement.unknown:
                doubts[target.row] = "1"
        return "".join(states), "".join(doubts)

    def said(self) -> list[tuple[int, str, str, str]]:
        return [
            (target.row, fate.reply, fate.cause, fate.remedy)
            for target, fate in self._fates()
            if fate.reply or fate.cause or fate.remedy
        ]

    def _fates(self) -> list[Any]:
        results = self.settlement.results
        return list(zip(self.claimed.targets, results, strict=True)) if results else []

    def words(self) -> dict[int, str]:
        """What is said of each recipient that was tried."""
        return {target.row: fate.reply or fate.cause for target, fate in self._fates()}


async def settle_all(transaction: Transaction, endings: Sequence[Ending]) -> list[Exception | None]:
    """Mark them. Of each, what was wrong with it: `LeaseLost`, and then nothing of it was done."""
    rows: dict[int, list[tuple[Any, ...]]] = {}
    for each in endings:
        rows.setdefault(slot_of(each.claimed.delivery), []).append(_mark(each))
    marked: dict[int, tuple[int, float]] = {}
    for slot, marks in rows.items():
        columns = [[row[column] for row in marks] for column in range(10)]
        for number, turn, due in await transaction.connection.fetch(TURN["settle"], slot, *columns):
            marked[number] = turn, due
    return [_settled(transaction, each, marked) for each in endings]


def _mark(ending: Ending) -> tuple[Any, ...]:
    claimed, settlement = ending.claimed, ending.settlement
    states, doubts = ending.marked()
    state = settled_state({letter.encode() for letter in states})
    due = settlement.ended if settlement.due is None else settlement.due
    return (
        claimed.delivery,
        claimed.lease,
        state,
        claimed.attempt if settlement.counted else claimed.attempt - 1,
        due if state == WAITING else None,
        settlement.ended if state == DONE else 0.0,
        settlement.warned,
        (settlement.account if state != DONE else "") or claimed.account,
        states,
        doubts,
    )


def _settled(
    transaction: Transaction, ending: Ending, marked: Mapping[int, tuple[int, float]]
) -> Exception | None:
    claimed, settlement = ending.claimed, ending.settlement
    if claimed.delivery not in marked:
        return LeaseLost(f"The delivery of {claimed.message.id} is not ours any more.")
    turn, due = marked[claimed.delivery]
    _, _, state, _, _, _, _, account, states, doubts = _mark(ending)
    if state == WAITING:
        transaction.wait(account, int(claimed.priority), claimed.client, due, claimed.delivery, turn)
    transaction.outcome(
        claimed.delivery,
        claimed.lease,
        claimed.attempt,
        settlement.counted,
        ending.held.began,
        settlement.ended,
        settlement.unknown,
        clean(settlement.server),
        clean(settlement.queue_id),
        clean(settlement.error),
        said_text(ending.said()),
        clean(settlement.transcript),
    )
    place = Place(claimed.message.id, claimed.message.client, account, claimed.message.send_at)
    words = ending.words()
    for target in claimed.targets:
        row, letter = target.row, states[target.row]
        doubt = doubts[row] != ending.held.doubts[row]
        if letter != ending.held.states[row] or doubt:
            said = words.get(row, "") if letter in ANSWERED and not doubt else ""
            counts, to = letter not in (ending.held.states[row], READY), target.recipient.address
            transaction.event(place, to, letter, doubtful=doubts[row] == "1", said=said, counts=counts)
    for report, content in ending.reports:
        transaction.keep(report.message, content, [report.delivery])
    return None


async def end_leased(transaction: Transaction, rows: Sequence[Any], *, doubtful: bool, error: str) -> None:
    """End leases that nobody here holds. `doubtful`: what was under way may have arrived."""
    now = transaction.time
    for row in rows:
        states, doubts = row["states"], row["doubts"]
        if doubtful:
            changed = [letter in OPEN for letter in states]
            doubts = "".join("1" if one else doubt for one, doubt in zip(changed, doubts, strict=True))
            states = "".join(DEFERRED if one else letter for one, letter in zip(changed, states, strict=True))
        columns = (
            *(row["number"], row["lease"], WAITING, row["attempt"], now, 0.0, False, row["account"]),
            *(states, doubts),
        )
        found = await transaction.connection.fetch(
            TURN["settle"], row["slot"], *([column] for column in columns)
        )
        for number, turn, due in found:
            transaction.wait(row["account"], row["priority"], row["lane_client"], due, number, turn)
            attempt = (row["attempt"], True, row["began"], now, doubtful, "", "", error, said_text([]), "")
            transaction.outcome(number, row["lease"], *attempt)
            place = Place(row["id"], row["client"], row["account"])
            for each, recipient in enumerate(recipients_of(row["recipients"])):
                if (states[each], doubts[each]) != (row["states"][each], row["doubts"][each]):
                    counts = states[each] != row["states"][each]
                    transaction.event(place, recipient.address, states[each], doubtful=True, counts=counts)
