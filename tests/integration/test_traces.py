"""The command lines send their spans to the collector that the environment names."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector import Collector, collecting
from tests.processes import ROOT, command_line

PYTHON = (sys.executable, "-c")
SENT = ("send", "user.create", "--username", "ada")
NOWHERE = "http://127.0.0.1:9"
OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from producers.exporting import export
mine = TracerProvider()
trace.set_tracer_provider(mine)
export("crud-worker")
assert trace.get_tracer_provider() is mine
"""
NOTHING_ASKED = """
import sys, producers.__main__, worker.main, worker.process, worker.plain_arq
from worker import tracing
tracing.begin()
assert "opentelemetry" not in sys.modules
"""


async def ran(environment: dict[str, str], module: str, *arguments: str) -> str:
    """Run a command line to its end, and return what it has told."""
    program = (sys.executable, "-m", module)
    ended = await command_line(*arguments, environment=environment, program=program)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """An environment that says nothing of traces yet."""
    return {name: value for name, value in environment.items() if not name.startswith("OTEL_")}


@pytest.fixture
def collector(environment: dict[str, str]) -> Iterator[Collector]:
    """A collector that the environment names."""
    with collecting() as collector:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        yield collector


@pytest.mark.parametrize(
    "burst",
    [("worker", "run", "--burst"), ("arq", "worker.main.WorkerSettings", "--burst")],
    ids=["engine", "arq"],
)
async def test_a_collector_has_both_ends(
    environment: dict[str, str], collector: Collector, burst: tuple[str, ...]
) -> None:
    await ran(environment, "producers", *SENT)
    await ran(environment, *burst)
    (producer, sent), (worker, processed) = collector.spans
    assert (producer, worker) == ("crud-producer", "crud-worker")
    queue = environment["QUEUE_NAME"]
    assert (sent.name, processed.name) == (f"send {queue}", f"process {queue}")
    assert (processed.trace_id, processed.parent_span_id) == (sent.trace_id, sent.span_id)
    assert b"ada" not in collector.raw


async def test_the_environment_names_the_service(environment: dict[str, str], collector: Collector) -> None:
    await ran(environment | {"OTEL_SERVICE_NAME": "signup"}, "producers", *SENT)
    assert [one.service for one in collector.spans] == ["signup"]


async def test_a_collector_that_is_away_harms_nothing(environment: dict[str, str]) -> None:
    await ran(environment, "producers", *SENT)
    log = await ran(environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}, "worker", "run", "--burst")
    told = [json.loads(line) for line in log.splitlines()]
    assert [line["ending"] for line in told if line["event"] == "command.ended"] == ["applied"]


async def test_without_the_extra_it_says_so_and_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ImportError\n")
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    assert "no traces: pip install 'crud-worker[traces]'" in await ran(environment, "producers", *SENT)
    log = await ran(environment, "worker", "run", "--burst")
    assert '"traces.off"' in log
    assert '"applied"' in log


async def test_a_provider_of_the_programs_own_is_kept(
    environment: dict[str, str], collector: Collector
) -> None:
    ended = await command_line(OWN_PROVIDER, environment=environment, program=PYTHON)
    assert ended.returncode == 0, ended.stderr
    assert collector.spans == []


async def test_nothing_of_it_is_loaded_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    ended = await command_line(NOTHING_ASKED, environment=environment, program=PYTHON)
    assert ended.returncode == 0, ended.stderr
