"""Accounts at the sandbox that differ in one thing, and messages to send through them."""

from __future__ import annotations

import os
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

from postbearer.account import Account
from postbearer.envelope import Envelope
from postbearer.testing import Sandbox

RAW = (
    b"From: alerts@example.org\r\nTo: you@example.org\r\nSubject:  two  blanks\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <one@example.org>\r\n\r\n.dot\r\nbye"
)
TO_YOU = Envelope.of("alerts@example.org", ["you@example.org"])


def message(**fields: str) -> EmailMessage:
    """A small message; `fields` replace those of the header, ``Reply_To`` for ``Reply-To``."""
    made = EmailMessage()
    for name, value in {"From": "alerts@example.org", "To": "you@example.org", **fields}.items():
        if value:
            made[name.replace("_", "-")] = value
    made.set_content("Hello.\n")
    return made


def at(account: Account, *servers: str, **options: Any) -> Account:
    """The account with other servers, or other fields of its smarthost."""
    from postbearer.transport import ServerAddress

    options |= {"servers": tuple(map(ServerAddress.parse, servers))} if servers else {}
    return replace(account, outgoing=replace(account.smarthost, **options))


def environment(sandbox: Sandbox, state: os.PathLike[str]) -> dict[str, str]:
    """What a process needs that shares `state` and sends by the sandbox's configuration."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": os.fspath(state),
        "POSTBEARER_STATE": os.fspath(state),
        "POSTBEARER_CONFIG": str(sandbox.folder / "postbearer.toml"),
    }
