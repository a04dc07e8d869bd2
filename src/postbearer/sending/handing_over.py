"""Handing a message to the relay of this machine, which delivers it: `submit`, and what mailers do by it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import Message
from email.utils import formatdate
from typing import Any, Unpack, overload

from postbearer.envelope import PRIORITIES, Envelope, PriorityName
from postbearer.errors import (
    KeyReused,
    OutcomeUnknown,
    PostbearerError,
    RelayNotRunning,
    SubmissionRefused,
    UsageError,
)
from postbearer.message import BytesContent, Composed, Content, author_of, envelope_of, to_bytes
from postbearer.reply import EnhancedStatus, Reply
from postbearer.sending.parts import Parts
from postbearer.sending.retry import seconds
from postbearer.sending.sendable import Sendable, enveloped, given, refuse_bare_line_ends
from postbearer.tags import Tags, tags_named
from postbearer.trace_context import TraceContext, current, parse

SendAt = datetime | timedelta | None
TagValues = Mapping[str, str | Sequence[str]] | None
TIMEOUT = 30.0  # seconds: a relay that starts again is back by then
_LONGEST_KEY = 255
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two tries
_NEW_EACH_TIME = re.compile(rb"^(?:date|message-id):.*\r\n(?:[ \t].*\r\n)*", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(rb'\bboundary="?([^\s";]{20,70})')  # those that `email` and we make
_REPLY = re.compile(r"(\d{3})[ -]?((?:(\d)\.(\d{1,3})\.(\d{1,3}) ?)?.*)", re.DOTALL)
_QUEUED = "queued as "
_REUSED = "5.5.0"


@dataclass(frozen=True, slots=True)
class ToSubmit:
    """A message as the relay is to have it. `digest` is the same each time that the message is made anew."""

    envelope: Envelope
    content: Content
    digest: str

    @classmethod
    def of(cls, message: Sendable, envelope: Envelope | None, reverse_path: Callable[[str], str]) -> ToSubmit:
        """`reverse_path` tells by its author from whom a message leaves that has no envelope.

        Raises `UsageError`.
        """
        if isinstance(message, Message):
            envelope = envelope or envelope_of(message, reverse_path(author_of(message)))
            message = Composed(to_bytes(message))
        content, envelope = enveloped(message, envelope)
        if isinstance(content, Composed):
            digest = _digest(envelope, [_without_chance(b"".join(content.blocks()))])
            return cls(envelope, _ended(content), digest)
        refuse_bare_line_ends(content)
        return cls(envelope, _ended(content), _digest(envelope, content.blocks()))

    def submit(
        self,
        *,
        account: str = "",
        priority: PriorityName | None = None,
        key: str = "",
        timeout: float = TIMEOUT,
        send_at: float | None = None,
        tags: Tags = (),
    ) -> str:
        """Have the relay keep it; the id it has there. See `submit`; `send_at` is in Unix seconds."""
        key = key or secrets.token_hex(16)
        fields = self.request(account=account, priority=priority, key=key, send_at=send_at, tags=tags)
        return _Tries(fields, self.content).run(seconds(timeout))

    def request(
        self,
        *,
        account: str,
        priority: PriorityName | None,
        key: str,
        send_at: float | None,
        tags: Tags,
    ) -> dict[str, Any]:
        """What is said beside the content, as a relay reads it. Raises `UsageError`."""
        if not isinstance(account, str):
            raise UsageError(f"account cannot be {account!r:.80}.", hint="Give the name of an account.")
        return {
            **_handed_over(self.envelope, priority),
            "account": account,
            "key": _checked_key(key) if key else "",
            "digest": self.digest,
            **({} if send_at is None else {"send_at": float(send_at)}),
            "tags": tags,
        }


@overload
def submit(
    message: Sendable,
    envelope: Envelope | None = None,
    *,
    account: str = "",
    priority: PriorityName | None = None,
    key: str = "",
    timeout: float = TIMEOUT,
    send_at: SendAt = None,
    tags: TagValues = None,
) -> str: ...


@overload
def submit(
    *,
    account: str = "",
    priority: PriorityName | None = None,
    key: str = "",
    timeout: float = TIMEOUT,
    send_at: SendAt = None,
    tags: TagValues = None,
    **parts: Unpack[Parts],
) -> str: ...


def submit(
    message: Sendable | None = None,
    envelope: Envelope | None = None,
    *,
    account: str = "",
    priority: PriorityName | None = None,
    key: str = "",
    timeout: float = TIMEOUT,
    send_at: SendAt = None,
    tags: TagValues = None,
    **parts: Any,
) -> str:
    """Hand a message to the relay of this machine; the id it has there, once it is on the disk.

    No account need be set up for this program: the relay has them, and sends by the one that its routes say,
    else by `account`, else by its default. The message is given or made of its parts, as in
    `AsyncMailer.send`; what is made here needs a `sender`. `priority` is ``urgent``, ``normal`` or ``bulk``.

    `send_at` is when it is to leave, a `datetime` with its time zone or a `timedelta` from now, by 30 days at
    most; what is past is now. What is made here is dated so. `tags` are texts, or lists of texts, by name, to
    find it by; they never leave with it.

    `timeout` is for how many seconds to try while the relay does not run or goes away. `key` is a name for
    the message: what is submitted again under it, within a day at least, is not sent again, and returns the
    first id. Without one each call makes its own, so that its tries make one message.

    Raises `UsageError` for what is no message, `KeyReused` for a key that stands for another one,
    `RelayNotRunning` when there was nobody to hand it to, `SubmissionRefused` with the relay's reply, and
    `OutcomeUnknown` when no answer came: to submit the same again under its `key` is safe.
    """
    if parts and not parts.get("sender"):
        raise UsageError(
            "A message that is made here needs its sender.",
            hint='Give sender="you@example.org"; or submit it by the mailer of an account.',
        )
    at = moment_of(send_at)
    whole, envelope = given(message, envelope, dated(parts, at), "")
    ready = ToSubmit.of(whole, envelope, _itself)
    named = tags_named(tags or {})
    return ready.submit(account=account, priority=priority, key=key, timeout=timeout, send_at=at, tags=named)


def _itself(author: str) -> str:
    """A message leaves as its author, where no account is known that could stand in."""
    if not author:
        raise UsageError(
            "The message has no From, and no account that it could be from.",
            hint="Give it one, or an envelope; or submit it by the mailer of an account.",
        )
    return author


def moment_of(send_at: SendAt) -> float | None:
    """When that is, in Unix seconds; None: now. Raises `UsageError`."""
    now = time.time()
    match send_at:
        case None:
            return None
        case timedelta():
            at = now + send_at.total_seconds()
        case datetime() if send_at.utcoffset() is not None:
            at = send_at.timestamp()
        case datetime():
            raise UsageError(
                f"send_at: {send_at.isoformat()} has no time zone.", hint="Write datetime(…, tzinfo=UTC)."
            )
        case _:
            raise UsageError(
                f"send_at: a datetime or a timedelta is wanted, and no {type(send_at).__name__}.",
                hint="Give timedelta(hours=2), say.",
            )
    return at if at > now else None


def dated(parts: Mapping[str, Any], at: float | None) -> Mapping[str, Any]:
    """The parts of a message that leaves at a later time: with that as its Date, unless they say another."""
    headers = parts.get("headers") or {}
    if not parts or at is None or not isinstance(headers, Mapping):
        return parts
    if any(isinstance(name, str) and name.lower() == "date" for name in headers):
        return parts
    return {**parts, "headers": {**headers, "Date": formatdate(at, localtime=True)}}


class _Tries:
    """One message, given to the relay until it says what became of it."""

    def __init__(self, fields: Mapping[str, Any], content: Content) -> None:
        self._fields = fields
        self._content = content
        self._doubt = False  # whether it may be there although nobody said so
        self._busy: SubmissionRefused | None = None  # what a relay said that turned us away for now

    def run(self, timeout: float) -> str:
        """The id of the message. `timeout` is in seconds. Raises what `submit` does."""
        deadline, pause = time.monotonic() + timeout, _FIRST_PAUSE
        while True:
            there = self._try(max(deadline - time.monotonic(), 1.0))
            if isinstance(there, str):
                return there
            if not there or time.monotonic() + pause > deadline:
                raise self._failure(there)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(self, patience: float) -> str | bool:
        """The id; or else whether it is worth another try, as a relay is set up here."""
        try:
            from postbearer import handover  # only on systems that have Unix sockets
        except ImportError:
            return False
        places = handover.places(dict(os.environb))
        for place in places:
            connection = handover.reached(place)
            if connection is not None:
                connection.settimeout(patience)
                break
        else:
            return any(map(handover.drops, places))
        uid = {"uid": os.getuid()}
        head = handover.opening({**uid, **self._fields}, self._content.size)
        try:
            said = handover.hand_over(connection, _with(head, self._content))
        except handover.RelayDown:
            self._doubt = True
            return True
        return self._told(said)

    def _told(self, said: str) -> str | bool:
        reply = _reply(said)
        if reply.positive:
            return reply.text.removeprefix(_QUEUED)
        error = SubmissionRefused(
            f"The relay did not take the message: {str(reply).rstrip('.')}.",
            reply=reply,
            hint="Submit it again later." if reply.transient else "",
        )
        if reply.closing:  # it is about to end, or has too many connections
            self._busy = error
            return True
        if str(reply.enhanced or "") == _REUSED:
            raise KeyReused(
                f"The key {self._fields['key']!r:.80} stands for another message.",
                hint="Use a new key for each message, and the same only to submit it again.",
            ) from error
        raise error

    def _failure(self, there: bool) -> PostbearerError:
        if self._doubt:
            return OutcomeUnknown(
                "The relay went away before it said what became of the message.",
                key=self._fields["key"],
                hint="Submit the same again under the key of this error: it is there once then.",
            )
        if self._busy is not None:
            return self._busy
        if there:
            return RelayNotRunning(
                "The relay of this machine does not run.",
                hint="Start it, and submit the message again; systemctl status postbearer may say why.",
            )
        return RelayNotRunning(
            "There is no relay on this machine that could take the message.",
            hint="Start one with postbearer serve; POSTBEARER_STATE names its state folder if it is another "
            "user's.",
        )


def _with(head: bytes, content: Content) -> Iterator[bytes]:
    yield head
    yield from content.blocks()


def _ended(content: Content) -> Content:
    """With an end of its last line, as whoever sends it by SMTP gives it one, too (RFC 5321 4.1.1.4)."""
    tail = b""
    for block in content.blocks():
        tail = (tail + block)[-2:]
    return content if tail == b"\r\n" else BytesContent(b"".join([*content.blocks(), b"\r\n"]))


def _handed_over(envelope: Envelope, priority: PriorityName | None) -> dict[str, Any]:
    """The envelope in the words of the hand-over. Raises `UsageError` for a wish that it has no word for."""
    if priority is not None and priority not in PRIORITIES:
        raise UsageError(f"There is no priority {priority!r:.80}.", hint="It is urgent, normal or bulk.")
    first = envelope.recipients[0]
    if any(each.orcpt or each.notify != first.notify for each in envelope.recipients) or envelope.require_tls:
        raise UsageError(
            "A relay cannot be told of ORCPT, of REQUIRETLS, or of reports for some recipients alone.",
            hint="Leave them out, or submit by SMTP.",
        )
    trace = _trace_of(envelope)
    number = envelope.priority if priority is None else PRIORITIES[priority]
    return {
        "from": envelope.reverse_path,
        "to": envelope.addresses,
        "ret": envelope.ret or "",
        "envid": envelope.envid,
        "notify": first.notify,
        **({} if number is None else {"priority": number}),
        **({} if trace is None else {"traceparent": trace.traceparent, "tracestate": trace.tracestate}),
    }


def _trace_of(envelope: Envelope) -> TraceContext | None:
    """The trace that the message belongs to: as its envelope says, or that of the span that is open here."""
    return parse([envelope.traceparent], [envelope.tracestate]) if envelope.traceparent else current()


def _checked_key(key: object) -> str:
    """What ``key=`` says. Raises `UsageError`."""
    if isinstance(key, str) and len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable():
        return key
    raise UsageError(
        f"A key cannot be {key!r:.80}.", hint=f"Give up to {_LONGEST_KEY} visible ASCII characters."
    )


def _without_chance(octets: bytes) -> bytes:
    """A message without what is another each time that one is made: boundaries, Date and Message-ID."""
    for number, boundary in enumerate(dict.fromkeys(_BOUNDARY.findall(octets))):
        octets = octets.replace(boundary, b"=%d" % number)
    head, end, body = octets.partition(b"\r\n\r\n")
    return _NEW_EACH_TIME.sub(b"", head + b"\r\n") + end + body


def _digest(envelope: Envelope, blocks: Iterable[bytes]) -> str:
    made = hashlib.sha256("\n".join([envelope.reverse_path, *envelope.addresses, "", ""]).encode())
    for block in blocks:
        made.update(block)
    return made.hexdigest()


def _reply(said: str) -> Reply:
    """What the relay said, on one line."""
    match = _REPLY.match(said)
    assert match is not None, "it was looked at"
    code, text, *status = match.groups()
    enhanced = EnhancedStatus(*map(int, status)) if all(status) else None
    return Reply(int(code), (text.encode(),), enhanced)
