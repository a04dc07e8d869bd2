"""Points in time, as they are told to programs and to people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

Time = Annotated[float, Meta(description="Unix seconds", extra_json_schema={"format": "unix-time"})]


def moment(at: float) -> str:
    """A point in time, for people who may be anywhere."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
