"""The chaos itself is tried: faults made on purpose in a copy of the code are found by it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import ROOT, unmeasured

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Mutation:
    """A fault of the code, and the harm that brings it to light."""

    path: str
    before: str
    after: str
    caught_by: str
    says: str


MUTATIONS = {
    "the row of the ending is left out": Mutation(
        "worker/executor.py",
        "            if not await self._insert(session, answer):\n                raise EndedElsewhere\n",
        "",
        "delivered_ten_times",
        "lost",
    ),
    "a job is settled before its COMMIT": Mutation(
        "worker/delivering.py",
        "        outcome = await _execute(transport, delivery, received)\n    if isinstance",
        "        import asyncio\n        from producers.wire import Answer\n"
        "        asyncio.ensure_future(_execute(transport, delivery, received))\n"
        "        outcome = Answer(Ending.APPLIED)\n    if isinstance",
        "kills",
        "out of order",
    ),
    "an ending is no reason to stop": Mutation(
        "worker/endings.py",
        "            return await fetch_value(driver, insert_unless_there, table, row) is not None\n",
        "            await fetch_value(driver, insert_unless_there, table, row)\n            return True\n",
        "delivered_ten_times",
        "twice",
    ),
    "a lane is let go of early": Mutation(
        "producers/lanes.lua",
        "    elseif redis.call('RPUSH', lane, id) > 1 then waits = true end\n",
        "    else redis.call('RPUSH', lane, id) end\n",
        "kills",
        "out of order",
    ),
    "a cancelled run is counted": Mutation(
        "worker/executor.py",
        "    execution = Execution(app, delivery)\n    try:\n        return await execution.run()\n",
        "    execution = Execution(app, delivery)\n    try:\n        return await execution.run()\n"
        "    except asyncio.CancelledError:\n"
        "        return await execution._counted(Failure(Cause.BUG, 'bug', 'cancelled', 'Cancelled'))\n",
        "cancels",
        "dead",
    ),
}


def copy_with(folder: Path, *replacements: tuple[str, str, str]) -> None:
    """Copy the code, with text of some files replaced."""
    for name in ("worker", "producers", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path, before, after in replacements:
        text = (folder / path).read_text()
        assert text.count(before) == 1, "the code has changed: change the mutation with it"
        (folder / path).write_text(text.replace(before, after))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_made_on_purpose_is_found(name: str, tmp_path: Path) -> None:
    mutation = MUTATIONS[name]
    copy_with(tmp_path, (mutation.path, mutation.before, mutation.after))
    command = [sys.executable, "-m", "tests.chaos", mutation.caught_by]
    ended = subprocess.run(
        [*command, "--scale", "0.03", "--patience", "5", "--seed", "1"],
        cwd=tmp_path,
        env=unmeasured(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr[-2000:]
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("BAD")]
    assert mutation.says in line
    assert f" 0 {mutation.says}" not in line


_STEPS = "tests/unit/test_interleavings.py"
STEPS = {
    "an ending is no reason to stop": (
        "worker/executor.py",
        "            if not await self._insert(session, answer):\n                raise EndedElsewhere\n",
        "            await self._insert(session, answer)\n",
    ),
    "a replay never ends": (
        "worker/endings.py",
        "table.c.generation < delivery.generation)",
        "table.c.generation > delivery.generation)",
    ),
    "whose token it is does not matter when a job is settled": (
        "worker/engine/settle.lua",
        "local held = owner == ARGV[i + 1] and ",
        "local held = ",
    ),
    "whose token it is does not matter when a lease is renewed": (
        "worker/engine/renew.lua",
        "if owner == token and",
        "if",
    ),
    "nobody waits for who was before": (
        "producers/lanes.lua",
        "elseif redis.call('RPUSH', lane, id) > 1 then waits = true end",
        "else redis.call('RPUSH', lane, id) end",
    ),
    "nobody is told that the way is free": (
        "producers/lanes.lua",
        "freed = not tried[other] and set_free(other, released) or freed",
        "",
    ),
    "a dead command lets its lanes go": (
        "worker/deposit.lua",
        "if parks then park(id, known)\n    elseif",
        "if parks or",
    ),
    "a replay goes to the end of its lanes": (
        "producers/lanes.lua",
        "if places > 0 and places == #lanes then return true end",
        "",
    ),
    "a child waits for ever": (
        "producers/lanes.lua",
        "redis.call('HDEL', ours .. 'stand:' .. child, 'behind:' .. id)",
        "",
    ),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", STEPS)
def test_a_fault_in_a_step_is_found_by_interleavings(name: str, tmp_path: Path) -> None:
    copy_with(tmp_path, STEPS[name], (_STEPS, "SHRINKS = True", "SHRINKS = False"))
    options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command = [sys.executable, "-m", "pytest", *options, "--hypothesis-seed=1", _STEPS]
    ended = subprocess.run(
        command, cwd=tmp_path, env=unmeasured(os.environ), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stdout
    assert "1 failed" in ended.stdout
