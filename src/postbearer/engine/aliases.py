"""Names that stand for other addresses, as in ``/etc/aliases`` (aliases(5)). Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from postbearer.address import Address, canonical
from postbearer.errors import ConfigError, UsageError

MOST_ADDRESSES = 1_000  # that one name may stand for
MOST_STEPS = 50  # from a name by others to an address

# A line's target: a quoted text, or anything up to a comma. A name may be quoted, too.
_TARGET = re.compile(r'\s*("(?:[^"\\]|\\.)*"[^,]*|[^,]*)(?:,|\Z)')
_ENTRY = re.compile(r'("(?:[^"\\]|\\.)*"|[^":\s][^:]*?)\s*:(.*)\Z', re.DOTALL)
_ELSEWHERE = {  # what Postfix and Sendmail know, and a relay that only sends does not do
    "|": "a program is not run by a relay that only sends",
    "/": "a file is not written by a relay that only sends",
    ":": "lists in other files are not read",
}


class Alias(NamedTuple):
    """One entry: who `name` stands for, and in which line that is said."""

    name: str
    targets: Sequence[str]
    line: int


class Doubt(NamedTuple):
    """What could not be followed, for people."""

    line: int
    text: str


def read_aliases(text: str) -> list[Alias]:
    """The entries of a file. Raises `ConfigError`, with the line, for a line that is none."""
    entries = []
    for line, logical in _logical_lines(text):
        match = _ENTRY.fullmatch(logical)
        targets = read_targets(match[2]) if match else []
        if match is None or not targets:
            raise ConfigError(
                f"This is no alias: {logical.strip()[:60]!r}.", line=line, hint="Write NAME: ADDRESS, ADDRESS"
            )
        entries.append(Alias(_unquoted(match[1]), targets, line))
    return entries


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each entry and its line: one that begins with a blank goes on with the one before."""
    start, kept = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and kept:
            kept += " " + line.strip()
            continue
        if kept:
            yield start, kept
        start, kept = number, line.strip()
    if kept:
        yield start, kept


def read_targets(text: str) -> list[str]:
    """Who stands behind the colon, with commas between them."""
    found = (_unquoted(match[1].strip()) for match in _TARGET.finditer(text))
    return [each for each in found if each]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


@dataclass(frozen=True, slots=True)
class Aliases:
    """Who each name stands for in the end. A name without a domain is meant at each of `domains`."""

    found: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    domains: Collection[str] = ()
    doubts: tuple[Doubt, ...] = ()

    @classmethod
    def of(cls, entries: Collection[Alias], domains: Collection[str]) -> Aliases:
        """Follow each name to its end. Raises `ConfigError`, with the line, for names that go in a circle,
        stand there twice, or stand for too many.
        """
        following = _Following(frozenset(domains))
        for entry in entries:
            following.add(entry)
        found = {name: following.follow(name) for name in following.entries}
        return cls(found, following.domains, tuple(following.doubts))

    def expand(self, address: str) -> tuple[str, ...] | None:
        """The addresses that `address` stands for, none if it ends nowhere; None: it is no alias."""
        return self.found.get(_key(address, self.domains)) if self.found else None


@dataclass(slots=True)
class _Following:
    domains: Collection[str]
    entries: dict[str, Alias] = field(default_factory=dict)
    found: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of the names whose end is known
    doubts: list[Doubt] = field(default_factory=list)

    def add(self, entry: Alias) -> None:
        name = _key(entry.name, self.domains)
        if (before := self.entries.setdefault(name, entry)) is not entry:
            first = f"; the first time in line {before.line}" if before.line else ""
            raise ConfigError(
                f"{entry.name} stands there twice{first}.",
                line=entry.line,
                hint="Write all who get its mail into one line, with commas.",
            )

    def follow(self, name: str, way: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The addresses at the end of all ways from `name`; `way` are the names before it."""
        if name not in self.found:
            entry, way = self.entries[name], (*way, name)
            ends = (address for target in entry.targets for address in self._target(entry, target, way))
            addresses = tuple(dict.fromkeys(ends))
            if len(addresses) > MOST_ADDRESSES:
                raise ConfigError(
                    f"{entry.name} stands for {len(addresses)} addresses; {MOST_ADDRESSES} are the most.",
                    line=entry.line,
                    hint="Let a mailing list at your provider stand there.",
                )
            self.found[name] = addresses
        return self.found[name]

    def _target(self, entry: Alias, target: str, way: tuple[str, ...]) -> tuple[str, ...]:
        if why := _ELSEWHERE.get(target[0]):
            return self._nowhere(entry, f"{target}, and {why}")
        plain = target.removeprefix("\\")
        name = _key(plain, self.domains)
        last = plain != target or name == way[-1]  # it is meant as it stands, and goes no further
        if not last and name in self.entries:
            self._refuse_circle(entry, name, way)
            return self.follow(name, way)
        if "@" not in name:
            return self._nowhere(entry, f"{target}, and no alias says which address that is")
        try:
            Address.parse(plain)
        except UsageError as error:
            raise ConfigError(f"{entry.name}: {error.message}", line=entry.line) from None
        return (plain,)

    def _nowhere(self, entry: Alias, text: str) -> tuple[str, ...]:
        self.doubts.append(Doubt(entry.line, f"{entry.name} stands for {text}"))
        return ()

    def _refuse_circle(self, entry: Alias, name: str, way: tuple[str, ...]) -> None:
        if name in way:
            circle = [self.entries[each].name for each in (*way[way.index(name) :], name)]
            raise ConfigError(
                f"These aliases go in a circle: {' → '.join(circle)}.",
                line=entry.line,
                hint="Let one of them stand for the address of a person.",
            )
        if len(way) >= MOST_STEPS:
            raise ConfigError(
                f"From {self.entries[way[0]].name} to an address it is more than {MOST_STEPS} names.",
                line=self.entries[way[0]].line,
                hint="Let it stand for the address of a person.",
            )


def _key(name: str, domains: Collection[str]) -> str:
    """How a name is found: without a domain where it is one of this machine."""
    try:
        found = canonical(name)
    except UsageError:
        return name.casefold()
    local, _, domain = found.rpartition("@")
    return local if domain in domains else found
