"""Events: what postbearer tells whoever listens. Logs, `demo` and `check` are made of them.

No event holds a secret or a token.
"""

from postbearer._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer.events.base import Defect as Defect
    from postbearer.events.base import Event as Event
    from postbearer.events.base import Observer as Observer
    from postbearer.events.base import Several as Several
    from postbearer.events.base import Silent as Silent
    from postbearer.events.base import Warned as Warned
    from postbearer.events.base import hears as hears
    from postbearer.events.relay import Accepted as Accepted
    from postbearer.events.relay import AccountPaused as AccountPaused
    from postbearer.events.relay import AccountResumed as AccountResumed
    from postbearer.events.relay import Backlog as Backlog
    from postbearer.events.relay import ClientConnected as ClientConnected
    from postbearer.events.relay import ClientDisconnected as ClientDisconnected
    from postbearer.events.relay import CommandRejected as CommandRejected
    from postbearer.events.relay import Committed as Committed
    from postbearer.events.relay import DeliveryEnded as DeliveryEnded
    from postbearer.events.relay import Expiring as Expiring
    from postbearer.events.relay import LoginFailed as LoginFailed
    from postbearer.events.relay import OperatorAction as OperatorAction
    from postbearer.events.relay import PossibleDuplicate as PossibleDuplicate
    from postbearer.events.relay import Reloaded as Reloaded
    from postbearer.events.relay import Reported as Reported
    from postbearer.events.relay import Started as Started
    from postbearer.events.relay import Stopped as Stopped
    from postbearer.events.relay import TurnedAway as TurnedAway
    from postbearer.events.relay import WebhookAttempted as WebhookAttempted
    from postbearer.events.relay import WebhookDisabled as WebhookDisabled
    from postbearer.events.relay import WebhookFailing as WebhookFailing
    from postbearer.events.relay import WebhookWorks as WebhookWorks
    from postbearer.events.sending import Attempted as Attempted
    from postbearer.events.sending import Authenticated as Authenticated
    from postbearer.events.sending import Connected as Connected
    from postbearer.events.sending import ConnectionClosed as ConnectionClosed
    from postbearer.events.sending import ConnectionReused as ConnectionReused
    from postbearer.events.sending import ServerFailed as ServerFailed
    from postbearer.events.sending import Throttled as Throttled
    from postbearer.events.sending import TlsStarted as TlsStarted
    from postbearer.events.sending import TokenFetched as TokenFetched
    from postbearer.events.sending import TokenRefused as TokenRefused
    from postbearer.events.sending import TokenRequested as TokenRequested

_EXPORTS = {
    "base": ["Defect", "Event", "Observer", "Several", "Silent", "Warned", "hears"],
    "relay": [
        "Accepted",
        "AccountPaused",
        "AccountResumed",
        "Backlog",
        "ClientConnected",
        "ClientDisconnected",
        "CommandRejected",
        "Committed",
        "DeliveryEnded",
        "Expiring",
        "LoginFailed",
        "OperatorAction",
        "PossibleDuplicate",
        "Reloaded",
        "Reported",
        "Started",
        "Stopped",
        "TurnedAway",
        "WebhookAttempted",
        "WebhookDisabled",
        "WebhookFailing",
        "WebhookWorks",
    ],
    "sending": [
        "Attempted",
        "Authenticated",
        "Connected",
        "ConnectionClosed",
        "ConnectionReused",
        "ServerFailed",
        "Throttled",
        "TlsStarted",
        "TokenFetched",
        "TokenRefused",
        "TokenRequested",
    ],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
