"""What all libraries call: one function of the database, with the message and what is said beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postbearer.envelope import Envelope, PriorityName
from postbearer.errors import UsageError
from postbearer.sending import Parts, Sendable, SendAt, TagValues, ToSubmit, dated, given, moment_of
from postbearer.tags import by_name, tags_named

SCHEMA = "postbearer"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_BESIDE = ("account", "priority", "key", "digest", "send_at", "notify", "ret", "envid")
_TRACE = ("traceparent", "tracestate")
_OPTIONS = frozenset(("account", "priority", "key", "send_at", "tags", "schema", "require_transaction"))


class OutboxOptions(Parts, total=False):
    """What can be said beside a message, or its parts where none is given: see `postbearer.submit`.

    `schema` is that of the queue in the database. Outside a transaction a message would be sent whatever
    becomes of the rest: that is refused unless `require_transaction` is False.
    """

    account: str
    priority: PriorityName | None
    key: str
    send_at: SendAt
    tags: TagValues
    schema: str
    require_transaction: bool


@dataclass(frozen=True, slots=True)
class OutboxCall:
    """The values of one call; `statement` names their places as each library wants them."""

    sender: str
    recipients: list[str]
    content: bytes
    options: str  # JSON
    schema: str

    @classmethod
    def of(
        cls,
        message: Sendable | None,
        envelope: Envelope | None,
        options: Mapping[str, Any],
        *,
        in_transaction: bool,
    ) -> OutboxCall:
        """Raises `UsageError` for what is no message, naming what is wrong with it."""
        parts = {name: each for name, each in options.items() if name not in _OPTIONS}
        schema = options.get("schema", SCHEMA)
        if not isinstance(schema, str) or not _NAME.fullmatch(schema):
            raise UsageError(f"schema cannot be {schema!r:.80}.", hint="Give the name of the queue's schema.")
        if not in_transaction and options.get("require_transaction", True):
            raise UsageError(
                "No transaction is open, so this would be sent whatever becomes of the rest.",
                hint="Begin one, or give require_transaction=False.",
            )
        if parts and not parts.get("sender"):
            raise UsageError("A message that is made here needs its sender.", hint='Give sender="you@…".')
        at = moment_of(options.get("send_at"))
        whole, envelope = given(message, envelope, dated(parts, at), "")
        ready = ToSubmit.of(whole, envelope, _author)
        request = ready.request(
            account=options.get("account", ""),
            priority=options.get("priority"),
            key=options.get("key", ""),
            send_at=at,
            tags=tags_named(options.get("tags") or {}),
        )
        beside = {name: request[name] for name in (*_BESIDE, *_TRACE) if request.get(name)}
        if request["tags"]:
            beside["tags"] = by_name(request["tags"])
        return cls(
            ready.envelope.reverse_path,
            list(ready.envelope.addresses),
            b"".join(ready.content.blocks()),
            json.dumps(beside),
            schema,
        )

    def statement(self, *places: str) -> str:
        """The call, with `places` for the four values."""
        sender, recipients, content, options = places
        return f"SELECT {self.schema}.send_raw({sender}, {recipients}, {content}, {options})"


def _author(author: str) -> str:
    if not author:
        raise UsageError("The message has no From.", hint="Give it one, or an envelope.")
    return author
