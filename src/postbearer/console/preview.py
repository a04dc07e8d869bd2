"""The text of a message as a document for a frame. Whatever stands in it is the sender's, and may be hostile.

The frame's policy has it run no script and load nothing, and its sandbox has no origin, no forms and no way
out. Pictures are not shown, not even those within the message. What has a browser connect somewhere before it
looks at the policy is taken out: links of a page (Resource Hints 3.2), and frames. So is ``<meta>``, which
speaks in place of a header.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from typing import NamedTuple

from markupsafe import escape

from postbearer.message import cut_header

LARGEST_PREVIEW = 2 * 1024 * 1024  # octets that are looked at
_LONGEST = 1024 * 1024  # characters that are shown
_MOST = 50  # attachments
_PLAIN = (
    "<!doctype html><meta charset=utf-8><meta name=color-scheme content='light dark'><style>"
    "body{font:14px/1.5 ui-monospace,monospace;margin:12px;white-space:pre-wrap;overflow-wrap:anywhere}"
    "</style>"
)
_AHEAD = re.compile(r"<(?=link|meta|base|i?frame|fencedframe|portal|object|embed|applet)", re.IGNORECASE)
_HTML = "<!doctype html><meta charset=utf-8>"


FRAME_HEADERS: Mapping[str, str] = {  # fields of the document in the frame
    "cache-control": "no-store",
    "content-security-policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "x-frame-options": "SAMEORIGIN",
}
_SOURCE = 256 * 1024  # octets that are shown


class Preview(NamedTuple):
    """`document` is HTML; `kind` is what it was made of: "text", "HTML", or "" where there is no text."""

    kind: str
    document: str
    attachments: tuple[tuple[str, str], ...] = ()  # name and type
    whole: bool = True


class Reading(NamedTuple):
    """What the page about a message shows of it: its header, by name and value, and its `source`."""

    preview: Preview
    fields: tuple[tuple[str, str], ...]
    source: str
    cut: bool  # there is more of the source


def read_front(octets: bytes, size: int) -> Reading:
    """What `octets`, the front of a message of `size` octets, say."""
    source = octets[:_SOURCE]
    return Reading(
        preview(octets, whole=len(octets) >= size),
        tuple(_fields(octets)),
        source.decode("utf-8", "replace").replace("\r\n", "\n"),
        size > len(source),
    )


def preview(octets: bytes, *, whole: bool) -> Preview:
    """What `octets`, the front of a message or all of it, say. Never raises: mail may be anything."""
    try:
        parsed = email.message_from_bytes(octets, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        attachments = tuple(_attachments(parsed))
        body = parsed.get_body(("html", "plain"))
        text = "" if body is None else body.get_content()
        is_html = body is not None and body.get_content_type() == "text/html"
    except Exception:  # any: the parser is given what strangers made, and has faults of its own
        return Preview("", _plain("The text of this message cannot be shown. Its source can."), (), whole)
    if body is None or not isinstance(text, str):
        return Preview("", _plain("This message has no text."), attachments, whole)
    text = text[:_LONGEST].encode("utf-8", "replace").decode()
    if is_html:
        return Preview("HTML", f"{_HTML}{_AHEAD.sub('<no-', text)}", attachments, whole)
    return Preview("text", _plain(text), attachments, whole)


def _plain(text: str) -> str:
    return f"{_PLAIN}{escape(text)}"


def _fields(head: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of the header, as they were written."""
    for name, lines in cut_header(head).fields:
        written, _, value = lines.partition(b":")
        yield (
            written.decode("ascii", "replace").strip() or name.decode("ascii", "replace"),
            value.decode("utf-8", "replace").replace("\r\n", "\n").strip(),
        )


def _attachments(parsed: EmailMessage) -> Iterator[tuple[str, str]]:
    for number, part in enumerate(parsed.iter_attachments()):
        if number >= _MOST:
            return
        yield (part.get_filename() or "(no name)")[:200], part.get_content_type()[:100]
