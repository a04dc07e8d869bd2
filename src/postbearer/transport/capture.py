"""The conversation as text for people, with nothing in it that proves who we are."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from postbearer.redaction import Redactor
from postbearer.reply import Reply, printable
from postbearer.secret import MASK
from postbearer.wire import Auth, AuthResponse, Command, EndOfContent

CRLF = b"\r\n"


class Capture(Protocol):
    """Sees every command and reply of a connection as they pass."""

    def sent(self, command: Command, line: bytes) -> None: ...
    def content(self, octets: int) -> None: ...
    def received(self, command: Command, reply: Reply) -> None: ...


class Transcript:
    """A `Capture` that keeps lines as people read them (``C:`` client, ``S:`` server)."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def sent(self, command: Command, line: bytes) -> None:
        if isinstance(command, AuthResponse):
            self.lines.append(f"C: {MASK}")
        elif isinstance(command, Auth):
            self.lines.append(
                f"C: AUTH {command.mechanism}" + (f" {MASK}" if command.initial is not None else "")
            )
        elif not isinstance(command, EndOfContent):
            self.lines.append("C: " + printable(line.removesuffix(CRLF)))

    def content(self, octets: int) -> None:
        self.lines.append(f"C: [{octets} octets of content]")

    def received(self, command: Command, reply: Reply) -> None:
        # A 334 may hold a refusal made of our own words; what it said is told decoded, elsewhere.
        hidden = reply.code == 334 and isinstance(command, Auth | AuthResponse) and any(reply.lines)
        lines = (MASK.encode(),) if hidden else reply.lines
        for number, line in enumerate(lines, 1):
            separator = " " if number == len(lines) else "-"
            self.lines.append(f"S: {reply.code}{separator}{printable(line)}")

    def __str__(self) -> str:
        return "\n".join(self.lines)


def scrubbed(reply: Reply, redactor: Redactor) -> Reply:
    """`reply` without what it repeats of our secrets, also over several lines.

    Some servers repeat the command they refuse, and replies go to logs and to people.
    """
    lines = tuple(redactor.octets(b"\n".join(reply.lines)).split(b"\n"))
    return reply if lines == reply.lines else replace(reply, lines=lines)
