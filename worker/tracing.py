"""Traces, where the program has OpenTelemetry: a span for each delivery that is begun.

`process` is a child of the span in which its command was sent, and linked to it; with a batch they all are.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from producers import tracing
from producers.exporting import CannotExport, export
from producers.wire import Answer

from .logs import log

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from .delivery import Delivery, Later
    from .failure import Failure


def begin() -> None:
    """Send the spans of this process to a collector, if the environment names one."""
    try:
        export("crud-worker")
    except CannotExport as error:
        log.warning("traces.off", error=str(error))


async def processing(
    delivery: Delivery, stamp: dict[str, Any], run: Awaitable[Answer | Later]
) -> Answer | Later:
    """Have a delivery carried out, in a span of its own."""
    tracer = tracing.tracer()
    return await (run if tracer is None else _in_span(tracer, delivery, stamp.get("trace"), run))


async def _in_span(
    tracer: Tracer, delivery: Delivery, trace: object, run: Awaitable[Answer | Later]
) -> Answer | Later:
    from opentelemetry.trace import Link, SpanKind, get_current_span  # noqa: PLC0415  # there by now

    sent = tracing.carried(trace)
    where = get_current_span(sent).get_span_context()
    about = tracing.of_command(delivery.command_id, delivery.kind)
    links = [Link(where)] if where.is_valid else []
    kind = SpanKind.CONSUMER
    with tracing.messaging(tracer, "process", delivery.queue, kind, about, sent, links) as span:
        outcome = await run
        if isinstance(outcome, Answer):
            span.set_attribute("crud_worker.ending", outcome.ending.value)
            code = str(outcome.error.get("code") or "") if outcome.error else ""
        else:
            code = outcome.failure.code if outcome.failure else ""
        if code:
            tracing.fail(span, code)
        return outcome


def failed(failure: Failure) -> None:
    """Tell of an attempt that failed, in the span of its delivery."""
    if tracing.tracer() is None:
        return
    from opentelemetry.trace import get_current_span  # noqa: PLC0415  # there by now

    about = {
        "error.type": failure.code,
        "crud_worker.cause": failure.cause.value,
        "crud_worker.place": failure.place,
    }
    if failure.sqlstate is not None:
        about["db.response.status_code"] = failure.sqlstate
    get_current_span().add_event("attempt failed", about)
