"""Kill the relay again and again under load, let it finish, and compare what went in with what came out."""

from __future__ import annotations

import contextlib
import json
import platform
import smtplib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import apsw

from postbearer.store import Entry
from relay.checker import Doubt, Final, Findings, check
from relay.load import REFUSED, Load, arrivals
from relay.running import Relay, plain_account, relay_table
from servers.sink import Sink

PATIENCE = 20.0  # seconds in which a crash point has to be reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the published table."""

    fault: str
    variant: str
    kills: int
    submitted: int
    accepted: int
    delivered: int
    failed: int
    lost: int
    duplicated: int
    unexplained: int
    recovered: int
    unexpected: int
    windows: dict[str, int]
    restart_p50: float
    restart_max: float
    seed: int
    control: bool = False  # a run that has to lose

    @classmethod
    def of(cls, fault: str, found: Findings, **more: Any) -> Row:
        starts = more.pop("starts") or [0.0]
        return cls(
            fault=fault,
            submitted=found.submitted,
            accepted=found.accepted,
            delivered=found.delivered,
            failed=found.failed,
            lost=len(found.lost),
            duplicated=found.duplicated,
            unexplained=len(found.unexplained),
            recovered=found.recovered,
            unexpected=len(found.unexpected),
            windows=found.windows,
            restart_p50=round(statistics.median(starts), 2),
            restart_max=round(max(starts), 2),
            **more,
        )

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "versions": VERSIONS})


VERSIONS = {
    "python": platform.python_version(),
    "sqlite": apsw.sqlite_lib_version(),
    "kernel": platform.release().split("-")[0],
}


class Campaign:
    """One folder, one sink, one queue; any number of kills."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        refused: float = 0.0,
        sink: type[Sink] = Sink,
        spool: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        self.seed = seed
        self.sink = sink({REFUSED: "550 5.1.1 No such user"})
        self.load = Load(seed, refused=refused)
        lines = [f'spool = "sqlite:{spool}"'] if spool else []
        self.relay = Relay(folder, plain_account(self.sink.port) + relay_table(*lines), spool)
        self.kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.load.finish()
        self.relay.__exit__(*exception)
        self.sink.close()

    def die_at(self, point: str) -> bool:
        """Start, and send until it dies at `point`; whether it did."""
        if self.relay.start(crash_at=point):
            self.load.start(self.relay.port)
            deadline = time.monotonic() + PATIENCE
            while self.relay.running and time.monotonic() < deadline:
                time.sleep(0.005)
            died = not self.relay.running
            if not died:
                self.relay.kill()
            self.load.finish()
        else:
            died = True
        self.kills += died
        assert not died or self.relay.ended() in (137, -9), self.relay.log
        return died

    def kill_after(self, seconds: float, *, source: bool = False) -> None:
        """Start, send for `seconds`, and kill it."""
        assert self.relay.start(), self.relay.log
        self.load.start(self.relay.port)
        if source:
            self.load.start_source(self.relay.port)
        time.sleep(seconds)
        self.relay.kill()
        self.kills += 1
        self.load.finish()

    def send(self, messages: int) -> None:
        """Send that many and no more."""
        with smtplib.SMTP("127.0.0.1", self.relay.port, "load.example.org", timeout=20) as client:
            client.ehlo()
            for _ in range(messages):
                with contextlib.suppress(smtplib.SMTPServerDisconnected):
                    self.load.send_one(client)
            client.close()

    async def outcome(self, fault: str, variant: str = "") -> tuple[Row, Findings]:
        """Let it finish, stop it, compare."""
        assert self.relay.running or self.relay.start(), self.relay.log
        self.relay.drain()
        assert self.relay.stop() == 0, self.relay.log
        findings = await compare(self.relay, self.load, self.sink)
        row = Row.of(
            fault, findings, variant=variant, kills=self.kills, starts=self.relay.starts, seed=self.seed
        )
        return row, findings


async def compare(relay: Relay, load: Load, sink: Sink) -> Findings:
    """What the checker says of a relay that has stopped."""
    return compared(await relay.entries(), relay.said("PossibleDuplicate"), load, sink)


def compared(
    entries: Sequence[Entry], doubted: Sequence[Mapping[str, Any]], load: Load, sink: Sink
) -> Findings:
    """What the checker says of a queue, of what relays doubted, and of what came to the sink."""
    names, finals = {}, []
    for entry in entries:
        name = _name(entry.message.message_id, entry.message.envelope.addresses)
        names[entry.message.id] = name
        if not entry.message.report_of:
            finals += [Final(name, row.address, str(row.status)) for row in entry.rows]
    doubts = [Doubt(names.get(each["id"], each["id"]), each["window"]) for each in doubted]
    reports = {
        each.message.message_id.strip("<>"): names.get(each.message.report_of, "")
        for each in entries
        if each.message.report_of
    }
    return check(load.submitted, arrivals(sink.messages(), reports), doubts, finals, load.batches)


def _name(message_id: str, addresses: tuple[str, ...]) -> str:
    """The load's name of a message; smtp-source's have but their recipient."""
    local, _, domain = message_id.strip("<>").partition("@")
    return local if domain == "load.example.org" else addresses[0]
