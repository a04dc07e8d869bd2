"""What went in must come out: compares what was promised with what arrived. Pure.

A *copy* is one message for one recipient, named by both. Each possible second copy the relay has spoken
of explains one more arrival of that message for each of its recipients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Copy = tuple[str, str]  # message, recipient

OPEN = {"ready", "leased", "deferred"}
REPORTED = {"failed", "expired"}


@dataclass(frozen=True, slots=True)
class Submitted:
    """What the load generator sent, and the reply it got; `code` 0: none."""

    id: str
    recipients: tuple[str, ...]
    digest: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of a program that tells only how many of them were answered by 250."""

    ids: frozenset[str]
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the sink took, noted before it answered; `report`: it is a delivery report about `id`."""

    id: str
    recipient: str
    digest: str = ""
    report: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """The relay said that `id` may be delivered more than once."""

    id: str
    window: str


@dataclass(frozen=True, slots=True)
class Final:
    """What the queue says in the end."""

    id: str
    recipient: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Counts of copies. Only `duplicated`, `recovered` and `windows` may be other than nothing."""

    submitted: int
    accepted: int
    delivered: int
    failed: int
    held: int
    lost: tuple[Copy, ...]
    duplicated: int  # and explained
    unexplained: tuple[Copy, ...]
    recovered: int  # no 250, and it arrived all the same
    unexpected: tuple[str, ...]
    false_final: tuple[Copy, ...]
    undrained: tuple[Copy, ...]
    windows: dict[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> dict[str, Sequence[object]]:
        """What must not be, by name."""
        names = ("lost", "unexplained", "unexpected", "false_final", "undrained")
        return {name: found for name in names if (found := getattr(self, name))}


def check(
    submitted: Sequence[Submitted],
    arrived: Iterable[Arrived],
    doubts: Sequence[Doubt],
    finals: Sequence[Final],
    batches: Sequence[Batch] = (),
) -> Findings:
    """Compare. Messages of a batch are in `submitted` as well, with no reply."""
    sent = {(each.id, to): each for each in submitted for to in each.recipients}
    arrivals = list(arrived)
    mail = Counter((each.id, each.recipient) for each in arrivals if not each.report)
    reports = {each.id for each in arrivals if each.report}
    status = {(each.id, each.recipient): each.status for each in finals}
    doubted = Counter(each.id for each in doubts)
    accepted = {copy for copy, each in sent.items() if each.code == 250}
    excused = {c for c, s in status.items() if s == "held" or (s in REPORTED and c[0] in reports)}
    extra = {copy: count - 1 for copy, count in mail.items() if count > 1}
    explained = {copy: min(count, doubted[copy[0]]) for copy, count in extra.items()}
    lost = sorted(accepted - set(mail) - excused)
    for batch in batches:
        missing = batch.acknowledged - len({copy for copy in mail if copy[0] in batch.ids})
        lost += [("one of a batch", min(batch.ids, default=""))] * missing
    return Findings(
        submitted=len(sent),
        accepted=len(accepted) + sum(batch.acknowledged for batch in batches),
        delivered=len(mail),
        failed=sum(1 for each in status.values() if each in REPORTED),
        held=sum(1 for each in status.values() if each == "held"),
        lost=tuple(lost),
        duplicated=sum(explained.values()),
        unexplained=tuple(copy for copy, count in extra.items() if count > explained[copy]),
        recovered=max(0, len(set(mail) - accepted) - sum(batch.acknowledged for batch in batches)),
        unexpected=tuple(_unexpected(sent, arrivals)),
        false_final=tuple(c for c, s in status.items() if s == "delivered" and c not in mail),
        undrained=tuple(copy for copy, each in status.items() if each in OPEN),
        windows=dict(Counter(each.window for each in doubts)),
    )


def _unexpected(sent: dict[Copy, Submitted], arrived: Iterable[Arrived]) -> Iterable[str]:
    ids = {id_ for id_, _ in sent}
    for each in arrived:
        known = sent.get((each.id, each.recipient))
        if each.report:
            if each.id not in ids:
                yield f"a report about {each.id}, which nobody sent"
        elif known is None:
            yield f"{each.id} for {each.recipient}, which nobody sent"
        elif known.code >= 500:
            yield f"{each.id}, which was refused by {known.code}"
        elif known.digest and known.digest != each.digest:
            yield f"{each.id} with other octets than were sent"
