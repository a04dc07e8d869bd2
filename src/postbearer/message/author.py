"""Who wrote a message, in the eyes of every reader (RFC 5322 3.6.2, 3.6.6).

Parsers disagree about groups, comments, routes and much that RFC 5322 calls obsolete: one header names one
author to us and another to whoever reads the mail. So rights rely on `authors`, which takes only what all
read alike. `understood` is for a field that is about to be written anew.
"""

from __future__ import annotations

import re
from functools import lru_cache

from postbearer.address import Address, refuse_controls
from postbearer.errors import UsageError
from postbearer.message.encoded_words import decoded, encoded
from postbearer.message.fields import Field, Header
from postbearer.message.mailboxes import Mailbox

AUTHOR_FIELDS = ("from", "sender", "author", "resent-from", "resent-sender")  # "author": RFC 9057
LONGEST = 900  # octets of such a field: it fits in one line
LONGEST_NAME = 160  # octets of a display name, before it is encoded

_ATOM = r'(?!\.)[^\x00-\x20"(),:;<>@\[\\\]\x7f]+'  # with dots, as "J. Doe" has them
_WORD = rf'(?:"(?:[^"\\]|\\[ -~])*"|{_ATOM})'
_ADDRESS = rf'(?:{_ATOM}|"[^"(),:;<>@\[\\\]]*")@(?:{_ATOM}(?<!\.)|\[[0-9A-Za-z.:]+\])'
_COMMENT = r'\(([^"(),:;<>@\[\\\]]*)\)'
_PHRASE = re.compile(rf"{_WORD}(?: +{_WORD})*")
_MAILBOX = re.compile(rf"(?:({_PHRASE.pattern})? *<({_ADDRESS})>|({_ADDRESS}))(?: *{_COMMENT})? *(,|\Z) *")
_IN_ONE_LINE = re.compile(rb'"(?:[^"\\\r\n]|\\[^\r\n])*"')
_ANGLE = re.compile(r"<([^<>]*)>[^<>]*\Z")
_BRACKETED = re.compile(r"\(([^()]*)\)[^()]*\Z")
# Programs that decode a field before they cut it into addresses would find an address in such a name.
_CUTTING = str.maketrans(dict.fromkeys('<>@"\\()', " "))
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")  # atext and blanks, RFC 5322 3.2.3


def authors(header: Header, *, as_is: bool = False) -> list[str]:
    """The addresses of all authors and senders that `header` names.

    Raises `UsageError` where some reader could find another: for two From fields, and for a field that is
    more than ``Name <user@example.org>``, ``user@example.org (Name)`` or a list of these. With `as_is` for
    what `plain` would mend, too: the fields leave as they came.
    """
    if len(header.all("from")) > 1:
        raise UsageError(
            "The message has more than one From field (RFC 5322 3.6).", hint="Leave one of them."
        )
    fields = [field for name in AUTHOR_FIELDS for field in header.all(name)]
    for field in fields if as_is else ():
        if b'"' in _IN_ONE_LINE.sub(b"", field.raw) or any(_hides(box.display) for box in read(field)):
            raise _doubtful(field, field.value)
    return [box.address for field in fields for box in read(field)]


def read(field: Field) -> tuple[Mailbox, ...]:
    """Whom an author field names; an empty one nobody. Raises `UsageError` as `authors` does."""
    return _read(field) if len(field.raw) <= LONGEST else _read.__wrapped__(field)


@lru_cache(maxsize=2048)  # a program has few authors, and each message names one, several times over
def _read(field: Field) -> tuple[Mailbox, ...]:
    value, place, found = field.value, 0, []
    if len(value.encode()) > LONGEST:
        raise _doubtful(field, value)
    refuse_controls(value, f"The field {field.name}")
    while place < len(value):
        match = _MAILBOX.match(value, place)
        if match is None or (match[5] and match.end() == len(value)):
            raise _doubtful(field, value)
        found.append(Mailbox(match[1] or match[4] or "", str(Address.parse(match[2] or match[3]))))
        place = match.end()
    return tuple(found)


def plain(field: Field) -> Field:
    """The same, which `read` takes, in one line of ASCII: some parsers stumble over folds within quotes.

    Only a local part that is not ASCII stays so. A list whose names grow too long for one line gets several.
    """
    if not field.raw.isascii() or b"=?" in field.raw:
        boxes = [str(with_ascii_domain(Mailbox(_display(box.display), box.address))) for box in read(field)]
        value = ", ".join(boxes)
        value = value if len(value) <= LONGEST else ",\r\n ".join(boxes)
        return Field(field.name, field.raw.partition(b":")[0] + f": {value}\r\n".encode())
    if field.raw.count(b"\n") == 1:
        return field
    return Field(field.name, field.raw.replace(b"\r\n", b"") + b"\r\n")


def with_ascii_domain(box: Mailbox) -> Mailbox:
    return Mailbox(box.display, str(Address.parse(box.address).with_ascii_domain()))


def claimed(header: Header) -> list[str]:
    """The addresses that a header claims to be from, as well as that can be told.

    For a header whose author fields are written anew before anybody reads them.
    """
    boxes = [box for name in AUTHOR_FIELDS for field in header.all(name) for box in understood(field)]
    return [box.address for box in boxes if box.address]


def understood(field: Field) -> list[Mailbox]:
    """Whom a field names, as well as that can be told; a name that may stand before another address.

    One who cannot be told for sure is whoever stands in the last ``<…>``, or before the comment in
    ``root (Cron Daemon)``; his address may be empty.
    """
    try:
        boxes = read(field)
    except UsageError:
        boxes = (_guess(field.value[-LONGEST:]),)
    return [Mailbox(_display(box.display), box.address) for box in boxes]


def _guess(value: str) -> Mailbox:
    if angle := _ANGLE.search(value):
        name, address = value[: angle.start()], angle[1]
    elif comment := _BRACKETED.search(value):
        name, address = comment[1], value[: comment.start()]
    else:
        name, address = "", value
    try:
        return Mailbox(name, str(Address.parse(address.strip())))
    except UsageError:
        return Mailbox(name, "")


def _display(name: str) -> str:
    """A name as it stood, if every reader takes it for one."""
    fine = name.isascii() and name.isprintable() and len(name) <= LONGEST_NAME and '""' not in name
    return name if fine and not _hides(name) and _PHRASE.fullmatch(name) else phrase(name)


def _hides(name: str) -> bool:
    """Whether `name` holds what could be an address to those who decode it first."""
    if name.isascii() and "=?" not in name:
        return False
    text = _decoded(name)
    return text != text.translate(_CUTTING)


def phrase(name: str) -> str:
    """A name as it may stand in front of an address: as it is, quoted, or in encoded words (RFC 2047).

    `name` is as it stood in a field, quoted or encoded as it may be; a long one is cut.
    """
    text = "".join(char if char.isprintable() else " " for char in _decoded(name.strip()))
    text = " ".join(text.split()).encode()[:LONGEST_NAME].decode("utf-8", "ignore").strip()
    if text.isascii() and "=?" not in text:
        if _PLAIN.fullmatch(text):
            return text
        if not set(text) & set('"\\'):
            return f'"{text}"' if text else ""
    return encoded(" ".join(text.translate(_CUTTING).split()))


def _decoded(name: str) -> str:
    """The text that a name stands for, without the quotes and encoded words in it."""
    text = re.sub(r'"((?:[^"\\]|\\.)*)"', lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), name)
    return decoded(text)


def _doubtful(field: Field, value: str) -> UsageError:
    return UsageError(
        f"Who the author in the field {field.name} is, not every program reads alike: {value[:80]!r}.",
        hint="Write it as user@example.org or Name <user@example.org>.",
    )
