"""What happens in the relay, from the message that it takes to the report about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from postbearer.events.base import Event
from postbearer.outcome import RecipientFate


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Event):
    """The relay took a message: it is on the disk. `account` carries it first (empty: several do).

    From its end until then it took `seconds`. `traceparent` and `tracestate` are of who submitted it.
    """

    id: str
    client: str
    size: int
    recipients: int
    message_id: str = ""
    seconds: float = 0.0
    traceparent: str = ""
    tracestate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEnded(Event):
    """An attempt for a queued message ended, and that is on the disk; `account` made it.

    `due` is when those that were deferred are tried again. `queue_id` is the provider's own. `counted` is
    false when nothing could be attempted. The attempt took `seconds`; the message might have left `age`
    seconds before its end.
    """

    id: str
    attempt: int
    fates: tuple[RecipientFate, ...]
    server: str = ""
    queue_id: str = ""
    seconds: float = 0.0
    due: float | None = None
    counted: bool = True
    error: str = ""
    age: float = 0.0
    traceparent: str = ""
    tracestate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Event):
    """A delivery report about the message `id` was put in the queue, as the message `report`."""

    id: str
    report: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleDuplicate(Event):
    """The message `id` may be delivered more than once; `window` names why."""

    id: str
    window: str
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPaused(Event):
    """The account sends nothing; its mail waits. `person`: somebody must act. `until`: tried again then."""

    reason: str
    remedy: str = ""
    until: float | None = None
    person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResumed(Event):
    """The account sends again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring(Event):
    """`what` of the account ends at `at` (Unix seconds), within `level` days; 0: it has ended."""

    what: str
    at: float
    level: int
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog(Event):
    """So many `messages` wait for the account, the oldest of them `since` then (Unix seconds)."""

    messages: int
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway(Event):
    """Somebody at `peer` was not let in, or may not send. Of one peer this is told once a minute."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailed(Event):
    """A client at `peer` did not know its password. `username` is empty when nobody has that name."""

    peer: str
    username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAction(Event):
    """Somebody changed something by hand: `by`, whom `known_by` proves, did `action`.

    To the account, to the message `id` (to `recipient` of it only, if named), or to the relay; `detail` tells
    more of it. `count` of recipients, or of messages of an import, were changed.
    """

    action: str
    by: str
    known_by: str
    id: str = ""
    recipient: str = ""
    detail: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnected(Event):
    """A client at `peer` has a connection to the relay, or one that it was not let in by."""

    for_counting: ClassVar[bool] = True

    peer: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDisconnected(Event):
    """A client that was let in has gone; it was connected for `seconds`."""

    for_counting: ClassVar[bool] = True

    peer: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRejected(Event):
    """A client's `command` was answered by `code`: 4xx or 5xx.

    ``CONTENT`` is the end of a message, ``SUBMIT`` a message by ``submit.sock``, ``OTHER`` no command.
    """

    for_counting: ClassVar[bool] = True

    peer: str
    command: str
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Event):
    """A commit of the queue ended: `jobs` shared it, `pages` were written, in `seconds`; `failed` or not."""

    for_counting: ClassVar[bool] = True

    jobs: int
    pages: int
    seconds: float
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempted(Event):
    """A webhook was called, which took `seconds`. `status` is that of its answer; 0: there was none."""

    for_counting: ClassVar[bool] = True

    webhook: str
    arrived: bool
    status: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFailing(Event):
    """Nothing that is sent to a webhook arrives; it is tried again for days. `error` is why."""

    webhook: str
    error: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookWorks(Event):
    """What is sent to a webhook arrives again."""

    webhook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDisabled(Event):
    """A webhook is not called any more, until somebody enables it."""

    webhook: str
    reason: str


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The relay listens on `addresses`."""

    addresses: str


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """The relay goes by a new configuration."""


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The relay has ended, with all marks written."""
