"""What a value means beyond its type, as marks on the types of settings."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

Kind = Literal[
    "duration",
    "time-span",
    "size",
    "secret",
    "address",
    "host-port",
    "host-name",
    "dkim-selector",
    "network",
    "url",
    "account",
    "webhook",
    "grant",
    "tag",
]


def _kind(kind: Kind, *examples: str) -> Meta:
    return Meta(extra={"kind": kind}, extra_json_schema={"examples": list(examples)} if examples else None)


def Prose(text: str) -> Meta:  # noqa: N802 - stands where a class name would, in annotations
    """A description, shown by ``config schema``."""
    return Meta(description=text)


Seconds = Annotated[float, _kind("duration", "90 s", "1h 30m")]
TimeSpan = Annotated[float, _kind("time-span", "90 s", "1h 30m")]  # a duration that is not zero
Size = Annotated[int, _kind("size", "25 MB", "10 MiB")]
Reference = Annotated[str, _kind("secret", "env:NAME", "file:/run/secrets/name", "command:pass show mail")]
AddressText = Annotated[str, _kind("address", "alerts@example.org")]
HostPort = Annotated[str, _kind("host-port", "mail.example.org:587")]
HostName = Annotated[str, _kind("host-name", "host.example.org", "[192.0.2.1]")]
DkimSelector = Annotated[str, _kind("dkim-selector", "selector1", "google")]
NetworkText = Annotated[str, _kind("network", "192.0.2.0/24", "2001:db8::/32", "192.0.2.9")]
Url = Annotated[str, _kind("url", "https://login.example.org/oauth2/token")]
WebhookUrl = Annotated[str, _kind("webhook", "https://ops.example.org/hook", "env:HOOK_URL")]
AccountName = Annotated[str, _kind("account", "alerts")]
GrantText = Annotated[str, _kind("grant")]
TagText = Annotated[str, _kind("tag", "customer:42")]
Day = Annotated[date, Meta(extra_json_schema={"examples": ["2027-03-01"]})]
Count = Annotated[int, Meta(ge=1)]
