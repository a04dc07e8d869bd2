"""Faults of the sandbox, switched while it runs (``PUT /faults``) or by a test directly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal, TypeVar

import msgspec

from postbearer.errors import RemoteProtocolError, UsageError
from postbearer.testing.replies import parse_reply

_WORD = re.compile(r"[ !#-\[\]-~]+")  # RFC 6749 5.2
_HEADER = re.compile(r"[ -~]+")
_A_REPLY = (
    'Write three digits, a blank and words: "550 5.1.1 No such user"; '
    r'of several lines: "550-No\n550 such user".'
)
# The classes of replies that mean something as a fault, by place; 2yz there says what it does not do,
# or, to AUTH, what no server may say (RFC 4954 6).
_CLASSES: Mapping[str, str] = {"ehlo": "245", "auth": "2345", "content": "245"}
_MATCHED = ("mail", "rcpt", "bdat", "content")


class TokenFault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the token endpoint does instead of answering.

    ``down``: 503. ``slow``: waits `delay` seconds first. ``throttled``: 429 with `retry_after`.
    ``refused``: 400 with `error` and `description`. ``not-json``: an HTML page with status 200.
    ``redirect``: 302 to another host. ``huge``: more than anybody should read. ``lost-rotation``: rotates
    the refresh token and drops the connection, so that the client never learns the new one.
    Raises `UsageError` for values that no endpoint could give.
    """

    kind: Literal["down", "slow", "throttled", "refused", "not-json", "redirect", "huge", "lost-rotation"]
    times: int = 1_000_000_000  # how often it strikes before the endpoint is well again
    delay: float = 0.0  # seconds
    error: str = "invalid_grant"
    description: str = ""
    retry_after: str = "60"  # seconds or an HTTP date, as it goes into the header

    def __post_init__(self) -> None:
        _refuse_negative(times=self.times, delay=self.delay)
        if self.kind == "slow" and not self.delay:
            raise UsageError("slow without delay changes nothing.", hint='Add "delay": 5, in seconds.')
        if not _WORD.fullmatch(self.error):
            hint = "Write one that RFC 6749 5.2 allows, as invalid_grant."
            raise UsageError(f"error cannot be {self.error!r:.80}.", hint=hint)
        if not _HEADER.fullmatch(self.retry_after):
            hint = 'Write seconds, as "60", or an HTTP date.'
            raise UsageError(f"retry-after cannot be {self.retry_after!r:.80}.", hint=hint)


class SmtpFault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the mail server does at one place of the conversation.

    `at` is a command (``mail``, ``rcpt``, ``data``, ``bdat``, ``auth``, ``ehlo``, ``starttls``), or
    ``greeting`` or ``content`` (the final reply). `reply` is sent in place of the usual one; ``""`` closes
    the connection without a word. `match` limits it to recipients or senders that contain this text.
    Raises `UsageError` for a `reply` that is none, or that means nothing at this place.
    """

    at: Literal["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "bdat", "content"]
    reply: str = ""
    match: str = ""
    times: int = 1_000_000_000
    delay: float = 0.0  # seconds before the reply
    after_commit: bool = False  # ``content`` only: the message is kept, and then the fault strikes

    def __post_init__(self) -> None:
        _refuse_negative(times=self.times, delay=self.delay)
        if self.reply:
            self._check_reply()
        if self.match and self.at not in _MATCHED:
            hint = f"Leave it out, or choose one of {', '.join(_MATCHED)}."
            raise UsageError(f"match has no effect at {self.at}: no address is named there.", hint=hint)
        if self.after_commit and self.at != "content":
            hint = 'Leave it out, or write "at": "content".'
            raise UsageError(f"after-commit has no effect at {self.at}: nothing is kept there.", hint=hint)

    def _check_reply(self) -> None:
        try:
            code = parse_reply(self.reply).code
        except (UsageError, RemoteProtocolError, UnicodeEncodeError):
            raise UsageError(f"reply {self.reply!r:.80} is no SMTP reply.", hint=_A_REPLY) from None
        classes = _CLASSES.get(self.at, "45")
        if str(code)[0] not in classes:
            known = " or ".join(f"{digit}yz" for digit in classes)
            hint = f"Give it a code {known}; without the fault, it is answered as usual."
            raise UsageError(f"reply {self.reply!r:.80} is no fault at {self.at}.", hint=hint)


def _refuse_negative(**values: float) -> None:
    for name, value in values.items():
        if value < 0 or not isfinite(value):
            raise UsageError(f"{name.replace('_', '-')} cannot be {value}.", hint="Write a number from 0 on.")


_Fault = TypeVar("_Fault", TokenFault, SmtpFault)


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """All faults in force. Raises `UsageError` for values that are none."""

    token: list[TokenFault] = []
    smtp: list[SmtpFault] = []
    disconnect_after: int | None = None  # octets the mail server reads from a connection before it hangs up
    refuse_tokens: int = 0  # how many further AUTHs are refused although the token is good
    excess_is_refused: bool = False  # `microsoft`: 421 4.4.2 for the 31st message in place of waiting
    audience: str = ""  # whom tokens are for in place of the mail server, which refuses them
    without_role: bool = False  # app-only tokens come without the role that the mail server wants to see
    without_scope: bool = False  # whoever signs in leaves the box for mail empty
    revoked: bool = False  # consent withdrawn: refresh tokens are refused with invalid_grant

    def __post_init__(self) -> None:
        _refuse_negative(refuse_tokens=self.refuse_tokens, disconnect_after=self.disconnect_after or 0)

    def next_token(self) -> TokenFault | None:
        """The fault that strikes this token request, if any."""
        return _strike(self.token, lambda fault: True)

    def next_smtp(self, at: str, text: str = "", *, after_commit: bool = False) -> SmtpFault | None:
        """The fault that strikes at this place of the conversation, if any."""
        return _strike(
            self.smtp,
            lambda fault: fault.at == at and fault.match in text and fault.after_commit is after_commit,
        )


def _strike(faults: list[_Fault], applies: Callable[[_Fault], bool]) -> _Fault | None:
    for fault in faults:
        if fault.times > 0 and applies(fault):
            fault.times -= 1
            return fault
    return None
