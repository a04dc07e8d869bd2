"""What the endpoints work on: the parts of one relay that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from postbearer.api.cursors import Cursors
from postbearer.api.tokens import ApiTokens
from postbearer.clock import Clock
from postbearer.control import Operations
from postbearer.engine import Dispatcher, Intake
from postbearer.events import Observer
from postbearer.submission import Access, RateLimit, RejectLog, SessionLimits
from postbearer.tracking import Feed


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
    """The intake, its rate limit and the clients are those of all other ways in.

    `metrics` gives the page for Prometheus, `feed` what becomes of messages. `stopping` is set as soon as
    the relay is about to end: what streams to clients then ends, too.
    """

    intake: Intake
    operations: Operations
    dispatcher: Dispatcher
    access: Access
    rate_limit: RateLimit
    reject_log: RejectLog
    tokens: ApiTokens
    clock: Clock
    observer: Observer
    metrics: Callable[[], Awaitable[bytes]]
    cursors: Cursors
    feed: Feed
    keys_under_way: set[tuple[str, str]] = field(default_factory=set)  # idempotency keys, by their clients
    bounds: SessionLimits = field(default_factory=SessionLimits)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
