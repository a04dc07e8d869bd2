"""Reading presets: those that come with postbearer, and a user's own, by the same rules."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from postbearer.errors import ConfigError
from postbearer.providers.catalogue import Catalogue
from postbearer.providers.model import Preset
from postbearer.providers.rules import Rule
from postbearer.suggestion import did_you_mean

T = TypeVar("T")
LARGEST = 1 << 20
_FOLDER = Path(__file__).parent
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_LINE = re.compile(r"at line (\d+)")
_UNKNOWN = re.compile(r"contains unknown field `([^`]+)`")
_PLACE = re.compile(r"`\$\.?([^`]*)`")  # msgspec's way to say where
_REPLIES = "-replies.toml"
GENERIC = "generic"


class _Replies(Struct, frozen=True, forbid_unknown_fields=True):
    rules: tuple[Rule, ...] = msgspec.field(name="rule")


@cache
def names() -> tuple[str, ...]:
    """The providers that come with postbearer."""
    found = (entry.name for entry in _FOLDER.iterdir())
    return tuple(
        sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml") and not _special(name))
    )


@cache
def preset(name: str, cloud: str = "") -> Preset:
    """The preset called `name`, complete with its rules and the generic ones, for `cloud` if it has some.

    Raises `ConfigError` for an unknown name.
    """
    if name not in names():
        raise unknown_provider(name, names())
    return parse((_FOLDER / f"{name}.toml").read_text("utf-8"), file=f"{name}.toml").in_cloud(cloud)


def unknown_provider(name: str, known: Sequence[str]) -> ConfigError:
    """The error for a name that is none of the `known` ones."""
    return ConfigError(
        f"There is no provider {name!r:.60}.",
        key="provider",
        hint=f"{did_you_mean(name, known)} smtp is for any server without a preset.",
    )


def parse(text: str, *, file: str, renew: Callable[[dict[str, Any]], None] | None = None) -> Preset:
    """The preset in `text`, with its rules and the generic ones; `file` is what errors call it.

    `renew` may change what was read before it is checked. Raises `ConfigError` naming file, and key or
    line.
    """
    own = _convert(text, Preset, file, renew)
    if not _NAME.fullmatch(own.name):
        raise ConfigError(f"{own.name!r:.60} is no name for a provider.", file=file, key="name")
    if own.written is not None or own.cloud:
        raise ConfigError("A provider file describes all clouds at once.", file=file, key="cloud")
    rules = [msgspec.structs.replace(rule, provider=own.name) for rule in own.rules]
    if len({rule.id for rule in rules}) < len(rules):
        raise ConfigError("Two rules have the same id.", file=file, key="rule")
    for name in own.replies:
        if not _NAME.fullmatch(name) or not _place(name).is_file():
            raise ConfigError(
                f"There is no catalogue of replies called {name!r:.60}.", file=file, key="replies"
            )
    return msgspec.structs.replace(own, rules=Catalogue(rules, own.replies, _catalogue))


@cache
def generic_rules() -> Sequence[Rule]:
    """The rules that hold for every server."""
    return Catalogue((), (), _catalogue)


@cache
def _catalogue(name: str) -> tuple[Rule, ...]:
    """The rules of one shipped file; those of ``generic`` belong to no provider."""
    place = _place(name)
    rules = _convert(place.read_text("utf-8"), _Replies, place.name).rules
    owner = "" if name == GENERIC else name
    return tuple(msgspec.structs.replace(rule, provider=owner) for rule in rules)


def _place(name: str) -> Path:
    return _FOLDER / (f"{name}.toml" if name == GENERIC else f"{name}{_REPLIES}")


def _special(name: str) -> bool:
    return name == f"{GENERIC}.toml" or name.endswith(_REPLIES)


def _convert(
    text: str, type_: type[T], file: str, renew: Callable[[dict[str, Any]], None] | None = None
) -> T:
    if len(text) > LARGEST:
        raise ConfigError("The provider file is larger than 1 MiB.", file=file)
    try:
        data = tomllib.loads(text)
        if renew is not None:
            renew(data)
        return msgspec.convert(data, type_)
    except RecursionError:
        raise ConfigError("This is not TOML: it is nested too deeply.", file=file) from None
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        raise ConfigError(
            f"This is not TOML: {error}.", file=file, line=int(line[1]) if line else None
        ) from None
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        keys = [found[1] for found in (_PLACE.search(where), _UNKNOWN.search(what)) if found]
        raise ConfigError(
            f"{what}.",
            file=file,
            key=".".join(keys),
            hint="The provider files that come with postbearer show every key.",
        ) from None
    except ValueError:  # `int` takes so many digits and no more
        raise ConfigError("This is not TOML: a number has too many digits.", file=file) from None
