"""What people type to find messages: words, each with what it is about in front of it.

``from:ada state:deferred tag:customer:42 older:"1h 30m"`` asks for all of these at once. One parser for the
command, the HTTP API and the console, so that a search means the same wherever it is typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from postbearer.errors import UsageError
from postbearer.store import Query, Status
from postbearer.suggestion import did_you_mean
from postbearer.tags import parse_tag

_LAST = 253_402_300_799.0  # Unix seconds of the last time that can be written
LONGEST = 2000  # characters
SUBJECTS = 100_000  # messages whose subjects one search looks at: of subjects there is no index
_NAME = re.compile(r"([a-z][a-z-]*):", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ID = re.compile(r"[0-9a-z]{16}")
_PLAIN = re.compile(r'[^\s"]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_QUOTE = 'Put a text with blanks or colons in quotes: "web-3: disk full".'


class SearchError(UsageError):
    """A search that cannot be read: which `word` of it, and where it begins, counted from 1."""

    def __init__(self, word: str, position: int, problem: str, hint: str = "") -> None:
        self.word = word
        self.position = position
        super().__init__(f"In the search, {word!r:.80} (at {position}) {problem}.", hint=hint)


class SearchWord(NamedTuple):
    """A kind of word, for people: an example, and what it finds."""

    example: str
    meaning: str


WORDS: Mapping[str, SearchWord] = {
    "from": SearchWord("from:ada@example.org", "this is in its sender, or in From"),
    "to": SearchWord("to:example.org", "this is in one of its recipients"),
    "state": SearchWord("state:deferred,held", "a recipient is in one of these states"),
    "account": SearchWord("account:alerts", "it leaves by this account"),
    "client": SearchWord("client:printers", "this client handed it in"),
    "tag": SearchWord("tag:customer:42", "its client gave it this tag"),
    "subject": SearchWord(
        "subject:invoice", f"this is in its subject, of the {SUBJECTS:,} messages accepted last"
    ),
    "reply": SearchWord('reply:"mailbox full"', "this is in what was answered last, or in its cause"),
    "id": SearchWord("id:0q3f", "its id begins so"),
    "message-id": SearchWord("message-id:abc@example.org", "this is in its Message-ID"),
    "older": SearchWord("older:2h", "it was accepted longer ago than this, or before a time"),
    "newer": SearchWord("newer:2026-12-01", "it was accepted later than this ago, or after a time"),
}


class _Term(NamedTuple):
    """A word as it was typed, where it begins, what it is about ("" for none), and what is looked for."""

    word: str
    position: int
    name: str
    value: str

    def wrong(self, problem: str, hint: str = "") -> SearchError:
        return SearchError(self.word, self.position, problem, hint)


def parse_search(text: str, *, now: float) -> dict[str, Any]:
    """The fields of a `Query` that `text` asks for; spans of time count back from `now` (Unix seconds).

    A word without a name is an id, a Message-ID in angle brackets, or a part of an address; in quotes
    always that. Raises
    `SearchError`, which names the word that cannot be read, and where it stands.
    """
    if len(text) > LONGEST:
        raise SearchError(text, 1, f"is too long: a search has {LONGEST} characters at most")
    asked: dict[str, Any] = {}
    for term in _terms(text):
        field, value = _read(term, now)
        if field in ("statuses", "tags"):
            asked[field] = tuple(dict.fromkeys((*asked.get(field, ()), *value)))
        elif field in asked:
            raise term.wrong("asks for what an earlier word asks for already", "Ask for one of each kind.")
        else:
            asked[field] = value
    return asked


def with_search(given: Mapping[str, Any], text: str, *, now: float) -> dict[str, Any]:
    """The fields of a `Query` that are `given`, with those that `text` asks for.

    Raises `SearchError`, and `UsageError` for what is asked for by both.
    """
    found, kept = parse_search(text, now=now), {name: each for name, each in given.items() if each}
    if "tags" in found:
        found["tags"] = tuple(dict.fromkeys((*kept.pop("tags", ()), *found["tags"])))
    for name in found:
        if name in kept:
            what = name.replace("_", " ")
            raise UsageError(
                f"The search asks for the {what}, and so does another filter.", hint="Leave one of them away."
            )
    return {**kept, **found}


def quoted(value: str, *, always: bool = False) -> str:
    """`value` as it is typed behind a name."""
    if value and not always and not re.search(r'[\s"\\]', value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def as_search(query: Query) -> str:
    """What finds the same as `query`, and can be typed."""
    words = [f"{word}:{quoted(value)}" for word, name in _TEXTS.items() if (value := getattr(query, name))]
    if query.statuses:
        words.append(f"state:{','.join(query.statuses)}")
    words += [f"tag:{quoted(f'{name}:{value}')}" for name, value in query.tags]
    for name, at in (("older", query.older_than), ("newer", query.newer_than)):
        if at is not None:
            words.append(f"{name}:{datetime.fromtimestamp(min(max(at, 0.0), _LAST), UTC).isoformat()}")
    if query.address:
        bare = not re.search(r"[:<]", query.address) and not _ID.fullmatch(query.address)
        words.append(quoted(query.address, always=not bare))
    return " ".join([query.id, *words] if query.id else words)


def _terms(text: str) -> Iterator[_Term]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start, name = at, ""
        if found := _NAME.match(text, at):
            name, at = found[1].lower(), found.end()
        value, at = _value(text, at, start)
        yield _Term(text[start:at], start + 1, name, value)


def _value(text: str, at: int, start: int) -> tuple[str, int]:
    """What stands there, up to a blank or in quotes, and where it ends. Part of it may be in quotes."""
    parts: list[str] = []
    while at < len(text) and not text[at].isspace():
        if found := _PLAIN.match(text, at):
            parts.append(found[0])
        elif found := _QUOTED.match(text, at):
            parts.append(_ESCAPED.sub(r"\1", found[1]))
        else:
            raise SearchError(text[start:], start + 1, "has a quote that does not end", 'Close it by a ".')
        at = found.end()
    return "".join(parts), at


def _read(term: _Term, now: float) -> tuple[str, Any]:
    """The field of a `Query`, and its value."""
    if not term.name:
        return _bare(term)
    if term.name not in WORDS:
        raise _no_such_word(term)
    if not term.value:
        raise term.wrong("asks for nothing", f"Write it as {WORDS[term.name].example}")
    return _FIELDS[term.name](term, now)


def _bare(term: _Term) -> tuple[str, Any]:
    value = term.value
    if not value:
        raise term.wrong("asks for nothing", "Leave it away.")
    if term.word.startswith('"'):
        return "address", value
    if _ID.fullmatch(value):
        return "id", value
    if value.startswith("<"):
        return "message_id", value.strip("<>")
    return "address", value


def _no_such_word(term: _Term) -> SearchError:
    return term.wrong("begins with a name that there is not", f"{did_you_mean(term.name, WORDS)} {_QUOTE}")


def _states(term: _Term, now: float) -> tuple[str, Any]:
    found = []
    for each in term.value.split(","):
        try:
            found.append(Status(each.strip().lower()))
        except ValueError:
            hint = did_you_mean(each.strip(), Status)
            raise term.wrong(f"names a state that there is not: {each.strip()!r:.40}", hint) from None
    return "statuses", tuple(found)


def _tag(term: _Term, now: float) -> tuple[str, Any]:
    try:
        return "tags", (parse_tag(term.value),)
    except UsageError as error:
        raise term.wrong(f"is no tag: {error.message.rstrip('.')}", "Write it as tag:NAME:VALUE") from None


def _time(field: str) -> Callable[[_Term, float], tuple[str, Any]]:
    def read(term: _Term, now: float) -> tuple[str, Any]:
        from postbearer.config import MOMENT_HINT, parse_duration
        from postbearer.timestamps import parse_timestamp

        value = f"{term.value}T00:00:00Z" if _DATE.fullmatch(term.value) else term.value
        try:
            if "-" in value or ":" in value:  # no duration has these
                return field, parse_timestamp(value)
            return field, max(0.0, now - parse_duration(value))
        except ValueError as error:
            raise term.wrong(str(error), MOMENT_HINT.replace("from now", "ago")) from None

    return read


def _text(field: str) -> Callable[[_Term, float], tuple[str, Any]]:
    return lambda term, now: (field, term.value)


_TEXTS: Mapping[str, str] = {
    "from": "sender",
    "to": "recipient",
    "account": "account",
    "client": "client",
    "subject": "subject",
    "reply": "reply",
    "id": "id_prefix",
    "message-id": "message_id",
}
_FIELDS: Mapping[str, Callable[[_Term, float], tuple[str, Any]]] = {
    **{word: _text(field) for word, field in _TEXTS.items()},
    "state": _states,
    "tag": _tag,
    "older": _time("older_than"),
    "newer": _time("newer_than"),
}
