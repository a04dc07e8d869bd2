"""Which account a recipient's mail leaves by, in which lane, and for how long it is tried. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import merge

from postbearer.address import canonical
from postbearer.engine.submitter import Submitter
from postbearer.errors import UsageError
from postbearer.message import Header
from postbearer.store import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A decision. None and empty: this route does not say."""

    account: str = ""
    priority: Priority | None = None
    expire_after: float | None = None  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """A route and when it holds: all patterns that are given must match.

    Patterns know ``*`` and ``?``; a pattern of addresses without ``@`` is a domain. `header` holds names and
    patterns of values; an empty pattern asks only that the field is there.
    """

    from_: str = ""
    to: tuple[str, ...] = ()  # one of them must match
    client: str = ""
    header: tuple[tuple[str, str], ...] = ()
    route: Route

    def holds(self, client: Submitter, reverse_path: str, recipient: str, header: Header | None) -> bool:
        return (
            (not self.client or _like(client.name, self.client))
            and (not self.from_ or _address_matches(reverse_path, self.from_))
            and (not self.to or any(_address_matches(recipient, pattern) for pattern in self.to))
            and all(_field_matches(header, name, pattern) for name, pattern in self.header)
        )


MOST_KNOWN = 2_000  # answers

Key = tuple[str, str]  # what of a message, and what it is; a domain begins with @


@dataclass(frozen=True, slots=True)
class Router:
    """Routes in their order. The first that holds decides; what it leaves open, client and default say.

    Those that name an address, a domain or a client are found by it, however many there are.
    """

    routes: Sequence[RouteRule] = ()
    default_account: str = ""
    _index: Mapping[Key | None, Sequence[int]] = field(init=False, repr=False, compare=False)
    _known: dict[tuple[str, str, str], Route] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = [list(_ways(rule)) for rule in self.routes]
        often = Counter(key for ways in named for keys in ways for key in keys)
        index: dict[Key | None, list[int]] = defaultdict(list)
        for number, ways in enumerate(named):
            rarest = min(ways, key=lambda keys: max(often[key] for key in keys), default=_EACH)
            for key in rarest:
                index[key].append(number)
        object.__setattr__(self, "_index", dict(index))
        object.__setattr__(self, "_known", None if any(rule.header for rule in self.routes) else {})

    def choose(
        self, client: Submitter, reverse_path: str, recipient: str, header: Header | None = None
    ) -> Route:
        """The route for one recipient. Without a `header` (not here yet), rules that ask for one do not hold.

        `account` is empty when nothing says where mail goes.
        """
        found = self._found(client, reverse_path, recipient, header) if self.routes else _SILENT
        if found.account:
            return found
        return _completed(found, client.account or self.default_account)

    def _found(self, client: Submitter, reverse_path: str, recipient: str, header: Header | None) -> Route:
        """The first route that holds. Where none asks for the header, what was found at RCPT is known."""
        asked = client.name, reverse_path, recipient
        if self._known is not None and (known := self._known.get(asked)) is not None:
            return known
        rules = (self.routes[number] for number in self._candidates(client, reverse_path, recipient))
        holding = (rule.route for rule in rules if rule.holds(client, reverse_path, recipient, header))
        found = next(holding, _SILENT)
        if self._known is not None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[asked] = found
        return found

    def _candidates(self, client: Submitter, reverse_path: str, recipient: str) -> Iterable[int]:
        """The numbers of the routes that may hold, in their order."""
        keys: list[Key | None] = [None, ("client", client.name)]
        for what, address in (("from", reverse_path), ("to", recipient)):
            text = _text(address)
            keys += [(what, text), (what, f"@{text.rpartition('@')[2]}")]
        return merge(*(self._index[key] for key in keys if key in self._index))


_SILENT = Route()


@lru_cache(maxsize=8192)  # there are as many as accounts and rules
def _completed(route: Route, account: str) -> Route:
    return replace(route, account=account)


def lane_for(route: Route, client: Submitter, mt_priority: int | None) -> Priority:
    """The lane: as the route says; else as the message asks (RFC 6710), else as is usual for the client.

    A message may always ask for less. More is not for clients of bulk mail to ask.
    """
    if route.priority is not None:
        return route.priority
    if mt_priority is not None and mt_priority < 0:
        return Priority.BULK
    if mt_priority is not None and mt_priority >= 4 and client.priority is not Priority.BULK:
        return Priority.URGENT
    return client.priority


def _ways(rule: RouteRule) -> Iterator[set[Key]]:
    """Ways to find the rule: one of the keys is a message's that the rule holds for.

    There are as many as the rule names without ``*`` and ``?``.
    """
    if rule.client and not _WILD.search(rule.client):
        yield {("client", rule.client)}
    for what, patterns in (("from", (rule.from_,) if rule.from_ else ()), ("to", rule.to)):
        names = {_domain_or_address(pattern) for pattern in patterns}
        if names and not any(map(_WILD.search, names)):
            yield {(what, name) for name in names}


def _domain_or_address(pattern: str) -> str:
    name = pattern.casefold()
    if name.startswith("*@"):
        return name[1:]
    return name if "@" in name or name == "<>" else f"@{name}"


_EACH: frozenset[Key | None] = frozenset([None])  # it may hold for any message


_WILD = re.compile(r"[*?\[]")


@lru_cache(maxsize=1024)  # one message is compared with several routes
def _text(address: str) -> str:
    if not address:
        return "<>"
    try:
        return canonical(address)
    except UsageError:
        return address.casefold()


def _address_matches(address: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    if not address:
        return pattern == "<>"
    text, pattern = _text(address), pattern.casefold()
    if "@" not in pattern:
        text = text.rpartition("@")[2]
    elif pattern.startswith("@"):
        pattern = "*" + pattern
    return _like(text, pattern)


def _like(text: str, pattern: str) -> bool:
    """Most patterns are names; and of thousands, `fnmatch` would translate each anew."""
    return fnmatch.fnmatchcase(text, pattern) if _WILD.search(pattern) else text == pattern


def _field_matches(header: Header | None, name: str, pattern: str) -> bool:
    if header is None:
        return False
    fields = header.all(name)
    return any(
        not pattern or fnmatch.fnmatchcase(field.value.casefold(), pattern.casefold()) for field in fields
    )
