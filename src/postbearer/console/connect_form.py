"""What is asked for to connect a mailbox: by provider and grant, in the words of who sets it up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from postbearer.config import Providers
from postbearer.oauth import TokenGrant, grant_class
from postbearer.providers import Ids, Preset, SetupStep

NOT_HERE = ("command", "managed-identity", "workload-identity", "static")  # they run, read or are for tests
SECRETS = ("client-secret", "certificate", "key-password", "password", "refresh-token", "service-account")
FILES = ("certificate", "service-account")  # secrets that usually are files
LISTS = ("servers", "scopes")
_USUAL = ("microsoft", "google", "outlook")
_OWN = "postbearer "
_WORD = re.compile(r"(<[A-Za-z ]+>)")
_WORDS = {  # what stands in the commands → the field that says it
    "mailbox": "address",
    "account": "address",
    "address": "address",
    "mailbox or service principal": "address",
    "client id": "client-id",
    "tenant": "tenant",
}
LABELS: Mapping[str, tuple[str, str]] = {
    "name": (
        "What to call it here",
        "Small letters and digits. Empty: the part of the address before the @.",
    ),
    "address": ("Mailbox", "The address that mail leaves from."),
    "tenant": ("Organisation", "Its domain or directory (tenant) id."),
    "servers": ("Mail server", "host:port, such as mail.example.org:587. Several in the order to try them."),
    "issuer": ("Issuer", "The address of the authorization server, if it describes itself there."),
    "token-url": ("Token address", "Needed unless the issuer says it."),
    "authorize-url": ("Sign-in address", "Needed unless the issuer says it."),
    "device-url": ("Address for device codes", "Needed unless the issuer says it."),
    "scopes": ("Scopes", "What to ask for, with blanks between."),
    "client-id": ("Application (client) id", "Of the app that is registered at the provider."),
    "client-secret": ("Client secret", "Its value, not its id."),
    "certificate": ("Certificate with its key", "PEM, or a PKCS#12 file."),
    "key-password": ("Password of that key", "If it has one."),
    "password": ("Password", "Of the mailbox, or one for this program alone."),
    "refresh-token": ("Refresh token", "Of a sign-in elsewhere."),
    "service-account": ("Key file of the service account", "JSON."),
}


class FormField(NamedTuple):
    """One field of the form. `optional`: it may stay empty."""

    key: str
    label: str
    hint: str
    optional: bool
    secret: bool
    file: bool


class CommandPart(NamedTuple):
    """A piece of a command: plain, or what the field `of` says (`text` as long as it is empty)."""

    text: str
    of: str = ""


class SetupView(NamedTuple):
    """One thing to set up at the provider."""

    do: str
    where: str
    who: str
    command: Sequence[CommandPart]


class ProviderChoice(NamedTuple):
    """One provider that can be chosen."""

    name: str
    title: str


def choices(providers: Providers) -> list[ProviderChoice]:
    """All there are: what most have first, any other server last."""

    def rank(name: str) -> tuple[int, str]:
        if name == "smtp":
            return len(_USUAL) + 1, name
        return _USUAL.index(name) if name in _USUAL else len(_USUAL), name

    names = sorted(providers.names(), key=rank)
    return [ProviderChoice(name, providers.preset(name).title) for name in names]


def fields(preset: Preset, grant: str, *, like: bool) -> Iterator[FormField]:
    """What is asked for. With `like`, all that another account says may stay empty."""
    kind = grant_class(grant) if grant else None
    yield _field("name", optional=True)
    yield _field("address")
    if not like:
        yield from _place(preset, kind, grant)
    if kind is not None and not preset.scopes.get(grant):
        yield _field("scopes", optional=True)
    if kind is None:
        yield _field("password", optional=like)
        return
    asked = {key for group in kind.needs for key in group}
    if "client-id" in asked:
        yield _field("client-id", optional=like)
    yield from _secrets(kind, asked, like=like)


def _place(preset: Preset, kind: type[TokenGrant] | None, grant: str) -> Iterator[FormField]:
    if kind is not None and "{tenant}" in preset.token_url:
        yield _field("tenant", optional=grant not in preset.tenant_required_by)
    if not preset.servers:
        yield _field("servers")
    if kind is not None and kind.endpoints and not (preset.token_url or preset.issuer):
        yield _field("issuer", optional=True)
        yield from (_field(key, optional=True) for key in kind.endpoints)


def _secrets(kind: type[TokenGrant], asked: set[str], *, like: bool) -> Iterator[FormField]:
    proofs = [key for key in SECRETS if key in asked]
    several = len([key for key in proofs if key in ("client-secret", "certificate", "service-account")]) > 1
    if kind.public and "client-secret" not in proofs:
        proofs.append("client-secret")
    if "certificate" in proofs and "key-password" not in proofs:
        proofs.insert(proofs.index("certificate") + 1, "key-password")
    for key in proofs:
        own = key in ("password", "refresh-token")  # of the mailbox, and so never another one's
        yield _field(key, optional=several or key not in asked or (like and not own))


def _field(key: str, *, optional: bool = False) -> FormField:
    label, hint = LABELS[key]
    return FormField(key, label, hint, optional, key in SECRETS, key in FILES)


def steps(preset: Preset, grant: str, typed: Mapping[str, str]) -> list[SetupView]:
    """What has to be set up at the provider, with what was typed so far in its commands."""
    return [_view(step, typed) for step in preset.steps(grant) if not step.command.startswith(_OWN)]


def _view(step: SetupStep, typed: Mapping[str, str]) -> SetupView:
    found = [_part(each, typed) for each in _WORD.split(step.command) if each]
    return SetupView(step.do, step.where, str(step.who), found)


def _part(text: str, typed: Mapping[str, str]) -> CommandPart:
    if not _WORD.fullmatch(text):
        return CommandPart(text)
    return CommandPart(_filled(text, typed), _WORDS.get(text[1:-1].lower(), ""))


def _filled(word: str, typed: Mapping[str, str]) -> str:
    ids = Ids(
        address=typed.get("address", ""),
        client_id=typed.get("client-id", ""),
        tenant=typed.get("tenant", ""),
    )
    return ids.fill(word)
