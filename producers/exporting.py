"""Where the spans of our own command lines go: to an OpenTelemetry collector, if the environment names one.

A program of yours sets up OpenTelemetry as it likes, and calls none of this.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_LAST = 3.0
"""Seconds at most that the end of a process waits for its last spans to be taken."""


class CannotExport(Exception):
    """A collector is named, and the extra that would send to it is not installed."""


def export(service: str) -> None:
    """Send spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, from a `service` of this name.

    OpenTelemetry's own variables say more: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER. Where the program has a
    provider already, that is kept. Raises CannotExport.
    """
    if not any(map(os.environ.get, _ENDPOINTS)):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # an extra
            OTLPSpanExporter,
        )
    except ImportError:
        raise CannotExport(
            f"pip install 'crud-worker[traces]', or unset {' and '.join(_ENDPOINTS)}"
        ) from None
    from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider  # noqa: PLC0415  # as above

    if isinstance(get_tracer_provider(), ProxyTracerProvider):
        _provide(service, OTLPSpanExporter())


def _provide(service: str, exporter: SpanExporter) -> None:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415  # there by now
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # as above
    from opentelemetry.trace import set_tracer_provider  # noqa: PLC0415  # as above

    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    set_tracer_provider(provider)

    def end() -> None:
        giving_up = threading.Timer(_LAST, exporter.shutdown)  # else it tries for half a minute
        giving_up.daemon = True
        giving_up.start()
        provider.shutdown()

    atexit.register(end)
