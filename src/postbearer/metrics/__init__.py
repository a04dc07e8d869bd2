"""Metrics for Prometheus: events counted, and what the queue and the accounts are like now."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.metrics.counters import EventCounters as EventCounters
    from postbearer.metrics.exposition import CONTENT_TYPE as CONTENT_TYPE
    from postbearer.metrics.exposition import Exposition as Exposition
    from postbearer.metrics.readings import AccountReading as AccountReading
    from postbearer.metrics.readings import ReadingSources as ReadingSources
    from postbearer.metrics.readings import WebhookReading as WebhookReading

_EXPORTS = {
    "counters": ["EventCounters"],
    "exposition": ["CONTENT_TYPE", "Exposition"],
    "readings": ["AccountReading", "ReadingSources", "WebhookReading"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
