"""The queue on disk: the spool, and what is written in it."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.store.factory import SpoolPlace as SpoolPlace
    from postbearer.store.factory import SpoolUrl as SpoolUrl
    from postbearer.store.factory import inspect_database as inspect_database
    from postbearer.store.factory import open_outbox as open_outbox
    from postbearer.store.factory import open_spool as open_spool
    from postbearer.store.factory import open_state as open_state
    from postbearer.store.factory import spool_place as spool_place
    from postbearer.store.lease import HEARTBEAT as HEARTBEAT
    from postbearer.store.lease import LEASE as LEASE
    from postbearer.store.lease import LOCAL as LOCAL
    from postbearer.store.lease import NodeDetails as NodeDetails
    from postbearer.store.location import SpoolLock as SpoolLock
    from postbearer.store.memory import MemorySpool as MemorySpool
    from postbearer.store.operating import AuditEntry as AuditEntry
    from postbearer.store.operating import AuditRecord as AuditRecord
    from postbearer.store.operating import Job as Job
    from postbearer.store.operating import JobAction as JobAction
    from postbearer.store.operating import JobState as JobState
    from postbearer.store.operating import NodeRecord as NodeRecord
    from postbearer.store.outbox import Outbox as Outbox
    from postbearer.store.outbox import OutboxRow as OutboxRow
    from postbearer.store.outbox import Taken as Taken
    from postbearer.store.postgres.inspection import DatabaseInfo as DatabaseInfo
    from postbearer.store.postgres.url import NO_KEY as NO_KEY
    from postbearer.store.postgres.url import PostgresUrl as PostgresUrl
    from postbearer.store.records import BY_HAND as BY_HAND
    from postbearer.store.records import SET_ASIDE as SET_ASIDE
    from postbearer.store.records import Attempt as Attempt
    from postbearer.store.records import Claimed as Claimed
    from postbearer.store.records import Entry as Entry
    from postbearer.store.records import Found as Found
    from postbearer.store.records import IdempotencyKey as IdempotencyKey
    from postbearer.store.records import Incoming as Incoming
    from postbearer.store.records import Lane as Lane
    from postbearer.store.records import LaneKey as LaneKey
    from postbearer.store.records import Message as Message
    from postbearer.store.records import NewDelivery as NewDelivery
    from postbearer.store.records import Pause as Pause
    from postbearer.store.records import PausedBy as PausedBy
    from postbearer.store.records import Priority as Priority
    from postbearer.store.records import Query as Query
    from postbearer.store.records import RecipientPage as RecipientPage
    from postbearer.store.records import Report as Report
    from postbearer.store.records import Row as Row
    from postbearer.store.records import Settlement as Settlement
    from postbearer.store.records import StateChange as StateChange
    from postbearer.store.records import Statistics as Statistics
    from postbearer.store.records import Status as Status
    from postbearer.store.records import Target as Target
    from postbearer.store.records import TrafficCount as TrafficCount
    from postbearer.store.records import Waiting as Waiting
    from postbearer.store.records import WaitingEvent as WaitingEvent
    from postbearer.store.records import WebhookRow as WebhookRow
    from postbearer.store.rows import readable as readable
    from postbearer.store.snapshot import refuse_newer as refuse_newer
    from postbearer.store.snapshot import snapshot as snapshot
    from postbearer.store.spool import DurableSpool as DurableSpool
    from postbearer.store.spool import Spool as Spool
    from postbearer.store.sqlite import SqliteSpool as SqliteSpool
    from postbearer.store.staging import Staging as Staging

_EXPORTS = {
    "factory": [
        "SpoolPlace",
        "SpoolUrl",
        "inspect_database",
        "open_outbox",
        "open_spool",
        "open_state",
        "spool_place",
    ],
    "lease": ["HEARTBEAT", "LEASE", "LOCAL", "NodeDetails"],
    "memory": ["MemorySpool"],
    "operating": ["AuditEntry", "AuditRecord", "Job", "JobAction", "JobState", "NodeRecord"],
    "outbox": ["Outbox", "OutboxRow", "Taken"],
    "postgres.inspection": ["DatabaseInfo"],
    "postgres.url": ["NO_KEY", "PostgresUrl"],
    "records": [
        "BY_HAND",
        "SET_ASIDE",
        "Attempt",
        "Claimed",
        "Entry",
        "Found",
        "IdempotencyKey",
        "Incoming",
        "Lane",
        "LaneKey",
        "Message",
        "NewDelivery",
        "Pause",
        "PausedBy",
        "Priority",
        "Query",
        "RecipientPage",
        "Report",
        "Row",
        "Settlement",
        "StateChange",
        "Statistics",
        "Status",
        "Target",
        "TrafficCount",
        "Waiting",
        "WaitingEvent",
        "WebhookRow",
    ],
    "rows": ["readable"],
    "location": ["SpoolLock"],
    "snapshot": ["refuse_newer", "snapshot"],
    "spool": ["DurableSpool", "Spool"],
    "sqlite": ["SqliteSpool"],
    "staging": ["Staging"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
