"""The trace that a message belongs to, as W3C Trace Context writes it: read strictly, passed on as it is.

What cannot be read belongs to no trace (3.2.2.3, 4.3): nobody is refused for it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

LONGEST = 512  # characters of a tracestate; a vendor may not count on more (3.3.1.5)
MOST_MEMBERS = 32  # of a list (3.3.1.1)
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]{0,400})?", re.ASCII)
_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=([ -+\--<>-~]{0,255}[!-+\--<>-~])",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where in a trace something happened. `traceparent` is of version 00."""

    traceparent: str
    tracestate: str = ""

    @property
    def trace_id(self) -> int:
        return int(self.traceparent[3:35], 16)

    @property
    def span_id(self) -> int:
        return int(self.traceparent[36:52], 16)

    @property
    def flags(self) -> int:
        return int(self.traceparent[53:55], 16)

    @property
    def sampled(self) -> bool:
        """Whether who began the trace keeps it."""
        return bool(self.flags & 1)


def parse(parents: Sequence[str], states: Sequence[str] = ()) -> TraceContext | None:
    """What the fields ``traceparent`` and ``tracestate`` say; None for nothing, and what cannot be read."""
    if len(parents) != 1 or not (match := _PARENT.fullmatch(parents[0].strip(" \t"))):
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None) or not int(trace, 16) or not int(span, 16):
        return None
    return TraceContext(f"00-{trace}-{span}-{flags}", _state(states))


def _state(fields: Sequence[str]) -> str:
    """The list of all `fields` as one; empty if it is not well-formed (3.3.1)."""
    members = [each.strip(" \t") for field in fields for each in field.split(",")]
    members = [each for each in members if each]
    found = [_MEMBER.fullmatch(each) for each in members]
    names = {match[1] for match in found if match}
    state = ",".join(members)
    if len(members) > MOST_MEMBERS or len(names) < len(members) or len(state) > LONGEST:
        return ""
    return state


def current() -> TraceContext | None:
    """The span of this program that is open here and now, if it uses OpenTelemetry."""
    api: Any = sys.modules.get("opentelemetry.trace")  # who has not loaded it has no span
    if api is None:
        return None
    span = api.get_current_span().get_span_context()
    parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
    return parse([parent], [span.trace_state.to_header()])
