"""/metrics says what the workers did, right under several processes, and the files that read it know it."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from producers import CommandRejected, Producer
from producers.commands import CountUsers, CreateUser
from tests.integration.watched import Watched, samples, watched
from tests.integration.watched_app import PATH, Wait
from tests.processes import ROOT, command_line
from tests.provoked import misnamed
from tests.waiting import until

LABELS = {"cause", "ending", "kind", "le", "queue", "reason", "server", "sqlstate", "state"}
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
BOARD = ROOT / "deploy" / "grafana" / "crud-worker.json"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt-get install prometheus")
NAME = re.compile(r"\bcrud_worker_\w+")


async def becomes(worker: Watched, expected: float, name: str, **labels: str) -> None:
    """Wait until a metric has that value: what was found is told for some seconds."""

    async def is_so() -> bool:
        return await worker.value(f"crud_worker_{name}", **labels) == expected

    await until(is_so)


async def work(producer: Producer) -> None:
    """Twelve commands: ten users, one that is rejected, one read; and one for tomorrow."""
    receipts = await producer.send_many([CreateUser(username=f"n{number}") for number in range(10)])
    for receipt in receipts:
        await receipt.result(20)
    with pytest.raises(CommandRejected):
        await (await producer.send(CreateUser(username="n1"))).result(20)
    await (await producer.send(CountUsers())).result(20)
    await producer.send(CreateUser(username="later"), delay=86400)


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_what_was_done_is_counted_by_kind_and_ending(
    processes: str, environment: dict[str, str], producer: Producer
) -> None:
    async with watched("--processes", processes, environment=environment) as worker:
        await work(producer)
        await becomes(worker, 10, "commands_finished_total", kind="user.create", ending="applied")
        await becomes(worker, 1, "commands_finished_total", kind="user.create", ending="rejected")
        await becomes(worker, 1, "commands_finished_total", kind="user.count", ending="answered")
        await becomes(worker, 1, "attempts_failed_total", reason="refused")
        for histogram in ("queue_wait", "run", "end_to_end"):
            await becomes(worker, 11, f"{histogram}_seconds_count", kind="user.create")
            await becomes(worker, 11, f"{histogram}_seconds_bucket", kind="user.create", le="+Inf")
        await becomes(worker, 13, "commands_enqueued_total")
        await becomes(worker, 1, "queue_commands", state="delayed")
        await becomes(worker, 0, "queue_commands", state="due")
        await becomes(worker, 1, "dead_letters", state="rejected")
        await becomes(worker, int(processes), "processes")
        await becomes(worker, 5 * int(processes), "slots")
        await becomes(worker, 5 * int(processes), "pool_connections")


async def test_a_process_that_dies_takes_its_gauges_with_it_and_none_of_its_counts(
    environment: dict[str, str], producer: Producer
) -> None:
    async with watched("--processes", "2", environment=environment) as worker:
        await worker.process.says("worker.started", times=2)
        await work(producer)
        await becomes(worker, 12, "commands_finished_total")
        for event in worker.process.events("worker.started"):
            os.kill(event["pid"], signal.SIGKILL)
        await becomes(worker, 0, "processes")
        assert await worker.value("crud_worker_commands_finished_total") == 12
        assert await worker.status("/readyz") == 503

        await worker.process.says("worker.started", times=4)
        await becomes(worker, 2, "processes")
        await (await producer.send(CreateUser(username="ada"))).result(20)
        await becomes(worker, 13, "commands_finished_total")


async def test_what_runs_and_what_a_killed_worker_left_are_told(
    environment: dict[str, str], producer: Producer, tmp_path: Path
) -> None:
    environment |= {"WORKER_APP": PATH, "WORKER_JOB_TIMEOUT": "40"}
    async with watched(environment=environment) as worker:
        receipt = await producer.send(Wait(path=str(tmp_path / "go on")))
        await becomes(worker, 1, "commands_running")
        await becomes(worker, 1, "queue_commands", state="running")
        worker.process.send(signal.SIGKILL)
        await worker.process.end()
    (tmp_path / "go on").touch()
    async with watched(environment=environment) as worker:
        await receipt.result(30)
        await becomes(worker, 1, "leases_recovered_total")
        await becomes(worker, 0, "commands_running")


async def test_jobs_that_were_refused_are_counted_by_reason_and_told_until_they_are_cleared(
    environment: dict[str, str], producer: Producer
) -> None:
    async with watched(environment=environment) as worker:
        await becomes(worker, 0, "jobs_refused_total", reason="wrong_job")
        assert await worker.value("crud_worker_server_up", server="redis") == 1
        await misnamed(producer)
        await becomes(worker, 1, "jobs_refused_total", reason="wrong_job")
        await becomes(worker, 0, "jobs_refused_total", reason="unsigned")
        told = "1 job was refused"
        assert told in (await command_line("status", environment=environment)).stdout
        assert (await command_line("refused", "clear", environment=environment)).returncode == 0
        assert told not in (await command_line("status", environment=environment)).stdout
        await becomes(worker, 1, "jobs_refused_total")


async def test_no_metric_has_an_id_or_a_value_of_a_payload(
    environment: dict[str, str], producer: Producer
) -> None:
    async with watched(environment=environment) as worker:
        await work(producer)
        await becomes(worker, 12, "commands_finished_total")
        text = (await worker.client.get("/metrics")).text

    assert {label for _, labels, _ in samples(text) for label in labels} <= LABELS
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)
    assert "n1" not in text


async def test_board_alerts_and_runbooks_speak_of_metrics_that_there_are(environment: dict[str, str]) -> None:
    async with watched(environment=environment) as worker:
        text = (await worker.client.get("/metrics")).text
    exist = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    exist |= {f"{name}_{part}" for name in exist for part in ("bucket", "count", "sum")}
    for path in (ALERTS, BOARD, RUNBOOKS):
        assert {*NAME.findall(path.read_text())} <= exist, path.name
        assert NAME.search(path.read_text())


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_it_is_and_has_its_runbook(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    assert anchor == rule["alert"].lower()


def test_every_runbook_has_its_alert() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in rules())


def test_the_board_can_be_imported() -> None:
    board = json.loads(BOARD.read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(panel["title"] and panel["targets"] for panel in panels)
    used = {target["datasource"]["uid"] for panel in panels for target in panel["targets"]}
    assert used == {"${source}"}


def promtool(*arguments: str, stdin: str = "") -> str:
    """Ask Prometheus's own tool; return what it finds wrong."""
    command = [str(PROMTOOL), "check", *arguments]
    ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    return f"{ran.stdout}{ran.stderr}" if ran.returncode else ""


@needs_promtool
async def test_prometheus_finds_nothing_wrong_with_the_metrics(
    environment: dict[str, str], producer: Producer
) -> None:
    async with watched(environment=environment) as worker:
        await work(producer)
        text = (await worker.client.get("/metrics")).text
    assert not promtool("metrics", stdin=text)
    assert promtool("metrics", stdin=text.replace("# HELP crud_worker_slots ", "# HELP another "))


@needs_promtool
def test_prometheus_understands_the_alerts_and_all_that_the_board_asks(tmp_path: Path) -> None:
    assert not promtool("rules", str(ALERTS))
    panels = [panel for panel in json.loads(BOARD.read_text())["panels"] if panel["type"] != "row"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    as_rules = [
        {"record": f"panel:{n}", "expr": expr.replace("$__rate_interval", "5m").replace("$queue", "q")}
        for n, expr in enumerate(asked)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": as_rules}]}))
    assert not promtool("rules", str(file))
