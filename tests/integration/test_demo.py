"""The demo, as a new user runs it, and as one who loses patience does."""

import ast
import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from tests.processes import ROOT, WORKER, Process
from tests.waiting import until
from worker.demo import distributions, installed, mishaps, people, steps, story

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(180)]

PROC = Path("/proc")
PARTS = (story, mishaps, distributions, people, installed, steps)


class Running(NamedTuple):
    """A process of this moment; its start tells it from a later one with the same id."""

    pid: int
    started: str


def environment() -> dict[str, str]:
    """Make an environment that would lead the demo astray if it listened to it."""
    astray = {
        "PGPORT": "1",
        "QUEUE_NAME": "elsewhere",
        "WORKER_APP": "no.such:app",
        "WORKER_SCHEMA": "elsewhere",
    }
    servers = {"DATABASE_URL": "nowhere", "REDIS_URL": "nowhere"}
    return {**os.environ, **astray, **servers, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def parents() -> dict[Running, int]:
    """Every process that is not a zombie, with the id of its parent."""
    found = {}
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            state, parent, *rest = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[Running(int(stat.parent.name), rest[17])] = int(parent)
    return found


def descendants(pid: int) -> set[Running]:
    """What a process has started, and what that has started, in turn."""
    family, found = parents(), set[Running]()
    pids = {pid}
    while pids:
        children = {process for process, parent in family.items() if parent in pids}
        found |= children
        pids = {child.pid for child in children}
    return found


def folders(family: set[Running]) -> set[Path]:
    """The temporary folders on the command lines of processes."""
    lines = [(PROC / str(process.pid) / "cmdline").read_text(errors="replace") for process in family]
    return {Path(folder) for line in lines for folder in re.findall(r"[^\0 =]*/crud-worker-[^/\0 ]+", line)}


def test_every_step_of_the_demo_holds_and_the_table_says_so() -> None:
    demo = subprocess.run(
        [*WORKER, "demo"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    steps_told = re.findall(r"^ok .* \d+ ms$", demo.stdout, re.MULTILINE)
    table = dict(re.findall(r"^│ (.*?) +│ +([\d.]+) │$", demo.stdout, re.MULTILINE))
    source = installed.installed()
    users = len(people.People(person for found in source for person in found.people).users)
    assert int(table["steps that held"]) == len(steps_told) >= 29
    assert int(table["users"]) == users
    assert 0 < int(table["posts"]) <= len(source)
    assert 0 < int(table["likes"]) <= sum(len(found.needs) for found in source)
    assert int(table["commands applied"]) > int(table["posts"]) + int(table["likes"])
    assert int(table["commands rejected"]) >= 2
    assert int(table["commands died, mended and replayed"]) == 1
    assert int(table["deadlocks retried"]) >= 1


@pytest.mark.skipif(not PROC.exists(), reason="looks for what is left in /proc")
@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("Servers and a worker", signal.SIGINT),
        ("ok A PostgreSQL", signal.SIGTERM),
        ("ok One user", signal.SIGTERM),
        ("ok What is installed", signal.SIGINT),
    ],
)
async def test_interrupted_it_leaves_nothing_running(moment: str, how: signal.Signals) -> None:
    with Process("demo", environment=environment()) as demo:
        await until(lambda: moment in demo.output or "FAILED" in demo.output, seconds=120)
        await demo.says(moment)
        await until(lambda: bool(descendants(demo.pid)))
        family = descendants(demo.pid)
        traces = folders(family)
        demo.send(how)
        await asyncio.sleep(0.1)  # not for luck: whenever the second one comes, it must change nothing
        demo.send(how)
        assert await demo.end() == 130
    await until(lambda: not family & parents().keys())
    await until(lambda: not any(folder.exists() for folder in traces))


def test_a_step_that_does_not_hold_is_named_and_ends_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    def script(part: steps.Part) -> None:
        with part.step("The first", sent="nothing") as tell:
            tell("well")
        with part.step("The second", sent="nothing"):
            assert 1 + 1 == 3
        pytest.fail("went on")

    part = steps.Part("A part", Console(highlight=False))
    assert part.play(script) == 1
    told = capsys.readouterr().out
    assert "FAILED The second" in told
    assert "in script, line" in told
    assert part.held == 1


def test_the_two_parts_know_nothing_of_the_worker_but_its_command_line() -> None:
    neighbours = {part.__name__.rpartition(".")[2] for part in PARTS}
    others = {
        "producers",
        "producers.commands",
        "pydantic",
        "rich.console",
        "rich.text",
        *sys.stdlib_module_names,
    }
    for part in PARTS:
        for node in ast.walk(ast.parse(Path(str(part.__file__)).read_text())):
            match node:
                case ast.Import(names=names):
                    assert {name.name for name in names} <= others
                case ast.ImportFrom(level=0, module=module):
                    assert module in others or str(module).partition(".")[0] in sys.stdlib_module_names
                case ast.ImportFrom(module=module):
                    assert module in neighbours


def test_a_person_is_one_user_however_often_and_however_named() -> None:
    mentions = [
        installed.Mention("Ada Lovelace", ""),
        installed.Mention("Ada Lovelace", "ada@example.org"),
        installed.Mention("A. Lovelace", "ADA@example.org"),
        installed.Mention("ada lovelace", "ada@example.net"),
        installed.Mention("Grace Hopper", "not an address"),
        installed.Mention("", "nobody at nowhere"),
    ]
    found = people.People(mentions)
    assert [(user.name, user.email) for user in found.users] == [
        ("Ada Lovelace", "ada@example.org"),
        ("Grace Hopper", None),
    ]
    assert {found.find(mention) for mention in mentions[:4]} == {found.users[0]}
    assert found.find(mentions[5]) is None
    assert found.refused.total() == 2
