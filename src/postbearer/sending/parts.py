"""A message by its parts: what `Mailer.send` takes in place of a message, read and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from postbearer.errors import UsageError
from postbearer.message import AttachedFile, Draft, parse_mailboxes
from postbearer.suggestion import meant

Mailboxes = str | Sequence[str]
Octets = bytes | bytearray | memoryview
File = str | os.PathLike[str] | tuple[str, Octets] | tuple[str, Octets, str]


class Parts(TypedDict, total=False):
    """The parts of a message.

    A mailbox is ``"you@example.org"`` or ``"You <you@example.org>"``; several are a list, or one text with
    commas. A file is a path, or a name and what is in it, in bytes; a third is its media type, where the
    name does not tell it.
    """

    to: Mailboxes
    cc: Mailboxes
    bcc: Mailboxes
    reply_to: Mailboxes
    sender: str  # the author, where it is not the account
    subject: str
    text: str | None
    html: str | None  # with a text, the other form of it
    attach: Sequence[File]
    inline: Mapping[str, File]  # what the HTML shows, by the NAME in its src="cid:NAME"
    headers: Mapping[str, str]


def draft_of(parts: Mapping[str, Any], address: str) -> Draft:
    """The draft that `parts` describe, written by `address` unless they say who; its files are read.

    Raises `UsageError`, naming the argument, for what cannot be sent.
    """
    _refuse_unknown(parts)
    attachments = [_file("attach", each) for each in _several("attach", parts.get("attach"), '["r.csv"]')]
    inline = [(cid, *_file("inline", each)) for cid, each in _mapping("inline", parts.get("inline"))]
    fields = _mapping("headers", parts.get("headers"))
    headers = [(name, _text(name, value) or "") for name, value in fields]
    sender = parts.get("sender")
    draft = Draft(
        address if sender is None else _mailboxes("sender", sender)[0],
        _mailboxes("to", parts.get("to")),
        _mailboxes("cc", parts.get("cc")),
        _mailboxes("bcc", parts.get("bcc")),
        reply_to=_mailboxes("reply_to", parts.get("reply_to")),
        subject=_text("subject", parts.get("subject")) or "",
        text=_text("text", parts.get("text")),
        html=_text("html", parts.get("html")),
        attachments=attachments,
        inline=inline,
        headers=headers,
    )
    refuse_empty(draft)
    return draft


def _refuse_unknown(parts: Mapping[str, Any]) -> None:
    known = Parts.__optional_keys__
    for name in parts:
        if name not in known:
            near = [f"{each}=" for each in meant(name, sorted(known))]
            hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(sorted(known))}."
            raise UsageError(f"A message has no part {name!r:.80}.", hint=hint)


def refuse_empty(draft: Draft) -> None:
    """Raise `UsageError` where `postbearer send` does, too: some program failed to write what was meant."""
    if draft.inline and draft.html is None:
        raise UsageError("inline: there is no html that could show it.", hint="Give html=, or attach= it.")
    if (draft.text or draft.html or "").strip() or draft.attachments:
        return
    if draft.text is not None or draft.html is not None or not draft.subject.strip():
        raise UsageError(
            "The message is empty: its text is blank, and nothing is attached.",
            hint="See whether what was to make the text failed; without a text the subject alone is sent.",
        )


def _mailboxes(name: str, value: object) -> list[str]:
    values = [value] if isinstance(value, str) else _several(name, value, '["you@example.org"]')
    for each in values:
        if not isinstance(each, str):
            raise UsageError(
                f"{name}: {each!r:.80} is no text.",
                hint=f'Write {name}="you@example.org", or a list of such.',
            )
        try:
            found = parse_mailboxes(each)
        except UsageError as error:
            raise UsageError(f"{name}: {error.message}", hint=error.hint) from None
        if name == "sender" and len(found) != 1:
            raise UsageError(f"sender: {each!r:.80} is not one mailbox.", hint="A message has one author.")
    return values


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name}: a text is wanted, and no {type(value).__name__}.", hint="Give a str.")
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(error.object[error.start]):04X}"
        raise UsageError(
            f"{name}: its character {error.start + 1} is half of one ({half}).",
            hint="Decode what it was made of with the right encoding.",
        ) from None
    return value


def _several(name: str, value: object, example: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | bytes | os.PathLike | Mapping) or not isinstance(value, Iterable):
        raise UsageError(
            f"{name}: a list is wanted, and no {type(value).__name__}.", hint=f"Write {name}=[…]."
        )
    return list(value)


def _mapping(name: str, value: object) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{name}: a dict by name is wanted.", hint=f'Write {name}={{"NAME": …}}.')
    return list(value.items())


def _file(name: str, value: object) -> AttachedFile:
    """The name and the content of one file."""
    match value:
        case AttachedFile():
            return value
        case (str(shown), bytes() | bytearray() | memoryview() as content) if shown:
            return AttachedFile(shown, bytes(content))
        case (str(shown), bytes() | bytearray() | memoryview() as content, str(kind)) if shown and kind:
            return AttachedFile(shown, bytes(content), kind)
        case str() | os.PathLike():
            path = os.fspath(value)
        case _:
            raise UsageError(
                f"{name}: {value!r:.80} is no file.", hint=f'Write {name}=["r.csv"], or [("r.csv", content)].'
            )
    if not isinstance(path, str):
        raise UsageError(f"{name}: {path!r:.80} is no path in text.", hint="Decode it with os.fsdecode.")
    try:
        with open(path, "rb") as file:
            return AttachedFile(os.path.basename(path), file.read())
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{name}: {path} cannot be read: {reason}.", hint="Give the path of a file."
        ) from error
