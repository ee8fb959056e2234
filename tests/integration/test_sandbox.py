"""A command with servers of its own: how a migration is written where there is no PostgreSQL."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
SANDBOX = [sys.executable, "-m", "worker.demo.sandbox"]


def test_alembic_finds_the_example_and_nothing_to_add_to_its_migrations() -> None:
    ran = run("alembic", "check")
    assert "No new upgrade operations detected." in ran.stdout
    assert ran.returncode == 0


def test_the_exit_code_is_that_of_the_command() -> None:
    assert (
        run(sys.executable, "-c", "import os, sys; sys.exit('REDIS_URL' in os.environ and 7)").returncode == 7
    )


def test_without_a_command_it_says_what_it_is_for() -> None:
    ran = run()
    assert ran.returncode == 1
    assert "python -m worker.demo.sandbox COMMAND..." in ran.stderr


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SANDBOX, *command], cwd=ROOT, capture_output=True, text=True, check=False)
