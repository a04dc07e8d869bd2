"""SPF (RFC 7208): who may send for a domain, as far as it can be told without a message.

What a record says is followed through `include` and `redirect`, within the limits of section 4.6.4. What
depends on the message (macros, `exists`) or on further addresses (`a`, `mx`, `ptr`) is counted, not asked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Texts = Callable[[str], Awaitable[Sequence[str]]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_LOOKUPS = 10  # section 4.6.4
MOST_VOID = 2
_VERSION = "v=spf1"
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)
_MECHANISM = re.compile(r"([-+?~]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?:([:/])(.*))?", re.I | re.DOTALL)
_MACRO = re.compile(r"%(?:\{[slodiphcrtv][0-9]*r?[-.+,/_=]*\}|[%_-])", re.I)
_PREFIX = re.compile(r"(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?")  # of a and mx
_END = re.compile(r"\.[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*\.?")  # toplabel: not of digits alone


class SpfError(Exception):
    """A receiver takes the record for none (permerror): what is wrong with it."""


class SpfTerm(NamedTuple):
    """One mechanism, or the modifier `redirect`."""

    name: str
    qualifier: str = "+"
    target: str = ""  # of include and redirect: whose record
    network: Network | None = None


@dataclass(slots=True)
class SpfPolicy:
    """What a record comes to with all that it refers to."""

    included: set[str] = field(default_factory=set)  # whose servers pass
    networks: list[Network] = field(default_factory=list)  # which addresses pass
    rest: str = "?"  # the qualifier of `all`: what becomes of everybody else
    lookups: int = 0
    voids: int = 0
    unclear: bool = False  # whether somebody passes depends on the message, too

    def covers(self, networks: Collection[Network]) -> bool:
        """Whether each of `networks` passes by addresses that are listed."""
        return bool(networks) and all(
            any(
                wide.version == each.version and each.subnet_of(wide)  # type: ignore[arg-type]  # of one version
                for wide in self.networks
            )
            for each in networks
        )


def spf_records(texts: Iterable[str]) -> list[str]:
    """Those of the TXT records of a name that are SPF's (4.5)."""
    return [text for text in texts if text.split(" ", 1)[0].lower() == _VERSION]


def parse_spf(record: str) -> list[SpfTerm]:
    """The terms of a record, in their order; behind `all` nothing counts (5.1, 6.1). Raises `SpfError`."""
    terms = [term for word in record.split(" ")[1:] if word and (term := _term(word))]
    redirects = [term for term in terms if term.name == "redirect"]
    if len(redirects) > 1:
        raise SpfError("redirect stands in it twice")
    mechanisms = [term for term in terms if term.name != "redirect"]
    ends = next((at for at, term in enumerate(mechanisms) if term.name == "all"), None)
    return mechanisms + redirects if ends is None else mechanisms[: ends + 1]


async def follow_spf(domain: str, texts: Texts) -> SpfPolicy | None:
    """What the record of `domain` comes to; None if it has none. Raises `SpfError`, and what `texts` does."""
    policy = SpfPolicy()
    return policy if await _follow(domain, texts, policy, passing=True, top=True) else None


async def _follow(domain: str, texts: Texts, policy: SpfPolicy, *, passing: bool, top: bool) -> bool:
    found = spf_records(said := await texts(domain))
    if len(found) > 1:
        raise SpfError(f"{domain} has {len(found)} SPF records")
    if not found:
        policy.voids += not (said or top)
        if policy.voids > MOST_VOID:
            raise SpfError(f"it asks for more than {MOST_VOID} names that are not there")
        return False
    for term in parse_spf(found[0]):
        await _apply(term, texts, policy, passing=passing, top=top)
    return True


async def _apply(term: SpfTerm, texts: Texts, policy: SpfPolicy, *, passing: bool, top: bool) -> None:
    passes = passing and term.qualifier == "+"
    if term.name == "all":
        policy.rest = term.qualifier if top else policy.rest
    elif term.network is not None:
        policy.networks += [term.network] if passes else []
    elif term.name in ("include", "redirect", "a", "mx", "ptr", "exists"):
        policy.lookups += 1
        if policy.lookups > MOST_LOOKUPS:
            raise SpfError(f"it asks for more than {MOST_LOOKUPS} names")
    if term.name == "exists" or "%" in term.target:
        policy.unclear = policy.unclear or passes
    if not term.target or "%" in term.target:
        return
    if passes:
        policy.included.add(term.target)
    redirected = term.name == "redirect"
    if not await _follow(term.target, texts, policy, passing=passes, top=top and redirected):
        raise SpfError(f"{term.target}, which it refers to, has no SPF record")


def _term(word: str) -> SpfTerm | None:
    """What a word of a record says; None for a modifier that changes nothing here."""
    if modifier := _MODIFIER.fullmatch(word):
        name = modifier[1].lower()
        if name in ("redirect", "exp"):
            target = _domain(modifier[2], word)
            return SpfTerm(name, target=target) if name == "redirect" else None
        _macros(modifier[2], word)
        return None
    found = _MECHANISM.fullmatch(word)
    if found is None:
        raise SpfError(f"nobody knows the word {word}")
    qualifier, name, mark, rest = found[1] or "+", found[2].lower(), found[3] or "", found[4] or ""
    if name == "all" and not mark:
        return SpfTerm(name, qualifier)
    if name in ("ip4", "ip6") and mark == ":":
        return SpfTerm(name, qualifier, network=_network(name, rest, word))
    if name in ("include", "exists") and mark == ":":
        target = _domain(rest, word)
        return SpfTerm(name, qualifier, target=target if name == "include" else "")
    if name in ("a", "mx", "ptr") and (mark != "/" or name != "ptr"):
        spec, slash, prefix = rest.partition("/") if mark == ":" else ("", mark, rest)
        if mark == ":":
            _domain(spec, word)
        if slash and (name == "ptr" or not _prefixes(slash + prefix)):
            raise SpfError(f"{word} has no length of a network")
        return SpfTerm(name, qualifier)
    raise SpfError(f"{word} is not how {name} is written")


def _prefixes(text: str) -> bool:
    found = _PREFIX.fullmatch(text)
    return found is not None and int(found[1] or 0) <= 32 and int(found[2] or 0) <= 128


def _network(name: str, text: str, word: str) -> Network:
    try:
        if name == "ip4":
            return ipaddress.IPv4Network(text, strict=False)
        return ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        raise SpfError(f"{word} is no network") from None


def _domain(text: str, word: str) -> str:
    """A name, in lower case and without the dot at its end (domain-spec, 7.1)."""
    _macros(text, word)
    if not text or len(text) > 253 or ("%" not in text and not _END.search(text)):
        raise SpfError(f"{word} names no domain")
    return text.lower().rstrip(".")


def _macros(text: str, word: str) -> None:
    if "%" in _MACRO.sub("", text) or not all("!" <= char <= "~" for char in text):
        raise SpfError(f"{word} cannot be read")
