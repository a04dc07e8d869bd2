"""One notice: what a person should know, as JSON for programs and as a letter for people. Never a secret."""

from __future__ import annotations

import textwrap

import msgspec

from postbearer.timestamps import format_timestamp

Commands = tuple[str, ...]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Times are Unix seconds. `kind` is one of `KINDS`; `commands` are what a person may type."""

    id: str
    kind: str
    account: str
    at: float
    title: str
    text: str
    since: float | None = None
    waiting: int = 0  # messages of the account
    others: tuple[str, ...] = ()  # accounts that the same has happened to
    cause: str = ""
    remedy: str = ""
    commands: Commands = ()
    level: int | None = None  # days left, of those at which somebody is told
    what: str = ""  # of what runs out
    ends: float | None = None
    count: int = 0  # of what failed

    @property
    def topic(self) -> str:
        """What of `notify.events` it belongs to."""
        return KINDS[self.kind]

    def payload(self) -> bytes:
        """As JSON: ``type``, ``timestamp`` and ``data``, and ``text`` for whoever only shows it."""
        data = {name: getattr(self, name) for name in _DATA if getattr(self, name) not in (None, "", ())}
        if not self.count:
            data.pop("count")
        return msgspec.json.encode(
            {
                "type": self.kind,
                "timestamp": format_timestamp(self.at),
                "text": f"{self.title}. {self.text}",
                "data": data,
            }
        )

    def letter(self) -> str:
        """The body of a message."""
        lines = [*textwrap.wrap(self.text, 76, break_long_words=False), ""]
        lines += [f"  {command}" for command in self.commands]
        return "\n".join(lines).rstrip() + "\n"


KINDS = {
    "account.paused": "account",
    "account.resumed": "account",
    "account.expiring": "expiry",
    "account.expired": "expiry",
    "message.failed": "failure",
    "account.backlog": "backlog",
}
_DATA = (
    "account",
    "others",
    "since",
    "waiting",
    "cause",
    "remedy",
    "commands",
    "level",
    "what",
    "ends",
    "count",
)


def messages(count: int) -> str:
    return "1 message waits" if count == 1 else f"{count} messages wait" if count else "no message waits"
