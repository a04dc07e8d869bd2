"""An observer that makes spans of events: a message accepted, an attempt to deliver it, a token asked for.

A message waits for hours, so its attempts are traces of their own, each with a link to the span of the
acceptance. That span has ids that follow from the id of the message, and so need not be kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from postbearer._version import __version__
from postbearer.events import Accepted, DeliveryEnded, Event, TokenRequested
from postbearer.trace_context import TraceContext, parse

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

_HEARD = (Accepted, DeliveryEnded, TokenRequested)
Attributes = Mapping[str, str | int | bool]


class SpanIds(RandomIdGenerator):
    """Ids by chance, but for those that somebody `expects`: each of these is given out once."""

    def __init__(self) -> None:
        self._trace: list[int] = []
        self._span: list[int] = []

    def expect(self, trace: int, span: int) -> None:
        """The next span has the id `span`; if it begins a trace, that is `trace`."""
        self._trace[:], self._span[:] = [trace], [span]

    def generate_span_id(self) -> int:
        return self._span.pop() if self._span else super().generate_span_id()

    def generate_trace_id(self) -> int:
        return self._trace.pop() if self._trace else super().generate_trace_id()

    def forget(self) -> None:
        """Nothing is expected any more."""
        self._trace.clear()
        self._span.clear()


class Spans:
    """Makes spans by `provider`, which takes its ids from `ids`.

    No attribute holds an address, a text of a message or of a reply, or a secret.
    """

    def __init__(self, provider: TracerProvider, ids: SpanIds) -> None:
        self._tracer = provider.get_tracer("postbearer", __version__)
        self._ids = ids

    def hears(self, kind: type[Event]) -> bool:
        return kind in _HEARD

    def notice(self, event: Event) -> None:
        match event:
            case Accepted():
                self._accepted(event)
            case DeliveryEnded():
                self._attempted(event)
            case TokenRequested():
                attributes = {"postbearer.account": event.account, "postbearer.grant": event.grant}
                self._span(event, "request token", SpanKind.CLIENT, event.seconds, attributes, event.error)

    def _accepted(self, event: Accepted) -> None:
        given = parse([event.traceparent], [event.tracestate])
        attributes: dict[str, str | int | bool] = {
            **_about(event.id, "accept", "receive"),
            "messaging.message.body.size": event.size,
            "messaging.client.id": event.client,
            "postbearer.recipients": event.recipients,
            "postbearer.account": event.account,
        }
        self._ids.expect(*_ids_of(event.id))
        self._span(event, "accept message", SpanKind.SERVER, event.seconds, attributes, within=given)
        self._ids.forget()

    def _attempted(self, event: DeliveryEnded) -> None:
        given = parse([event.traceparent], [event.tracestate])
        if given is not None and not given.sampled:
            return  # who began the trace keeps nothing of it
        states = Counter(fate.status.value for fate in event.fates)
        attributes: dict[str, str | int | bool] = {
            **_about(event.id, "deliver", "send"),
            **{f"postbearer.recipients.{state}": count for state, count in states.items()},
            **_server(event.server),
            "postbearer.account": event.account,
            "postbearer.attempt": event.attempt,
        }
        trace, span = _ids_of(event.id)
        accepted = SpanContext(
            given.trace_id if given else trace,
            span,
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
            trace_state=_trace_state(given),
        )
        code = next((fate.code or "_OTHER" for fate in event.fates if fate.status.value != "delivered"), "")
        self._span(
            event,
            "deliver message",
            SpanKind.CLIENT,
            event.seconds,
            attributes,
            event.error or code,
            links=[Link(accepted)],
        )

    def _span(
        self,
        event: Event,
        name: str,
        kind: SpanKind,
        seconds: float,
        attributes: Attributes,
        error: str = "",
        *,
        within: TraceContext | None = None,
        links: Sequence[Link] = (),
    ) -> None:
        """One that is over: `event` came at its end."""
        context = Context()
        if within is not None:
            parent = SpanContext(
                within.trace_id, within.span_id, True, TraceFlags(within.flags), _trace_state(within)
            )
            context = set_span_in_context(NonRecordingSpan(parent), context)
        begun, ended = (int(each * 1e9) for each in (event.time - seconds, event.time))
        span = self._tracer.start_span(name, context, kind, dict(attributes), links, begun)
        if error:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)


def _about(identifier: str, name: str, kind: str) -> dict[str, str | int | bool]:
    """By the semantic conventions of messaging: this is a queue."""
    return {
        "messaging.system": "postbearer",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.message.id": identifier,
    }


def _server(text: str) -> dict[str, str | int | bool]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        return {"server.address": text} if text else {}
    return {"server.address": host, "server.port": int(port)}


def _trace_state(context: TraceContext | None) -> TraceState:
    return TraceState.from_header([context.tracestate] if context and context.tracestate else [])


def _ids_of(message: str) -> tuple[int, int]:
    """Ids of a trace and of a span, the same for a message whenever it is asked for; neither is zero."""
    digest = hashlib.sha256(message.encode()).digest()
    return int.from_bytes(digest[8:24]) or 1, int.from_bytes(digest[:8]) or 1
