"""Events become spans: the acceptance in the trace of who submitted, attempts with a link to it."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from postbearer.events import Accepted, DeliveryEnded, Event, Several, TokenRequested
from postbearer.outcome import RecipientFate, Status
from postbearer.testing import ManualClock
from postbearer.tracing import SpanIds, Spans

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
PARENT = f"00-{TRACE:032x}-{SPAN:016x}-01"
SECRETS = ("you@example.net", "canary", "<m@example.org>")


class Traced:
    """An observer that makes spans, and the spans that it made."""

    def __init__(self, **options: Any) -> None:
        ids = SpanIds()
        provider = TracerProvider(id_generator=ids, **options)
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.clock = ManualClock(1_800_000_000.0)
        self._several = Several(Spans(provider, ids), clock=self.clock)

    def notice(self, event: Event) -> None:
        self._several.notice(event)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


def accepted(identifier: str = "m1", **more: Any) -> Accepted:
    return Accepted(
        "alerts",
        id=identifier,
        client="shop",
        size=512,
        recipients=2,
        message_id="<m@example.org>",
        seconds=0.25,
        **more,
    )


def ended(identifier: str = "m1", *, status: Status = Status.DELIVERED, **more: Any) -> DeliveryEnded:
    fate = RecipientFate(
        recipient="you@example.net", status=status, code=more.pop("code", ""), reply="250 canary"
    )
    return DeliveryEnded(
        "alerts", id=identifier, attempt=1, fates=(fate,), server="mail.example.org:587", seconds=1.5, **more
    )


def test_the_acceptance_is_a_part_of_the_trace_that_the_client_began() -> None:
    traced = Traced()
    traced.notice(accepted(traceparent=PARENT, tracestate="congo=t61rcWkgMzE"))
    (span,) = traced.spans
    assert span.parent is not None
    assert (span.context.trace_id, span.parent.span_id, span.parent.is_remote) == (TRACE, SPAN, True)
    assert span.context.trace_state.to_header() == "congo=t61rcWkgMzE"
    assert (span.name, span.kind) == ("accept message", SpanKind.SERVER)
    assert (span.end_time or 0) - (span.start_time or 0) == pytest.approx(0.25e9, rel=0.01)
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "messaging.system": "postbearer",
        "messaging.operation.name": "accept",
        "messaging.operation.type": "receive",
        "messaging.message.id": "m1",
        "messaging.message.body.size": 512,
        "messaging.client.id": "shop",
        "postbearer.recipients": 2,
        "postbearer.account": "alerts",
    }


@pytest.mark.parametrize("given", [{}, {"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE"}])
def test_an_attempt_hours_later_and_in_another_process_is_linked_to_the_acceptance(given: Any) -> None:
    before, after = Traced(), Traced()
    before.notice(accepted(**given))
    after.clock.advance(3 * 3600)
    after.notice(ended(**given))
    (first,), (later,) = before.spans, after.spans
    (link,) = later.links
    assert (link.context.trace_id, link.context.span_id) == (first.context.trace_id, first.context.span_id)
    assert later.context.trace_id != first.context.trace_id
    assert later.parent is None
    assert (later.start_time or 0) - (first.start_time or 0) > 2 * 3600e9
    assert later.attributes is not None
    assert later.attributes["server.address"] == "mail.example.org"
    assert later.attributes["server.port"] == 587
    assert later.attributes["postbearer.recipients.delivered"] == 1
    assert later.status.status_code is StatusCode.UNSET


def test_messages_have_spans_of_their_own() -> None:
    traced = Traced()
    for number in range(3):
        traced.notice(accepted(f"m{number}"))
        traced.notice(ended(f"m{number}"))
    assert len({span.context.span_id for span in traced.spans}) == 6
    assert len({span.context.trace_id for span in traced.spans}) == 6


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (ended(status=Status.FAILED, code="5.1.1"), "5.1.1"),
        (ended(status=Status.DEFERRED, error="ConnectFailed"), "ConnectFailed"),
        (ended(status=Status.DEFERRED), "_OTHER"),
        (
            TokenRequested("alerts", grant="client-credentials", seconds=0.5, error="GrantRefused"),
            "GrantRefused",
        ),
    ],
)
def test_what_failed_says_why_in_a_word(event: Event, error: str) -> None:
    traced = Traced()
    traced.notice(event)
    (span,) = traced.spans
    assert span.attributes is not None
    assert span.attributes["error.type"] == error
    assert span.status.status_code is StatusCode.ERROR
    assert span.kind is SpanKind.CLIENT


def test_of_a_trace_that_nobody_keeps_there_is_nothing() -> None:
    traced = Traced()
    for event in (accepted, ended):
        traced.notice(event(traceparent=f"{PARENT[:-1]}0"))
    assert traced.spans == []


def test_a_sampler_is_asked() -> None:
    traced = Traced(sampler=TraceIdRatioBased(0.0))
    for event in (accepted(), ended(), TokenRequested("alerts", grant="password", seconds=0.5)):
        traced.notice(event)
    assert traced.spans == []


def test_no_span_holds_an_address_a_text_or_a_secret() -> None:
    traced = Traced()
    events = accepted(), ended(), ended(status=Status.FAILED, code="5.1.1")
    for event in (*events, TokenRequested("alerts", grant="password", seconds=0.5)):
        traced.notice(event)
    told = "".join(span.to_json() for span in traced.spans)
    assert len(traced.spans) == 4
    assert [secret for secret in SECRETS if secret in told] == []
