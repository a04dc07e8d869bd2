"""The message that a caller gives, or whose parts it gives: checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from typing import Any, cast

from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.message import BytesContent, Content, has_bare_line_ends
from postbearer.sending.parts import draft_of

Sendable = Message | bytes | Content


def given(
    message: Sendable | None, envelope: Envelope | None, parts: Mapping[str, Any], address: str
) -> tuple[Sendable, Envelope | None]:
    """The message, with its envelope: as given, or made of `parts` by `address`. Reads files.

    Raises `UsageError`.
    """
    if not parts:
        return _checked(message, envelope)
    if message is not None or envelope is not None:
        raise UsageError(
            f"{next(iter(parts))}= is for a message that is made here, and one is given.",
            hint="Put it into that message, or give none.",
        )
    draft = draft_of(parts, address)
    return draft.compose(), draft.envelope()


def _checked(message: object, envelope: object) -> tuple[Sendable, Envelope | None]:
    """Most programs are not type-checked: say what is wanted before anything is done with the rest."""
    if not isinstance(message, Message | bytes) and not callable(getattr(message, "blocks", None)):
        raise UsageError(
            f"A message is an email.message.Message, or bytes, and no {type(message).__name__}.",
            hint="Make an EmailMessage, and set_content(text); or write send(to=…, subject=…, text=…).",
        )
    if envelope is not None and not isinstance(envelope, Envelope):
        raise UsageError(
            f"An envelope is an Envelope, and no {type(envelope).__name__}.",
            hint="Give Envelope.of(sender, recipients).",
        )
    return cast(Sendable, message), envelope


def enveloped(message: bytes | Content, envelope: Envelope | None) -> tuple[Content, Envelope]:
    """Octets, and the envelope that they need. Raises `UsageError` without one."""
    if envelope is None:
        raise UsageError("Bytes need an envelope.", hint="Give Envelope.of(sender, recipients) beside them.")
    return BytesContent(message) if isinstance(message, bytes) else message, envelope


def refuse_bare_line_ends(content: Content, hint: str = "") -> None:
    """Raise `UsageError` for content that is not made of lines that end with CRLF."""
    if has_bare_line_ends(content):
        raise UsageError(
            "The content holds a bare CR or LF, or a NUL.",
            hint=f"End every line with CRLF, and encode what is binary.{hint}",
        )
