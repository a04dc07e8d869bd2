"""Who is told, when and how, that a person must act: monitor, dispatcher, channels."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.alerts.alert import Alert as Alert
    from postbearer.alerts.channels import AlertChannel as AlertChannel
    from postbearer.alerts.channels import Program as Program
    from postbearer.alerts.channels import Webhook as Webhook
    from postbearer.alerts.dispatcher import AlertDispatcher as AlertDispatcher
    from postbearer.alerts.heartbeat import EVERY as EVERY
    from postbearer.alerts.heartbeat import Heartbeat as Heartbeat
    from postbearer.alerts.mail import AlertMail as AlertMail
    from postbearer.alerts.monitor import AlertMonitor as AlertMonitor
    from postbearer.alerts.monitor import AlertPreferences as AlertPreferences
    from postbearer.alerts.monitor import AlertSources as AlertSources
    from postbearer.alerts.state import AlertState as AlertState
    from postbearer.alerts.state import Notes as Notes

_EXPORTS = {
    "alert": ["Alert"],
    "channels": ["AlertChannel", "Program", "Webhook"],
    "dispatcher": ["AlertDispatcher"],
    "heartbeat": ["EVERY", "Heartbeat"],
    "mail": ["AlertMail"],
    "monitor": ["AlertMonitor", "AlertPreferences", "AlertSources"],
    "state": ["AlertState", "Notes"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
