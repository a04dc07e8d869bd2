"""What the relay said lately, and what it says from now on: by server-sent events, or by asking again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from postbearer.console.pages import PRIVATE
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import LEVELS, LogPage, Right, encode

SHOWN = 200  # lines
CALM = 0.5  # seconds between two looks for who follows
LONGEST_STREAM = 60.0  # seconds; the browser comes back then, and shows again who it is
_ALIVE = 15.0  # seconds without a line after which something is sent all the same
_LONGEST = 200  # characters of what is looked for


class LogFilter(NamedTuple):
    """What the address asks for."""

    account: str = ""
    level: str = "info"
    word: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> LogFilter:
        level = given.get("level", "")
        return cls(
            account=given.get("account", "").strip()[:_LONGEST],
            level=level if level in LEVELS else "info",
            word=given.get("word", "").strip()[:_LONGEST],
        )

    @property
    def address(self) -> str:
        """As the query of an address."""
        given = self._asdict() | {"level": "" if self.level == "info" else self.level}
        return urlencode({name: value for name, value in given.items() if value})


async def show(visit: Visit) -> Response:
    filter_ = LogFilter.of(visit.request.query_params)
    page: LogPage = await visit.perform("relay.log", **filter_._asdict(), limit=SHOWN)
    return visit.page(
        "log.html",
        filter=filter_,
        page=page,
        accounts=sorted(visit.services.api.dispatcher.account_states),
        levels=LEVELS,
    )


async def follow(visit: Visit) -> Response:
    """Lines as they come, each as JSON, under its number as the id of the event."""
    asked: dict[str, Any] = LogFilter.of(visit.request.query_params)._asdict()
    seen = visit.request.headers.get("last-event-id") or visit.request.query_params.get("after", "")
    after = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 19 else 0
    headers = {"cache-control": PRIVATE, "x-accel-buffering": "no"}
    return StreamingResponse(_stream(visit, asked, after), headers=headers, media_type="text/event-stream")


async def _stream(visit: Visit, asked: dict[str, Any], after: int) -> AsyncIterator[bytes]:
    api, sessions = visit.services.api, visit.services.state.sessions
    ends, quiet = api.clock.monotonic() + LONGEST_STREAM, 0.0
    yield b"retry: 2000\n\n"
    while not api.stopping.is_set() and sessions.alive(visit.of) and api.clock.monotonic() < ends:
        page: LogPage = await visit.perform("relay.log", **asked, after=after, limit=SHOWN)
        after, quiet = page.last, quiet + CALM
        if page.lines:
            quiet = 0.0
            yield b"".join(b"id: %d\ndata: %s\n\n" % (line.number, encode(line)) for line in page.lines)
        elif quiet >= _ALIVE:
            quiet = 0.0
            yield b":\n\n"
        await api.clock.sleep(CALM)


PAGES = (
    ConsolePage(path="/log", needs=Right.LOOK, do=show),
    ConsolePage(path="/log/stream", needs=Right.LOOK, do=follow),
)
