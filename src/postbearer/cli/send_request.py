"""From what the command line says to a message and its envelope."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast, get_args

from postbearer.address import refuse_controls
from postbearer.cli.exit_codes import UnusableMessage
from postbearer.cli.input_files import read_file, unreadable
from postbearer.envelope import Envelope, Notify, Ret
from postbearer.errors import UsageError
from postbearer.message import BytesContent, Content, Draft, FileContent, has_bare_line_ends, parse_mailboxes

if TYPE_CHECKING:
    from postbearer.account import Account

_LONE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_RETURN: dict[str | None, Ret] = {"full": "FULL", "headers": "HDRS"}
_BUILDING = ("subject", "text", "html", "attach", "headers")


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A message as the command line describes it; everything is read and checked here."""

    given: Mapping[str, Any]
    notify: tuple[Notify, ...] = ()
    raw: Content | None = None
    text: str | None = None
    html: str | None = None
    attachments: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> SendRequest:
        """Raises `UsageError`, `Unreadable` or `UnusableMessage`."""
        given = {**given, "to": (*given["to"], *(word for word in given["words"] if word != "-"))}
        if "-" in given["words"]:
            if there := next((name for name in ("text", "raw") if given[name] not in (None, "-")), ""):
                raise UsageError(f"- is the text on standard input, and --{there} says it already.")
            given["text"] = "-" if given["raw"] is None else None
        if not (given["to"] or given["cc"] or given["bcc"]):
            raise UsageError("A message needs at least one recipient.", hint="Add --to ADDRESS.")
        refuse_controls(given["subject"], "the subject")
        notify = _notify(given["dsn_notify"])
        if given["raw"] is not None:
            if mixed := [name for name in _BUILDING if given[name]]:
                option = f"--{mixed[0].removesuffix('s')}"
                raise UsageError(f"--raw sends a message as it is; {option} cannot change it.")
            return cls(given, notify, raw=_raw(given["raw"]))
        if [given["text"], given["html"], *given["attach"]].count("-") > 1:
            raise UsageError(
                "Standard input can be read only once: give - to one of --text, --html, --attach."
            )
        attachments = tuple((_name(path), read_file(path)) for path in given["attach"])
        elsewhere = "-" in given["attach"] or given["html"] is not None
        text = _text(_typed() if given["text"] is None and not elsewhere else given["text"])
        html = _text(given["html"])
        said = (given["subject"], text, html)
        if not (attachments or given["headers"] or any((each or "").strip() for each in said)):
            raise UnusableMessage(
                "There is nothing to send: no subject, no text and no attachment.",
                hint="See whether the program that was to write it failed; or say --text TEXT.",
            )
        return cls(given, notify, None, text, html, attachments)

    def build(self, account: Account) -> tuple[Content, Envelope]:
        """The message and its envelope, for `account`. Raises `UnusableMessage`."""
        author = self.given["sender"] or account.address
        (box,) = parse_mailboxes(author)
        leaves_as = box.address if account.sender.permits(box.address) else account.address
        return self._built(author, leaves_as)

    def build_for_queue(self, author: str, send_at: float | None = None) -> tuple[Content, Envelope]:
        """The same by `author`, for a relay, whose accounts say what it leaves as. Raises `UnusableMessage`.

        One that leaves at a later time has that as its Date, unless it says another.
        """
        (box,) = parse_mailboxes(author)
        headers = list(self.given["headers"])
        if send_at is not None and all(name.lower() != "date" for name, _ in headers):
            headers.append(("Date", formatdate(send_at, localtime=True)))
        return self._built(author, box.address, headers)

    def _built(
        self, author: str, leaves_as: str, headers: Sequence[tuple[str, str]] | None = None
    ) -> tuple[Content, Envelope]:
        to, cc, bcc = (self.given[name] for name in ("to", "cc", "bcc"))
        everyone = [each.address for value in (*to, *cc, *bcc) for each in parse_mailboxes(value)]
        envelope = self._reports(Envelope.of(leaves_as, everyone))
        if self.raw is not None:
            return self.raw, envelope
        draft = Draft(
            author,
            to,
            cc,
            subject=self.given["subject"],
            text=self.text,
            html=self.html,
            attachments=self.attachments,
            headers=self.given["headers"] if headers is None else headers,
        )
        try:
            return draft.compose(), envelope
        except UsageError as error:
            raise UnusableMessage(error.message, hint=error.hint) from error

    def _reports(self, envelope: Envelope) -> Envelope:
        recipients = tuple(replace(each, notify=self.notify) for each in envelope.recipients)
        ret = _RETURN.get(self.given["dsn_return"])
        return replace(envelope, recipients=recipients, ret=ret, envid=self.given["dsn_id"])


def _name(path: str) -> str:
    """What an attachment is called."""
    return "stdin" if path == "-" else os.path.basename(path)


def _raw(name: str) -> Content:
    """Content as it is. A file with good line ends is streamed, whatever its size; a pipe is read once."""
    if os.path.isfile(name):
        try:
            content = FileContent(name)
        except OSError as error:
            raise unreadable(name, error) from None
        if not has_bare_line_ends(content):
            return _filled(content, name)
    return _filled(BytesContent(crlf(read_file(name))), "Standard input" if name == "-" else name)


def _filled(content: Content, name: str) -> Content:
    """`content`, unless there is nothing in it."""
    if not any(block.strip(b"\r\n") for block in content.blocks()):
        raise UnusableMessage(
            f"{name} is empty: there is no message, neither header nor text.",
            hint="See whether the program that was to write it failed.",
        )
    return content


def crlf(content: bytes) -> bytes:
    """Content whose lines all end with LF gets CRLF; mixed or bare CR is refused (RFC 5321 2.3.8)."""
    if b"\r" not in content:
        return content.replace(b"\n", b"\r\n")
    if found := _LONE.search(content):
        line = content.count(b"\n", 0, found.start()) + 1
        raise UnusableMessage(
            f"The line ends are mixed: line {line} does not end with CRLF, others do.",
            hint="End every line in the same way, with LF or with CRLF.",
        )
    return content


def _notify(listed: str | None) -> tuple[Notify, ...]:
    words = [word.strip().upper() for word in listed.split(",")] if listed else []
    for word in words:
        if word not in get_args(Notify):
            raise UsageError(
                f"{word.lower()!r} is no kind of report.", hint="Use success,failure,delay or never."
            )
    if "NEVER" in words and len(words) > 1:
        raise UsageError("never excludes all other reports (RFC 3461 4.1).")
    return cast(tuple[Notify, ...], tuple(dict.fromkeys(words)))


def _typed() -> str | None:
    """Where the text is when no option says it: on standard input, unless that is the keyboard."""
    return None if sys.stdin is None or sys.stdin.isatty() else "-"


def _text(value: str | None) -> str | None:
    if value != "-":
        return value
    try:
        return read_file("-").decode()
    except UnicodeDecodeError:
        raise UnusableMessage(
            "Standard input is not UTF-8.", hint="Convert it, or attach it as a file."
        ) from None
