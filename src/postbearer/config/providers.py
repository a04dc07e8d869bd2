"""The providers an account may name: those that come with postbearer, and one's own files.

One's own are ``providers/NAME.toml`` in the folder of the configuration. They say where secrets go, so
they are trusted like the configuration itself: not if others may write them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from postbearer.config.line_numbers import LineNumbers, Path
from postbearer.config.search import candidates, read
from postbearer.config.values import grant
from postbearer.errors import ConfigError
from postbearer.providers import Preset, parse, preset, unknown_provider
from postbearer.providers import names as shipped

FOLDER = "providers"
_SUFFIX = ".toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_RENAMED = {"klass": "disposition"}  # keys of a rule: the old one, and what it is called now
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


class Providers:
    """The providers for a configuration at `path`; empty: only those that come with postbearer.

    A file of one's own comes before a shipped one of the same name, so that a later version of
    postbearer, which may bring a provider of that name, changes nothing.
    """

    def __init__(self, path: str = "") -> None:
        self._folder = os.path.join(os.path.dirname(os.path.abspath(path)), FOLDER) if path else ""
        self._read: dict[str, Preset] = {}
        self._warnings: dict[str, list[ConfigError]] = {}
        self._own: dict[str, str] = {}  # there are thousands of accounts, and a few providers

    @classmethod
    def found(cls, named: str | None, environ: Mapping[str, str]) -> Providers:
        """Those beside the configuration that would be used, also where none is written yet."""
        places = [named] if named else candidates(environ)
        return cls(next((place for place in places if os.path.lexists(place)), places[0]))

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        try:
            files = os.listdir(self._folder) if self._folder else []
        except OSError:  # there is none, or `preset` will say why it cannot be read
            files = []
        own = {name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX) and name[0] != "."}
        return tuple(sorted({*shipped(), *own}))

    def own(self, name: str) -> str:
        """The file that describes `name`, if it is one of one's own; else empty."""
        if name not in self._own:
            path = os.path.join(self._folder, name + _SUFFIX)
            there = self._folder and os.path.basename(name) == name and os.path.lexists(path)
            self._own[name] = path if there else ""
        return self._own[name]

    def preset(self, name: str, cloud: str = "") -> Preset:
        """The provider `name` in `cloud`, by default its first. Raises `ConfigError` with the place."""
        path = self.own(name)
        if not path:
            if name not in shipped():
                raise unknown_provider(name, self.names())
            return preset(name, cloud)
        if name not in self._read:
            self._read[name], self._warnings[name] = _load(path, name)
        return self._read[name].in_cloud(cloud)

    def warnings(self) -> tuple[ConfigError, ...]:
        """What should be changed in the files of one's own that were read so far, with its place."""
        return tuple(warning for found in self._warnings.values() for warning in found)


def _load(path: str, name: str) -> tuple[Preset, list[ConfigError]]:
    """The preset in the file at `path`, and warnings about it."""
    if not _NAME.fullmatch(name) or name == "generic":
        raise ConfigError(
            f"{name!r:.60} cannot be the name of a provider.",
            file=path,
            hint="Use lower case letters, digits, - and _; begin with a letter or digit.",
        )
    try:
        text = read(path).decode()
    except UnicodeDecodeError:
        raise ConfigError("The file is not UTF-8.", file=path, hint="Save it as UTF-8.") from None
    renamed: list[Path] = []
    try:
        chosen = parse(text, file=path, renew=lambda data: renamed.extend(_renew(data)))
        if chosen.name != name:
            raise ConfigError(
                f"The file is called {name}{_SUFFIX} and describes {chosen.name!r:.60}.",
                file=path,
                key="name",
                hint=f'Write name = "{name}", or rename the file.',
            )
        _check_grants(chosen, path)
    except ConfigError as error:
        line = error.line or (LineNumbers(text).of(_path(error.key)) if error.key else None)
        raise ConfigError(error.message, key=error.key, file=path, line=line, hint=error.hint) from None
    return chosen, [_renamed(path, text, place) for place in renamed]


def _renamed(path: str, text: str, place: Path) -> ConfigError:
    """The warning for the old name of a key, which stands at `place`."""
    _, number, old = place
    new = _RENAMED[str(old)]
    return ConfigError(
        f"{old} is now called {new}.",
        key=f"rule[{number}].{old}",
        file=path,
        line=LineNumbers(text).of(place),
        hint=f"Write {new} in its place.",
    )


def _renew(data: dict[str, Any]) -> list[Path]:
    """Give the keys of rules that were renamed their new names; return where the old ones stood."""
    found: list[Path] = []
    rules = data.get("rule")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        for old in sorted(_RENAMED.keys() & rule.keys() if isinstance(rule, dict) else ()):
            if _RENAMED[old] not in rule:  # else the old one is told as a key that there is not
                rule[_RENAMED[old]] = rule.pop(old)
                found.append(("rule", number, old))
    return found


def _check_grants(chosen: Preset, path: str) -> None:
    named = {
        "grants": chosen.grants,
        "tenant-required-by": chosen.tenant_required_by,
        "setup": [name for step in chosen.setup for name in step.grants],
    }
    for key, names in named.items():
        for name in names:
            if wrong := grant(name):
                place = f"{key}.{name}" if key == "grants" else key
                raise ConfigError(f"A grant {wrong[0]}.", file=path, key=place, hint=wrong[1])


def _path(key: str) -> Path:
    """``rule[0].phase[1]`` as a path, up to the first part that is not told."""
    path: Path = ()
    for part in _PART.finditer(key):
        if part[1] is None and part[2] is None:
            break
        path = (*path, part[1] if part[1] is not None else int(part[2]))
    return path
