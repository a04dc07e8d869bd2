"""Faults of the sandbox, switched while it runs (``PUT /faults``) or by a test directly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec


class TokenFault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the token endpoint does instead of answering.

    ``down``: 503. ``slow``: waits `delay` seconds first. ``throttled``: 429 with `retry_after`.
    ``refused``: 400 with `error` and `description`. ``not-json``: an HTML page with status 200.
    ``redirect``: 302 to another host. ``huge``: more than anybody should read. ``lost-rotation``: rotates
    the refresh token and drops the connection, so that the client never learns the new one.
    """

    kind: Literal["down", "slow", "throttled", "refused", "not-json", "redirect", "huge", "lost-rotation"]
    times: int = 1_000_000_000  # how often it strikes before the endpoint is well again
    delay: float = 0.0  # seconds
    error: str = "invalid_grant"
    description: str = ""
    retry_after: str = "60"  # seconds or an HTTP date, as it goes into the header


class SmtpFault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the mail server does at one place of the conversation.

    `at` is a command (``mail``, ``rcpt``, ``data``, ``bdat``, ``auth``, ``ehlo``, ``rset``, ``quit``), or
    ``greeting`` or ``content`` (the final reply). `reply` is sent in place of the usual one; ``""`` closes
    the connection without a word. `match` limits it to recipients or senders that contain this text.
    """

    at: Literal[
        "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "bdat", "content", "rset", "quit"
    ]
    reply: str = ""
    match: str = ""
    times: int = 1_000_000_000
    delay: float = 0.0  # seconds before the reply
    after_commit: bool = False  # ``content`` only: the message is kept, and then the fault strikes


_Fault = TypeVar("_Fault", TokenFault, SmtpFault)


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """All faults in force."""

    token: list[TokenFault] = []
    smtp: list[SmtpFault] = []
    disconnect_after: int | None = None  # octets the mail server reads from a connection before it hangs up
    refuse_tokens: int = 0  # how many further AUTHs are refused although the token is good
    excess_is_refused: bool = False  # `microsoft`: 421 4.4.2 for the 31st message in place of waiting
    audience: str = ""  # whom tokens are for in place of the mail server, which refuses them
    without_role: bool = False  # app-only tokens come without the role that the mail server wants to see
    without_scope: bool = False  # whoever signs in leaves the box for mail empty
    revoked: bool = False  # consent withdrawn: refresh tokens are refused with invalid_grant

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
