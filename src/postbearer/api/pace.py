"""Clients that are slow on purpose: how long a request may take to come, before the application sees it."""

from __future__ import annotations

import asyncio

from postbearer.clock import Clock
from postbearer.http_guard import Application, Message, Receive, Scope, Send
from postbearer.submission import SessionLimits


class Pace:
    """`application`, with a `TimeoutError` for it in place of a body that does not come at a rate.

    The rate is that of SMTP: a body may begin slowly, but not go on like that.
    """

    def __init__(self, application: Application, clock: Clock, bounds: SessionLimits) -> None:
        self._application = application
        self._clock = clock
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, came, whole = self._clock.monotonic(), 0, False

        async def paced() -> Message:
            nonlocal came, whole
            if whole:  # what comes now is only that the client went away
                return await receive()
            due = begun + self._bounds.grace + came / self._bounds.slowest
            async with asyncio.timeout(max(0.0, due - self._clock.monotonic())):
                message = await receive()
            came += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        await self._application(scope, paced, send)
