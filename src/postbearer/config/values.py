"""Checks of single values that a type does not say: references, addresses, hosts, URLs.

Each returns None, or what is wrong and what to do. A secret reference is never echoed: what stands
there may be the secret itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from postbearer.address import Address, ascii_domain
from postbearer.errors import UsageError
from postbearer.oauth import grant_names
from postbearer.settings import Kind
from postbearer.suggestion import did_you_mean
from postbearer.tags import parse_tag

SCHEMES = (
    "env",
    "file",
    "command",
    "systemd",
    "keyring",
    "sealed",
    "hashicorp-vault",
    "aws-secrets-manager",
    "azure-key-vault",
    "gcp-secret-manager",
    "conjur",
    "github-actions",
)
Wrong = tuple[str, str] | None

_REFERENCE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*):(.+)", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@]+):([0-9]{1,5})")
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]*")

REFERENCE_HINT = (
    "Write where it is kept, never the secret itself: env:NAME, file:/path, command:…, "
    "or seal it with: postbearer secret seal"
)


def checks(stores: Collection[str]) -> dict[Kind, Callable[[str], Wrong]]:
    """The check of every kind; `stores` are the names of the configured secret stores."""
    return {
        "secret": lambda text: reference(text, stores),
        "address": address,
        "host-port": host_port,
        "host-name": host_name,
        "dkim-selector": dkim_selector,
        "network": network,
        "url": url,
        "webhook": lambda text: webhook(text, stores),
        "account": account_name,
        "grant": grant,
        "tag": tag,
    }


def reference(text: str, stores: Collection[str] = ()) -> Wrong:
    """A secret reference (``env:NAME``, ``file:/path``, …) and not a secret."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return "holds something that is not a secret reference", REFERENCE_HINT
    scheme, rest = match[1], match[2]
    if scheme not in SCHEMES and scheme not in stores and scheme not in plug_ins():
        return "does not begin with a secret store that is known", REFERENCE_HINT
    if scheme == "env" and not _VARIABLE.fullmatch(rest):
        return "does not name an environment variable after env:", "Write env:NAME."
    if not rest.strip():
        return f"has nothing after {scheme}:", REFERENCE_HINT
    return None


def address(text: str) -> Wrong:
    """One bare mail address."""
    try:
        Address.parse(text).with_ascii_domain()
    except UsageError as error:
        return f"is no mail address: {_why(error)}", "Write it as user@example.org."
    return None


def host_port(text: str) -> Wrong:
    """``host:port``, with IPv6 literals in brackets."""
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        return f"cannot be {text!r}", "Write host:port, such as mail.example.org:587."
    if not 1 <= int(match[2]) <= 65535:
        return f"has the port {match[2]}, which does not exist", "Ports go from 1 to 65535."
    if not match[1].startswith("["):
        try:
            ascii_domain(match[1])
        except UsageError as error:
            return f"has a host name that is not valid: {_why(error)}", ""
    return None


def host_name(text: str) -> Wrong:
    """A name that may be said in EHLO: of a host, or its address in brackets (RFC 5321 4.1.1.1)."""
    from postbearer.wire import EHLO_NAME  # only for those who set one

    if not EHLO_NAME.fullmatch(text) or text.endswith("."):  # RFC 5321 4.1.2: servers refuse a dot there
        return f"cannot be {text!r}", "Write the name of this host, or its address in brackets: [192.0.2.1]."
    return None


def dkim_selector(text: str) -> Wrong:
    """A name below ``_domainkey`` (RFC 6376 3.1)."""
    if not _SELECTOR.fullmatch(text):
        return f"cannot be {text!r:.80}", "Write the selector alone, as the provider shows it: selector1."
    return None


def network(text: str) -> Wrong:
    """``192.0.2.0/24``, or a single address."""
    from ipaddress import ip_network

    try:
        ip_network(text)
    except ValueError as error:
        return f"holds what is no network: {error}", "Write 192.0.2.0/24, 2001:db8::/32 or one address."
    return None


def url(text: str) -> Wrong:
    """``https://…``, or ``http://`` on loopback. The rest of the URL is not echoed."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL", "Write https://host/path."
    if parts.scheme not in ("https", "http") or not host:
        return "is not a web URL", "Write https://host/path."
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password", "Use the keys for the client's credentials."
    if parts.fragment or any(character.isspace() for character in text):
        return "holds a fragment or a blank", "Write https://host/path."
    if parts.scheme == "http" and not is_loopback(host):
        return (
            f"uses http:// for {host}: secrets would travel in the clear",
            "Write https://; plain http is for loopback only.",
        )
    return None


def webhook(text: str, stores: Collection[str] = ()) -> Wrong:
    """A web address that may be called, or a reference to one. It is not echoed: it may be a secret."""
    if not text.partition(":")[0].startswith("http"):
        return reference(text, stores)
    if wrong := url(text):
        return wrong
    from postbearer.http import check_url  # only for those who have webhooks

    try:
        check_url(text)
    except UsageError as error:
        return f"cannot be called: {error.message}", error.hint
    return None


def grant(text: str) -> Wrong:
    """A grant that is built in, or that an installed package brings."""
    known = grant_names()
    if text in known or text in (others := plug_ins("postbearer.grants")):
        return None
    return f"cannot be {text!r}", did_you_mean(text, [*known, *sorted(others)])


def tag(text: str) -> Wrong:
    """``NAME:VALUE``, as a message may have it."""
    try:
        parse_tag(text)
    except UsageError as error:
        return f"holds what is no tag: {error.message.rstrip('.')}", "Write NAME:VALUE, such as customer:42."
    return None


def account_name(text: str) -> Wrong:
    """``[a-z0-9][a-z0-9_-]*``."""
    if not _ACCOUNT.fullmatch(text):
        return (
            f"cannot be {text!r:.60}",
            "An account is named with lower case letters, digits, - and _, a letter or digit first.",
        )
    return None


def _why(error: UsageError) -> str:
    """What is wrong with a text that has been named already."""
    return re.split(r" is not a (?:mail address|valid domain): ", error.message, maxsplit=1)[-1]


def is_loopback(host: str) -> bool:
    """True for 127.0.0.0/8, ::1 and localhost."""
    host = host.strip("[]").lower()
    if host == "localhost":
        return True
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def plug_ins(group: str = "postbearer.secret_stores") -> Collection[str]:
    """What installed packages add, by name."""
    from importlib.metadata import entry_points

    return entry_points(group=group).names
