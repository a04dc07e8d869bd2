"""Server-sent events: every change of a recipient's state, in order, and on from where one was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import at
from postbearer.api.tokens import TokenScope
from postbearer.control import encode
from postbearer.errors import StoreError
from postbearer.store import StateChange
from postbearer.tracking import EventInfo, event_of

MEDIA_TYPE: Final = "text/event-stream"
PATIENCE: Final = 15.0  # seconds without an event after which a comment shows that the stream stands
RETRY: Final = 2000  # milliseconds after which a client that lost it comes back
_BEGIN: Final = f"retry: {RETRY}\n\n".encode()
_ALIVE: Final = b":\n\n"


class Followed(Struct, rename="kebab", frozen=True, kw_only=True):
    """Which events; what is not given asks for all from now on."""

    after: (
        Annotated[int, Meta(ge=0, description="id to go on behind, if there is no Last-Event-ID")] | None
    ) = None
    message: Annotated[str, Meta(max_length=1000, description="id of a message")] = ""
    account: Annotated[str, Meta(max_length=1000)] = ""

    def wants(self, change: StateChange) -> bool:
        """Whether it is among them."""
        return self.message in ("", change.message) and self.account in ("", change.account)


async def follow(call: Call) -> Response:
    """A stream that ends with the relay, with its token, or when its client goes."""
    asked: Followed = call.query or Followed()
    oldest, last = await call.services.feed.kept()
    after = _last_seen(call)
    if after is None:
        after = last if asked.after is None else asked.after
    if after > last:
        raise at(
            f"There is no event {after} yet: the last one is {last}.",
            parameter="after",
            kind="malformed",
            hint="It is of another queue, or of this one before it was restored: begin anew, without it.",
        )
    if call.request.method == "HEAD":
        return Response(media_type=MEDIA_TYPE)
    lost = oldest - 1 - after if after < oldest - 1 else 0
    return StreamingResponse(_stream(call, asked, after, lost), media_type=MEDIA_TYPE)


def _last_seen(call: Call) -> int | None:
    """What a client that comes back has seen last."""
    given: str | None = call.request.headers.get("last-event-id")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise at(
            "This is no id of an event.", header="Last-Event-ID", kind="malformed", hint="It is a number."
        )
    return int(given)


async def _stream(call: Call, asked: Followed, after: int, lost: int) -> AsyncIterator[bytes]:
    yield _BEGIN
    if lost:
        yield b"event: lost\ndata: " + encode({"count": lost}) + b"\n\n"
    own = call.by.client.name if call.by.confined else ""
    with suppress(StoreError):  # who comes back is told why
        async for piece in call.services.feed.follow(after, PATIENCE):
            if not _still_may(call):
                return
            wanted = [each for each in piece if own in ("", each.client) and asked.wants(each)]
            yield b"".join(map(_frame, wanted)) or _ALIVE


def _still_may(call: Call) -> bool:
    """Whether the token that opened the stream was neither revoked nor has expired."""
    token = call.by.token
    return token in call.services.tokens.all() and not token.expired(call.services.clock.now())


@lru_cache(maxsize=1000)  # it is the same for all who follow
def _frame(change: StateChange) -> bytes:
    event = event_of(change)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (change.number, event.type.encode(), encode(event))


ENDPOINTS = (
    ApiEndpoint(
        name="events",
        method="GET",
        path="/v1/events",
        needs=TokenScope.READ,
        summary="What becomes of messages, as server-sent events.",
        do=follow,
        asks=Followed,
        answers=EventInfo,
        media_type=MEDIA_TYPE,
        parameters=(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "id of the event that was seen last",
                "schema": {"type": "string", "pattern": "^[0-9]{0,18}$"},
            },
        ),
    ),
)
