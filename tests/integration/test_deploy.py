"""The manifests and the unit that operators copy are what Kubernetes and systemd take, and fit the worker."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from producers.settings import QueueSettings
from tests import readme
from worker.cli import cli
from worker.settings import WorkerOptions

DEPLOY = readme.ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNIT = DEPLOY / "systemd" / "crud-worker.service"
OLDEST, NEWEST = "1.29.0", kubernetes_validate.latest_version()
SETTINGS = {of.variable(name) for of in (QueueSettings, WorkerOptions) for name in of.model_fields}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


ALL = [document for path in KUBERNETES for document in documents(path)]
PODS = [document["spec"]["template"]["spec"] for document in ALL if document["kind"] in {"Job", "Deployment"}]
CONTAINERS = [container for pod in PODS for container in pod["containers"]]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("document", ALL, ids=lambda found: f"{found['kind']} {found['metadata']['name']}")
def test_kubernetes_takes_each_manifest(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_a_pod_has_longer_to_end_than_what_runs_may_take() -> None:
    [config] = [document for document in ALL if document["kind"] == "ConfigMap"]
    [worker] = [
        document
        for document in ALL
        if document["kind"] == "Deployment" and document["metadata"]["name"] == "crud-worker"
    ]
    grace = worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > float(config["data"]["WORKER_SHUTDOWN_TIMEOUT"])


def test_every_setting_in_the_manifests_is_one_and_is_taken() -> None:
    given = {
        name: value
        for document in ALL
        for part in ("data", "stringData")
        for name, value in document.get(part, {}).items()
        if document["metadata"]["name"] == "crud-worker"
    }
    assert given.keys() <= SETTINGS
    queue = {
        name: given[QueueSettings.variable(name)]
        for name in QueueSettings.model_fields
        if QueueSettings.variable(name) in given
    }
    worker = {
        name: given[WorkerOptions.variable(name)]
        for name in WorkerOptions.model_fields
        if WorkerOptions.variable(name) in given
    }
    assert QueueSettings.load(**queue).name == "crud"
    assert WorkerOptions.load(**worker).http.endswith(":9464")


def test_every_container_runs_as_nobody_special_on_a_read_only_disk() -> None:
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in PODS)
    user = re.search(r"useradd .*--uid (\d+)", (readme.ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert user is not None
    assert {pod["securityContext"]["runAsUser"] for pod in PODS} == {int(user[1])}
    for container in CONTAINERS:
        kept = container["securityContext"]
        assert (kept["readOnlyRootFilesystem"], kept["allowPrivilegeEscalation"]) == (True, False)
        assert kept["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_every_container_calls_a_command_that_is_there() -> None:
    called = {tuple(container["command"][:2]) for container in CONTAINERS}
    assert called >= {("crud-worker", "run"), ("crud-worker", "migrate")}
    assert {word for _, word in called} <= cli.commands.keys()


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: it comes with systemd")
    command = tmp_path / "crud-worker"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    copied = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    copied.write_text(text.replace("/opt/crud-worker/bin/crud-worker", str(command)), encoding="utf-8")
    done = subprocess.run(
        [program, "verify", "--man=no", str(copied)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, said) == (0, [])


def test_systemd_has_longer_patience_than_what_runs_may_take() -> None:
    patience = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert patience is not None
    assert int(patience[1]) > WorkerOptions.model_fields["shutdown_timeout"].default
