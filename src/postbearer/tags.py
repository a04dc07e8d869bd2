"""Tags: named values that a client gives a message, to find it by. They never leave with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from postbearer.address import refuse_controls
from postbearer.errors import UsageError

MOST = 50  # of one message
LONGEST_NAME = 256  # characters
LONGEST_VALUE = 1000
LONGEST = 10_000  # octets of all of one message, in UTF-8

Tags = tuple[tuple[str, str], ...]  # names and values; one name may have several
NamedTags = dict[str, tuple[str, ...]]  # the same, as it is told


def make_tags(pairs: Iterable[tuple[str, str]]) -> Tags:
    """The tags, in order, each once. Raises `UsageError` for what is none, and for too many."""
    tags = tuple(sorted(set(pairs)))
    for name, value in tags:
        refuse_controls(name, "The name of a tag")
        refuse_controls(value, f"The tag {name!r:.80}")
        if not name or name != name.strip() or ":" in name or len(name) > LONGEST_NAME:
            raise UsageError(
                f"{name!r:.80} cannot be the name of a tag.",
                hint=f"It has 1 to {LONGEST_NAME} characters, none of them a colon, and no blank at an end.",
            )
        if len(value) > LONGEST_VALUE:
            raise UsageError(f"The tag {name!r:.80} has more than {LONGEST_VALUE} characters.")
        if not (name + value).replace(" ", "").isprintable():
            raise UsageError(f"The tag {name!r:.80} holds a character that cannot be printed.")
    if len(tags) > MOST:
        raise UsageError(f"There are {len(tags)} tags; a message may have {MOST}.")
    if (size := sum(len(name.encode()) + len(value.encode()) for name, value in tags)) > LONGEST:
        raise UsageError(f"The tags have {size} octets; those of a message may have {LONGEST}.")
    return tags


def tags_named(given: Mapping[str, str | Sequence[str]]) -> Tags:
    """The tags, from a text or a list of texts by name. Raises `UsageError`."""
    try:
        values = [(name, [value] if isinstance(value, str) else value) for name, value in given.items()]
        pairs = [(name, each) for name, several in values for each in several]
    except (AttributeError, TypeError):
        raise _no_texts(given) from None
    if not all(isinstance(name, str) and isinstance(value, str) for name, value in pairs):
        raise _no_texts(given)
    return make_tags(pairs)


def _no_texts(given: object) -> UsageError:
    return UsageError(f"Tags are texts by name, and not {given!r:.80}.", hint='Give {"customer": "42"}.')


def by_name(tags: Tags) -> NamedTags:
    """The values of each name."""
    found: NamedTags = {}
    for name, value in tags:
        found[name] = (*found.get(name, ()), value)
    return found


def parse_tag(text: str) -> tuple[str, str]:
    """A tag from ``NAME:VALUE``. Raises `UsageError`."""
    name, colon, value = text.partition(":")
    if not colon:
        raise UsageError(f"{text!r:.80} is no tag with its value.", hint="Write NAME:VALUE.")
    make_tags([(name, value)])
    return name, value
