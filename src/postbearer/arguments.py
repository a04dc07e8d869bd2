"""What programs say of an account: checked as a configuration is, and answered in the words of arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from postbearer.account import Options
from postbearer.errors import ConfigError, SecretError, UsageError
from postbearer.secret import SecretSource
from postbearer.secrets import is_reference, source
from postbearer.settings import DEFAULTS, AccountSettings, Limits
from postbearer.suggestion import meant
from postbearer.transport import ClientCertificate

_NAMES = [name.replace("_", "-") for name in Options.__optional_keys__]  # as a configuration has them
_PATHS = ("ca_file", "token_ca_file")
_OBJECTS = ("password", "certificate", "limits", "expires")  # where a configuration has text
_HINTS = {  # what a configuration is told, by key, in the words of a call
    "servers": 'Give servers=["mail.example.org:587"].',
    "token-url": 'Give token_url="https://…", or issuer="https://…" to have it discovered.',
    "tenant": 'Give tenant="example.org", the organisation\'s domain, or its directory id.',
    "tls": 'Give tls="implicit" or tls="starttls"; "none-loopback" is for this machine only.',
    "username": 'Give username="…".',
    "tls-certificate": "Give certificate=ClientCertificate(path), of postbearer.transport.",
    "grant": 'Leave the grant out, and give authentication="password" and password=….',
}


@cache
def _types() -> Mapping[str, Any]:
    """What each option is that is said in a program as in a configuration: its type without None."""
    said = {name: _sure(kind) for name, kind in get_type_hints(AccountSettings).items()}
    alike = Options.__optional_keys__ - {*_PATHS, *_OBJECTS}
    return {"name": str} | {name: kind for name, kind in said.items() if name in alike}


def _sure(kind: Any) -> Any:
    sure = [each for each in get_args(kind) if each is not NoneType]
    return sure[0] if get_origin(kind) in (Union, UnionType) and len(sure) == 1 else kind


@contextmanager
def argument_errors() -> Iterator[None]:
    """Tell what is wrong by the argument, not by the key that a configuration has for it."""
    try:
        yield
    except ConfigError as error:
        if error.file or not error.key:
            raise
        name = error.key.replace("-", "_")
        raise ConfigError(
            error.message, key=name, hint=_HINTS.get(error.key, error.hint)
        ) from error.__cause__


def secret_source(reference: str) -> SecretSource:
    """The source of a secret that a program names. Raises `SecretError`."""
    try:
        return source(reference)
    except SecretError as error:
        if is_reference(reference):
            raise
        hint = f"A secret that the program has itself is given as Secret(value). {error.hint}"
        raise SecretError(error.message, hint=hint) from None


def checked_options(address: object, grant: object, options: Mapping[str, Any]) -> Options:
    """`options` as they are meant: one text where a list belongs is a list of one. Raises `UsageError`."""
    if not isinstance(address, str):
        raise _wanted("address", "a text", address, '"alerts@example.org"')
    if grant is not None and not hasattr(grant, "asks"):
        raise _wanted("grant", "a grant", grant, 'ClientCredentials("client-id", "env:NAME")')
    for name in options:
        if name not in Options.__optional_keys__:
            near = [f"{each.replace('-', '_')}=" for each in meant(name, _NAMES)]
            raise UsageError(
                f"An account has no option {name!r:.80}.",
                hint=f"Did you mean {' or '.join(near)}?"
                if near
                else "docs/reference/library.md lists them.",
            )
    given = {name: _listed(name, value) for name, value in options.items() if value is not None}
    for name, value in given.items():
        _check(name, value)
    _demand(grant, given)
    return cast(Options, given)


def settings_of(provider: str, address: str, tenant: str, options: Options) -> AccountSettings:
    """What a configuration would say of such an account, but for what only a program can have."""
    said = {name: value for name, value in options.items() if name in _types() or name == "limits"}
    said.pop("name", None)
    texts = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    if "ca_file" in options:
        texts["ca_file"] = os.fspath(options["ca_file"])
    return AccountSettings(provider=provider, address=address, tenant=tenant or None, **cast(Any, texts))


def _listed(name: str, value: Any) -> Any:
    """Where a list belongs, one: of a text alone, or of whatever yields texts once."""
    if (
        get_origin(_types().get(name)) is not tuple
        or isinstance(value, bytes | Mapping)
        or not isinstance(value, Iterable)
    ):
        return value
    return [value] if isinstance(value, str) else list(value)


def _demand(grant: object, given: Mapping[str, Any]) -> None:
    """Whatever proves who we are has to be there."""
    way = given.get("authentication", DEFAULTS.authentication)
    if way == "oauth" and grant is None:
        raise UsageError(
            "There is no grant, which is how a token is had.",
            hint='Give grant=ClientCredentials(…) or another; or authentication="password", or "none".',
        )
    if way == "password" and "password" not in given:
        raise UsageError(
            "There is no password to log in with.", hint='Give password="env:NAME", or Secret(value).'
        )


def _check(name: str, value: Any) -> None:
    kind = _types().get(name)
    if get_origin(kind) is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise _wanted(name, "a list of texts", value, '["…"]')
    elif name in _PATHS and not isinstance(value, str | os.PathLike):
        raise _wanted(name, "a path", value, '"/etc/ssl/ca.pem"')
    elif kind is str and not isinstance(value, str):
        raise _wanted(name, "a text", value, '"…"')
    elif kind is float and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
        raise _wanted(name, "a number of seconds", value, "60.0")
    elif get_origin(kind) is Literal and value not in get_args(kind):
        raise UsageError(f"{name} cannot be {value!r:.80}.", hint=f"One of {', '.join(get_args(kind))}.")
    elif name == "certificate" and not isinstance(value, ClientCertificate):
        raise _wanted(name, "a ClientCertificate", value, "ClientCertificate(path), of postbearer.transport")
    elif name == "expires" and not isinstance(value, Mapping):
        raise _wanted(name, "a dict", value, '{"client-secret": time}')
    elif name == "limits" and not isinstance(value, Limits):
        raise _wanted(name, "Limits", value, "Limits(messages_per_minute=30)")


def _wanted(name: str, wanted: str, value: object, example: str) -> UsageError:
    kind = type(value).__name__
    return UsageError(f"{name}: {wanted} wanted, and no {kind}.", hint=f"Give {name}={example}.")
