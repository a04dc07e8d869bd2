"""A message by its parts, as JSON has them, made into what leaves; what cannot be is told with its place."""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from email.utils import formatdate
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from postbearer.address import refuse_controls
from postbearer.api.problems import HttpProblem, at
from postbearer.envelope import PriorityName
from postbearer.errors import UsageError
from postbearer.message import AttachedFile, Disposition, Draft, Mailbox, parse_mailboxes, type_by_name
from postbearer.sending import refuse_empty
from postbearer.tags import Tags, tags_named

MOST_RECIPIENTS = 1000
_ARGUMENT = re.compile(r"(subject|inline): ")
_NAME_AGAIN = re.compile(r';\s*name\*?=("(?:[^"\\]|\\.)*"|[^;\s]*)', re.IGNORECASE)
_FIELDS = {"inline": "attachments"}

Mailboxes = Annotated[
    str | Annotated[list[str], Meta(max_length=MOST_RECIPIENTS)],
    Meta(description='a mailbox, "you@example.org" or "You <you@example.org>", or a list of them'),
]
Author = Annotated[str, Meta(max_length=1000)]
Subject = Annotated[str, Meta(max_length=10_000)]
FileName = Annotated[str, Meta(min_length=1, max_length=255)]
ContentId = Annotated[str, Meta(min_length=1, max_length=255)]
Base64 = Annotated[str, Meta(description="base64", extra_json_schema={"contentEncoding": "base64"})]
MOST_FILES = 500
HeaderFields = Annotated[dict[str, Annotated[str, Meta(max_length=10_000)]], Meta(max_length=100)]


SendAt = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="when it is to leave: a time with its zone (RFC 3339), 2026-12-01T08:00:00+01:00, or a "
        "while from now, 1h 30m; 30 days ahead at most; what is past is now",
    ),
]


class Attachment(Struct, rename="kebab", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A file, of the type that its name tells, or it. With a `content-id` the HTML shows it, by `cid:ID`."""

    filename: FileName
    content: Annotated[bytes, Meta(description="base64")]
    content_id: ContentId | None = None
    content_type: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=255,
                description="a media type, with parameters if wanted; a text without a charset is UTF-8",
            ),
        ]
        | None
    ) = None
    disposition: Annotated[
        Disposition | None, Meta(description="inline with a content-id, else attachment, unless given")
    ] = None


class NewMessage(Struct, rename="kebab", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message by its parts. `from` is the account's address unless given."""

    to: Mailboxes = []
    from_: Author | None = msgspec.field(default=None, name="from")
    cc: Mailboxes = []
    bcc: Mailboxes = []
    reply_to: Mailboxes = []
    subject: Subject = ""
    text: str | None = None
    html: str | None = None
    attachments: Annotated[list[Attachment], Meta(max_length=MOST_FILES)] = []
    headers: HeaderFields = {}
    priority: PriorityName | UnsetType = UNSET
    send_at: SendAt | UnsetType = UNSET
    tags: Annotated[
        dict[str, str | list[str]],
        Meta(description="names and values to find it by; they never leave with it"),
    ] = {}
    dry_run: Annotated[bool, Meta(description="check everything, and queue nothing")] = False

    @property
    def size(self) -> int:
        """About how many octets there are to compose."""
        return (
            sum(len(each.content) for each in self.attachments) + len(self.text or "") + len(self.html or "")
        )


def gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Tags by name, of which one may have several values."""
    made: dict[str, str | list[str]] = {}
    for name, value in pairs:
        several = made.setdefault(name, [])
        assert isinstance(several, list)
        several.append(value)
    return made


def said_type(filename: str, given: str | None) -> str | None:
    """The media type that a program says of a file; None if it says no more than the file's name.

    A text is then of any charset: programs give the type of the name to whatever is in it. Those that take
    files from a mail (`MIMEApplication(…, Name=…)`) repeat the name there, which is said once.
    """
    text = _NAME_AGAIN.sub("", given or "").strip()
    return None if text.lower() in ("", type_by_name(filename)) else text


def from_base64(text: str, pointer: str) -> bytes:
    """What `text` stands for; it may be cut in lines (RFC 2045 6.8). Raises `HttpProblem` at `pointer`."""
    try:
        return a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        raise at("It is not base64.", pointer=pointer) from None


def draft(given: NewMessage, address: str, send_at: float | None = None) -> Draft:
    """What `given` describes, written by `address` unless it says who. Its mailboxes were checked.

    One that leaves at a later time has that as its Date, unless it says another.

    Raises `HttpProblem`.
    """
    inline: dict[str, AttachedFile] = {}
    attached: list[AttachedFile] = []
    for index, each in enumerate(given.attachments):
        file = _file(each, f"/attachments/{index}")
        if each.content_id is None:
            attached.append(file)
        else:
            if each.content_id in inline:
                raise at("It is given twice.", pointer=f"/attachments/{index}/content-id")
            inline[each.content_id] = file
    headers = list(given.headers.items())
    if send_at is not None and all(name.lower() != "date" for name, _ in headers):
        headers.append(("Date", formatdate(send_at, localtime=True)))
    made = Draft(
        address if given.from_ is None else given.from_,
        _listed(given.to),
        _listed(given.cc),
        _listed(given.bcc),
        reply_to=_listed(given.reply_to),
        subject=given.subject,
        text=given.text,
        html=given.html,
        attachments=attached,
        inline=[(cid, *file) for cid, file in inline.items()],
        headers=headers,
    )
    try:
        refuse_empty(made)
    except UsageError as error:
        raise _placed(error, given) from None
    return made


def _listed(value: Mailboxes) -> list[str]:
    return [value] if isinstance(value, str) else value


def _file(given: Attachment, pointer: str) -> AttachedFile:
    file = AttachedFile(given.filename, given.content, given.content_type or "", given.disposition)
    if given.content_type is not None:
        try:
            file.media_type()
        except UsageError as error:
            raise at(error.message, pointer=f"{pointer}/content-type", hint=error.hint) from None
    return file


def tags(given: NewMessage) -> Tags:
    """Its tags. Raises `HttpProblem`."""
    try:
        return tags_named(given.tags)
    except UsageError as error:
        raise at(error.message, pointer="/tags", hint=error.hint) from None


def octets(made: Draft, given: NewMessage) -> bytes:
    """The message as it leaves. Raises `HttpProblem`."""
    try:
        return made.octets()
    except UsageError as error:
        raise _placed(error, given) from None


def recipients(given: NewMessage) -> list[tuple[str, str]]:
    """The address of each recipient, with where it stands.

    Raises `HttpProblem` for what is no mailbox, anywhere in `given`, and for too few or too many recipients.
    """
    found = [
        (box.address, pointer)
        for field, value in (("/to", given.to), ("/cc", given.cc), ("/bcc", given.bcc))
        for pointer, boxes in _read(field, value)
        for box in boxes
    ]
    for _ in _read("/reply-to", given.reply_to):
        pass
    if given.from_ is not None:
        for pointer, boxes in _read("/from", given.from_):
            if len(boxes) != 1:
                hint = "A message has one author."
                raise at(f"{given.from_!r:.80} is not one mailbox.", pointer=pointer, hint=hint)
    if not found:
        raise at("A message needs at least one recipient.", pointer="/to")
    if len(found) > MOST_RECIPIENTS:
        raise at(
            f"There are {len(found)} recipients; {MOST_RECIPIENTS} are the most.",
            pointer="/to",
            hint="Send it several times, or to a list.",
        )
    return found


def _read(field: str, value: Mailboxes) -> Iterator[tuple[str, Sequence[Mailbox]]]:
    """The mailboxes that `value` names, with where they stand. Raises `HttpProblem`."""
    places = (
        [(field, value)] if isinstance(value, str) else [(f"{field}/{n}", v) for n, v in enumerate(value)]
    )
    for pointer, text in places:
        try:
            boxes = parse_mailboxes(text)
        except UsageError as error:
            raise at(error.message, pointer=pointer, hint=error.hint) from None
        if not boxes:
            raise at("It names nobody.", pointer=pointer, hint="Write you@example.org.")
        yield pointer, boxes


def _placed(error: UsageError, given: NewMessage) -> HttpProblem:
    """What the library says of its arguments, about the fields of the request."""
    text = error.message
    if found := _ARGUMENT.match(text):
        field = _FIELDS.get(found[1], found[1])
        return at(text[found.end() :], pointer=f"/{field}", hint=_in_words_of_json(error.hint))
    for name in sorted(given.headers, key=len, reverse=True):
        if repr(name)[1:-1][:80] in text:
            return at(text, pointer=f"/headers/{name.replace('~', '~0').replace('/', '~1')}", hint=error.hint)
    for index, each in enumerate(given.attachments):
        try:
            refuse_controls(each.filename, "the file name")
        except UsageError as wrong:
            return at(wrong.message, pointer=f"/attachments/{index}/filename")
        if each.content_id is not None and repr(each.content_id)[:80] in text:
            return at(text, pointer=f"/attachments/{index}/content-id", hint=error.hint)
    return at(text, pointer="/subject" if "Subject" in text else "", hint=_in_words_of_json(error.hint))


def _in_words_of_json(hint: str) -> str:
    """A hint about arguments in Python helps nobody here."""
    return "" if "=" in hint else hint
