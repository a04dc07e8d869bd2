"""Spans of OpenTelemetry: what happened to messages, to whom it may be told by the environment."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.tracing.environment import tracer_provider as tracer_provider
    from postbearer.tracing.environment import wanted as wanted
    from postbearer.tracing.spans import SpanIds as SpanIds
    from postbearer.tracing.spans import Spans as Spans

_EXPORTS = {"environment": ["tracer_provider", "wanted"], "spans": ["SpanIds", "Spans"]}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
