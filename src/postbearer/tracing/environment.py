"""Whether spans are wanted, and where they go: by the variables ``OTEL_*`` that every program understands.

The packages of OpenTelemetry are loaded by who wants spans, and by nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from postbearer._version import __version__
from postbearer.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator

_EXPORTERS = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names an exporter of spans, or where spans are taken."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    chosen = environ.get(_EXPORTERS, "").strip()
    return chosen != "none" and bool(chosen or any(environ.get(each) for each in _ENDPOINTS))


def tracer_provider(environ: Mapping[str, str], ids: IdGenerator) -> TracerProvider:
    """What makes spans and sends them, as the environment says; SDK and exporter read the rest of it.

    Raises `ConfigError` where that cannot be, and `ImportError` without the packages.
    """
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    chosen = [each.strip() for each in environ.get(_EXPORTERS, "otlp").split(",")]
    exporters = [_exporter(each, environ) for each in chosen]
    about = {"service.version": __version__}
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not named:
        about["service.name"] = "postbearer"
    made = TracerProvider(resource=Resource.create(about), id_generator=ids, shutdown_on_exit=False)
    for exporter in exporters:
        made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp":
        raise ConfigError(
            f"{_EXPORTERS} names the exporter {name!r:.80}.", hint="There are otlp and console."
        )
    spoken = next((environ[each] for each in _PROTOCOLS if environ.get(each)), _SPOKEN)
    if spoken != _SPOKEN:
        raise ConfigError(
            f"OTLP is wanted by the protocol {spoken!r:.80}, and spoken by {_SPOKEN} only.",
            hint=f"Set {_PROTOCOLS[0]}={_SPOKEN}, and the endpoint's port for it, mostly 4318.",
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
