"""The project of an adopter, copied to a folder far from ours, and its shell."""

import shutil
from pathlib import Path

import pytest

from tests.console import Console

collect_ignore = ["project"]
PROJECT = Path(__file__).with_name("project")


@pytest.fixture
def console(tmp_path: Path, empty_database_url: str, redis_url: str, queue_name: str) -> Console:
    """A shell in the project; a failure that is counted is soon counted for the last time."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
    return Console(
        project,
        tmp_path / "installed",
        DATABASE_URL=empty_database_url,
        REDIS_URL=redis_url,
        QUEUE_NAME=queue_name,
        WORKER_MAX_ATTEMPTS="2",
        WORKER_BACKOFF="0.05",
    )
