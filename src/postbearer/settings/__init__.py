"""The settings of an account, with their meanings: what configurations and programs say alike."""

from postbearer._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer.settings.account import DEFAULTS as DEFAULTS
    from postbearer.settings.account import AccountSettings as AccountSettings
    from postbearer.settings.account import AssertionAlgorithm as AssertionAlgorithm
    from postbearer.settings.account import Authentication as Authentication
    from postbearer.settings.account import ClientAuthentication as ClientAuthentication
    from postbearer.settings.account import FallbackWhen as FallbackWhen
    from postbearer.settings.account import Mechanism as Mechanism
    from postbearer.settings.account import OnUnknown as OnUnknown
    from postbearer.settings.account import SenderPolicy as SenderPolicy
    from postbearer.settings.account import TlsMode as TlsMode
    from postbearer.settings.constraints import AccountName as AccountName
    from postbearer.settings.constraints import AddressText as AddressText
    from postbearer.settings.constraints import Count as Count
    from postbearer.settings.constraints import Day as Day
    from postbearer.settings.constraints import GrantText as GrantText
    from postbearer.settings.constraints import HostName as HostName
    from postbearer.settings.constraints import HostPort as HostPort
    from postbearer.settings.constraints import Kind as Kind
    from postbearer.settings.constraints import NetworkText as NetworkText
    from postbearer.settings.constraints import Prose as Prose
    from postbearer.settings.constraints import Reference as Reference
    from postbearer.settings.constraints import Seconds as Seconds
    from postbearer.settings.constraints import Size as Size
    from postbearer.settings.constraints import TagText as TagText
    from postbearer.settings.constraints import TimeSpan as TimeSpan
    from postbearer.settings.constraints import Url as Url
    from postbearer.settings.constraints import WebhookUrl as WebhookUrl
    from postbearer.settings.limits import Limits as Limits

_EXPORTS = {
    "account": [
        "AccountSettings",
        "AssertionAlgorithm",
        "Authentication",
        "ClientAuthentication",
        "DEFAULTS",
        "FallbackWhen",
        "Mechanism",
        "OnUnknown",
        "SenderPolicy",
        "TlsMode",
    ],
    "constraints": [
        "AccountName",
        "AddressText",
        "Count",
        "Day",
        "GrantText",
        "HostName",
        "HostPort",
        "Kind",
        "NetworkText",
        "Prose",
        "Reference",
        "Seconds",
        "Size",
        "TagText",
        "TimeSpan",
        "Url",
        "WebhookUrl",
    ],
    "limits": ["Limits"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
