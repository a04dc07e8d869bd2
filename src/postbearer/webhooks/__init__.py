"""Webhooks: what becomes of each message, told to whoever wants to be called."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.webhooks.pending import PendingEvents as PendingEvents
    from postbearer.webhooks.sender import DeliveryResult as DeliveryResult
    from postbearer.webhooks.sender import WebhookSender as WebhookSender
    from postbearer.webhooks.target import TIMEOUT as TIMEOUT
    from postbearer.webhooks.target import WebhookTarget as WebhookTarget
    from postbearer.webhooks.worker import WebhookState as WebhookState
    from postbearer.webhooks.worker import WebhookWorker as WebhookWorker

_EXPORTS = {
    "pending": ["PendingEvents"],
    "sender": ["DeliveryResult", "WebhookSender"],
    "target": ["TIMEOUT", "WebhookTarget"],
    "worker": ["WebhookState", "WebhookWorker"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
