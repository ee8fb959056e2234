"""Where OpenTelemetry is there, what became of a command is found from where it was sent, by its trace."""

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, Tracer, TraceState
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandConflict, Producer, QueueFull, QueueSettings
from producers.commands import CreateUser
from producers.outbox import Outbox, send, send_many
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, Running
from tests.guarantees.counters import Bump, bump
from tests.guarantees.failing import broken, failing
from tests.waiting import until
from worker.replay import replay


class Spans(InMemorySpanExporter):
    """What was recorded."""

    tracer: Tracer

    def __call__(self, name: str) -> list[ReadableSpan]:
        """Give the spans of a name, in the order in which they ended."""
        return [span for span in self.get_finished_spans() if span.name == name]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """The spans of this process, which has a provider for as long as the test."""
    return recording(monkeypatch, TracerProvider(shutdown_on_exit=False))


def recording(monkeypatch: pytest.MonkeyPatch, provider: TracerProvider) -> Spans:
    spans = Spans()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    spans.tracer = provider.get_tracer("test")
    monkeypatch.setattr("producers.tracing._tracer_of", lambda _: spans.tracer)
    return spans


@pytest.fixture
def signing_keys() -> str:
    return ""


@pytest.fixture
def queue(redis_url: str, signing_keys: str) -> QueueSettings:
    """A queue whose name is in the names of spans."""
    return QueueSettings(redis_url=redis_url, name="q", redis_retries=2, signing_keys=signing_keys)


def context_of(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def belongs(processed: ReadableSpan, sent: ReadableSpan) -> bool:
    """Whether a span is a child of another, and linked to it."""
    parent, links = processed.parent, [link.context.span_id for link in processed.links]
    where = context_of(sent)
    assert parent is not None
    return (parent.trace_id, parent.span_id, links) == (where.trace_id, where.span_id, [where.span_id])


def codes(spans: Sequence[ReadableSpan]) -> list[Any]:
    """What each failed with, None where it did not."""
    for span in spans:
        has_failed = span.status.status_code is StatusCode.ERROR
        assert has_failed == ("error.type" in attributes_of(span))
        assert span.status.description is None
    return [attributes_of(span).get("error.type") for span in spans]


async def test_from_a_request_to_what_became_of_its_command(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain, counters: Counters
) -> None:
    with spans.tracer.start_as_current_span("request") as request:
        receipt = await producer.send(Bump(name="n"))
    await drain(make_app({Bump: bump}))
    assert await counters() == {"n": 1}
    [sent], [processed] = spans("send q"), spans("process q")
    assert sent.parent is not None
    assert sent.parent.span_id == request.get_span_context().span_id
    assert belongs(processed, sent)
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    about = {
        "messaging.system": "crud-worker",
        "messaging.destination.name": "q",
        "messaging.message.id": str(receipt.command_id),
        "crud_worker.kind": Bump.kind,
    }
    said = ("messaging.operation.name", "messaging.operation.type")
    assert attributes_of(sent) == {**about, **dict.fromkeys(said, "send")}
    ended = {"crud_worker.ending": "applied"}
    assert attributes_of(processed) == {**about, **dict.fromkeys(said, "process"), **ended}
    assert codes([sent, processed]) == [None, None]


async def test_a_batch_is_sent_in_one_span_and_each_of_it_is_processed_in_its_own(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain, counters: Counters
) -> None:
    await producer.send_many([Bump(name=str(number)) for number in range(5)])
    await drain(make_app({Bump: bump}))
    assert len(await counters()) == 5
    [sent] = spans("send q")
    assert attributes_of(sent)["messaging.batch.message_count"] == 5
    assert "messaging.message.id" not in attributes_of(sent)
    processed = spans("process q")
    assert len({attributes_of(one)["messaging.message.id"] for one in processed}) == 5
    assert all(belongs(one, sent) for one in processed)


@pytest.mark.parametrize("count", [1, 3])
async def test_what_is_written_in_a_transaction_of_its_senders(
    spans: Spans,
    producer: Producer,
    make_app: MakeApp,
    drain: Drain,
    database: AsyncEngine,
    counters: Counters,
    count: int,
) -> None:
    outbox, commands = Outbox(queue=producer.settings.name), [Bump(name="n") for _ in range(count)]
    async with AsyncSession(database) as session, session.begin():
        if count == 1:
            await send(session, commands[0], outbox=outbox)
        else:
            await send_many(session, commands, outbox=outbox)
    await drain(make_app({Bump: bump}))
    assert await counters() == {"n": count}
    [created], processed = spans("create q"), spans("process q")
    assert len(processed) == count
    assert all(belongs(one, created) for one in processed)
    assert created.kind is SpanKind.PRODUCER
    assert spans("send q") == []


async def test_each_delivery_tells_of_its_attempts_and_what_follows_from_them(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain, letters: Rows, counters: Counters
) -> None:
    secret = "of the payload"
    receipt = await producer.send(Bump(name=secret))
    await drain(make_app({Bump: failing(2, ValueError(secret))}, max_attempts=3))
    processed = spans("process q")
    assert codes(processed) == ["bug", "bug", None]
    assert all(belongs(one, spans("send q")[0]) for one in processed)
    assert [event.name for one in processed for event in one.events] == ["attempt failed"] * 2
    about = dict(processed[0].events[0].attributes or {})
    place = about.pop("crud_worker.place")
    assert about == {"error.type": "bug", "crud_worker.cause": "bug"}
    assert str(place).endswith("failing.py, handler")
    assert not any(secret in one.to_json() for one in spans.get_finished_spans())
    await receipt.result(1)
    assert await letters() == []
    assert await counters() == {secret: 1}


async def test_an_error_of_the_database_is_told_by_its_sqlstate(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain
) -> None:
    await producer.send_many([CreateUser(username="unmistakable") for _ in range(2)])
    await drain(make_app())
    processed = sorted(spans("process q"), key=lambda one: len(one.events))
    assert codes(processed) == [None, "unique_violation"]
    assert attributes_of(processed[1])["crud_worker.ending"] == "rejected"
    assert dict(processed[1].events[0].attributes or {})["db.response.status_code"] == "23505"
    assert not any("unmistakable" in one.to_json() for one in spans.get_finished_spans())


async def test_what_is_sent_in_vain_says_why(spans: Spans, redis_url: str) -> None:
    settings = QueueSettings(redis_url=redis_url, name="q", max=1)
    async with Producer(settings=settings) as producer:
        await producer.send(Bump(name="n"), command_id="one")
        with pytest.raises(CommandConflict):
            await producer.send(Bump(name="other"), command_id="one")
        with pytest.raises(QueueFull):
            await producer.send(Bump(name="n"))
    assert codes(spans("send q")) == [None, "conflict", "queue_full"]


async def test_a_replay_is_sent_anew(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain, counters: Counters
) -> None:
    receipt = await producer.send(Bump(name="n"))
    await drain(make_app({Bump: broken}, max_attempts=1))
    app = make_app({Bump: bump})
    with spans.tracer.start_as_current_span("mend"):
        await replay(app, producer.redis, receipt.command_id)
    await drain(app)
    assert await counters() == {"n": 1}
    assert codes(spans("process q")) == ["bug", None]
    assert [*map(belongs, spans("process q"), spans("send q"))] == [True, True]


async def test_one_that_is_handed_back_says_so(
    spans: Spans, producer: Producer, make_app: MakeApp, running: Running, counters: Counters
) -> None:
    begun: list[Bump] = []

    async def hang(_session: AsyncSession, command: Bump) -> int:
        begun.append(command)
        await until(lambda: False)
        return 0

    await producer.send(Bump(name="n"))
    async with running(make_app({Bump: hang}, shutdown_timeout=0.1)):
        await until(lambda: bool(begun))
    assert await counters() == {}
    assert set(codes(spans("process q"))) == {"CancelledError"}


async def test_what_other_tracers_say_beside_goes_along(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain, counters: Counters
) -> None:
    state = TraceState([("vendor", "a value"), ("other", "2")])
    upstream = SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=state)
    with trace.use_span(NonRecordingSpan(upstream)):
        await producer.send(Bump(name="n"))
    await drain(make_app({Bump: bump}))
    assert await counters() == {"n": 1}
    [processed] = spans("process q")
    assert context_of(processed).trace_id == 7
    assert context_of(processed).trace_state == state


async def test_what_is_not_sampled_where_it_is_sent_is_not_recorded_where_it_is_processed(
    monkeypatch: pytest.MonkeyPatch,
    producer: Producer,
    make_app: MakeApp,
    drain: Drain,
    counters: Counters,
) -> None:
    spans = recording(monkeypatch, TracerProvider(ParentBased(ALWAYS_OFF), shutdown_on_exit=False))
    await producer.send(Bump(name="n"))
    await drain(make_app({Bump: bump}))
    assert await counters() == {"n": 1}
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    "junk", ['"nonsense"', "7", "null", '{"a":[]}', '"00-' + "0" * 32 + '-0000000000000000-01"', '"\\ud800"']
)
async def test_what_is_no_context_is_none(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain, counters: Counters, junk: str
) -> None:
    receipt = await producer.send(Bump(name="n"))
    job = producer.keys.job(receipt.command_id)
    body = await producer.redis.get(job)
    head, found, rest = body.partition(b'"trace":')
    assert found
    await producer.redis.set(job, head + found + junk.encode() + rest[rest.index(b'"', 1) + 1 :])
    await drain(make_app({Bump: bump}))
    assert await counters() == {"n": 1}
    [processed] = spans("process q")
    assert (processed.parent, list(processed.links)) == (None, [])


@pytest.mark.parametrize("signing_keys", ["a key of thirty-two characters at least"])
async def test_a_context_is_signed_with_its_command(
    spans: Spans, producer: Producer, make_app: MakeApp, drain: Drain, counters: Counters
) -> None:
    await producer.send(Bump(name="as it was"))
    receipt = await producer.send(Bump(name="changed"))
    [_, sent] = spans("send q")
    job = producer.keys.job(receipt.command_id)
    trace_id = f"{context_of(sent).trace_id:032x}".encode()
    body = await producer.redis.get(job)
    assert trace_id in body
    await producer.redis.set(job, body.replace(trace_id, b"7" * 32))
    await drain(make_app({Bump: bump}, unreadable_timeout=0))
    assert await counters() == {"as it was": 1}
    assert len(spans("process q")) == 1


async def test_without_a_tracer_nothing_goes_along(producer: Producer) -> None:
    receipt = await producer.send(Bump(name="n"))
    assert b"trace" not in await producer.redis.get(producer.keys.job(receipt.command_id))
