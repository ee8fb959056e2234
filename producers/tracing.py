"""Traces, for a program that has OpenTelemetry: a span for what is sent, whose context goes with the command.

A program that has not imported OpenTelemetry has no tracer, and pays a look into a dict. What a span tells of
a command are its id and kind, and how it went: never a value of its payload.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from .errors import CommandError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, Tracer, TracerProvider

    from .sending import Sending

_SYSTEM = "crud-worker"


def tracer() -> Tracer | None:
    """Return the tracer, if the program has imported OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import get_tracer_provider  # noqa: PLC0415  # as above

    return _tracer_of(get_tracer_provider())


@lru_cache(maxsize=4)
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer(_SYSTEM)


def sending(
    queue: str, batch: Sequence[Sending], operation: Literal["send", "create"] = "send"
) -> AbstractContextManager[Sequence[Sending]]:
    """Give a batch that bears the context of the span in which it is sent, or, for the outbox, created."""
    found = tracer()
    return nullcontext(batch) if found is None else _sending(found, queue, batch, operation)


@contextmanager
def _sending(
    tracer: Tracer, queue: str, batch: Sequence[Sending], operation: str
) -> Iterator[Sequence[Sending]]:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415  # there by now

    about: dict[str, Any] = {"messaging.batch.message_count": len(batch)}
    if len(batch) == 1:
        about = of_command(batch[0].command_id, batch[0].command.kind)
    with messaging(tracer, operation, queue, SpanKind.PRODUCER, about):
        carried = carry()
        yield [replace(one, trace=carried) for one in batch] if carried else batch


def of_command(command_id: object, kind: str) -> dict[str, Any]:
    """Return the attributes that say which command a span is about."""
    return {"messaging.message.id": str(command_id), "crud_worker.kind": kind}


@contextmanager
def messaging(  # noqa: PLR0917
    tracer: Tracer,
    operation: str,
    queue: str,
    kind: SpanKind,
    about: Mapping[str, Any],
    context: Context | None = None,
    links: Sequence[Link] = (),
) -> Iterator[Span]:
    """Open a span as OpenTelemetry's conventions for messaging have it; what is raised in it fails it."""
    attributes = {
        "messaging.system": _SYSTEM,
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        **about,
    }
    with tracer.start_as_current_span(
        f"{operation} {queue}",
        context,
        kind,
        attributes,
        links,
        record_exception=False,  # its message may quote a payload
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, error.code if isinstance(error, CommandError) else type(error).__name__)
            raise


def fail(span: Span, code: str) -> None:
    """Say that what a span is about has failed."""
    from opentelemetry.trace import StatusCode  # noqa: PLC0415  # there by now

    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", code)


def carry() -> str:
    """Write down the current context, for `carried`: `traceparent` and, behind a space, `tracestate`."""
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415  # there by now
        TraceContextTextMapPropagator,
    )

    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    return f"{headers.get('traceparent', '')} {headers.get('tracestate', '')}".strip()


def carried(text: object) -> Context:
    """Read what `carry` wrote; an empty context where it is anything else."""
    from opentelemetry.context import Context  # noqa: PLC0415  # there by now
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415  # as above
        TraceContextTextMapPropagator,
    )

    parent, _, state = text.partition(" ") if isinstance(text, str) else ("", "", "")
    return TraceContextTextMapPropagator().extract({"traceparent": parent, "tracestate": state}, Context())
