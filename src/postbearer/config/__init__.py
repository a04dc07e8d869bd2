"""Configuration: one TOML file, overridden by the environment, checked as a whole before anything runs."""

from postbearer._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer.config.account_edits import renamed as renamed
    from postbearer.config.account_edits import with_keys as with_keys
    from postbearer.config.account_edits import without_account as without_account
    from postbearer.config.addition import Addition as Addition
    from postbearer.config.addition import descriptions as descriptions
    from postbearer.config.declared_keys import AccountKey as AccountKey
    from postbearer.config.declared_keys import account_keys as account_keys
    from postbearer.config.edit import holds_secret as holds_secret
    from postbearer.config.edit import key_path as key_path
    from postbearer.config.edit import replace as replace
    from postbearer.config.edit import set_key as set_key
    from postbearer.config.edit import setting_names as setting_names
    from postbearer.config.edit import typed_value as typed_value
    from postbearer.config.edit import unset_key as unset_key
    from postbearer.config.explaining import explained as explained
    from postbearer.config.jsonschema import json_schema as json_schema
    from postbearer.config.loading import Configuration as Configuration
    from postbearer.config.loading import load as load
    from postbearer.config.loading import parse as parse
    from postbearer.config.new_file import write_new as write_new
    from postbearer.config.providers import Providers as Providers
    from postbearer.config.relay import ClientSettings as ClientSettings
    from postbearer.config.relay import HttpSettings as HttpSettings
    from postbearer.config.relay import ListenerSettings as ListenerSettings
    from postbearer.config.relay import MessageWebhookSettings as MessageWebhookSettings
    from postbearer.config.relay import NotifySettings as NotifySettings
    from postbearer.config.relay import RelaySettings as RelaySettings
    from postbearer.config.relay import RouteSettings as RouteSettings
    from postbearer.config.relay import WebhookSettings as WebhookSettings
    from postbearer.config.schema import Settings as Settings
    from postbearer.config.search import candidates as candidates
    from postbearer.config.search import find as find
    from postbearer.config.search import is_system_wide as is_system_wide
    from postbearer.config.search import read as read
    from postbearer.config.showing import blanked as blanked
    from postbearer.config.showing import masked as masked
    from postbearer.config.showing import with_defaults as with_defaults
    from postbearer.config.units import MOMENT_HINT as MOMENT_HINT
    from postbearer.config.units import parse_duration as parse_duration
    from postbearer.config.units import parse_moment as parse_moment
    from postbearer.config.units import parse_size as parse_size
    from postbearer.config.values import SCHEMES as SCHEMES
    from postbearer.config.values import account_name as account_name
    from postbearer.config.values import network as network

_EXPORTS = {
    "account_edits": ["renamed", "with_keys", "without_account"],
    "addition": ["Addition", "descriptions"],
    "declared_keys": ["AccountKey", "account_keys"],
    "edit": ["holds_secret", "key_path", "replace", "set_key", "setting_names", "typed_value", "unset_key"],
    "explaining": ["explained"],
    "jsonschema": ["json_schema"],
    "loading": ["Configuration", "load", "parse"],
    "new_file": ["write_new"],
    "providers": ["Providers"],
    "relay": [
        "ClientSettings",
        "HttpSettings",
        "ListenerSettings",
        "MessageWebhookSettings",
        "NotifySettings",
        "RelaySettings",
        "RouteSettings",
        "WebhookSettings",
    ],
    "schema": ["Settings"],
    "search": ["candidates", "find", "is_system_wide", "read"],
    "showing": ["blanked", "masked", "with_defaults"],
    "units": ["MOMENT_HINT", "parse_duration", "parse_moment", "parse_size"],
    "values": ["SCHEMES", "account_name", "network"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
