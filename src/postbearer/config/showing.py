"""A configuration as it is shown: secrets stand in it as references, and what may be one is blanked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from postbearer.config.schema import Settings

BLANK = "***"
_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")
_SECRET = ("password-hash",)  # keys whose values are for the relay alone
_CALLED = ("webhooks", "heartbeat", "url")  # whose addresses may be secrets


def masked(value: Any) -> Any:
    """`value` without the passwords that URLs in it hold."""
    if isinstance(value, Mapping):
        return {key: masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    return _PASSWORD.sub(rf"\1:{BLANK}@", value) if isinstance(value, str) else value


def blanked(value: Any, key: str = "") -> Any:
    """The same for who may look from elsewhere: also without hashes, arguments of commands, and paths of
    addresses that are called."""
    if isinstance(value, Mapping):
        return {name: blanked(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        kept = value[:1] if key == "command" else value
        return [*(blanked(each, key) for each in kept), *([BLANK] if len(kept) < len(value) else [])]
    if not isinstance(value, str):
        return value
    if key in _SECRET:
        return BLANK
    if key == "command" or value.startswith("command:"):
        program, _, arguments = value.partition(" ")
        return f"{program} {BLANK}" if arguments else value
    if key in _CALLED and "://" in value:
        scheme, _, rest = value.partition("://")
        host, slash, _ = rest.partition("/")
        return masked(f"{scheme}://{host}{slash and '/' + BLANK}")
    return masked(value)


def with_defaults(settings: Settings) -> Any:
    """All settings, also those that nobody set; those that have no value are left out."""

    def without_none(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_none(each) for key, each in value.items() if each is not None}
        return [without_none(each) for each in value] if isinstance(value, list) else value

    return without_none(msgspec.to_builtins(settings))
