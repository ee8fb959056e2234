"""Command lines without their start: forked from a process that has imported all that they import.

To start `python -m worker` takes a second of a core, and most of the tests' time went there. What runs is the
same, in a process of its own; only tests of the start itself have to do without.
"""

import asyncio
import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = ("worker", "producers")
_PRELOADED = (
    *("worker.cli", "worker.main", "worker.process", "worker.schemas", "worker.dashboard.server"),
    *("producers.__main__", "tests.forks"),
)
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*_PRELOADED])


async def run(
    module: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: dict[str, str],
    stdin: str,
    limit: float,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS` to its end; raise TimeoutError after `limit` seconds."""
    with TemporaryDirectory() as temporary:
        files = [Path(temporary, name) for name in ("in", "out", "err")]
        for file in files:
            file.touch()
        files[0].write_text(stdin)
        process = _FORKS.Process(target=_child, args=(module, [*arguments], folder, environment, files))
        process.start()
        await asyncio.to_thread(process.join, limit)
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError
        code = process.exitcode
        assert code is not None
        process.close()
        return subprocess.CompletedProcess(arguments, code, *(file.read_text() for file in files[1:]))


def _child(
    module: str, arguments: list[str], folder: Path, environment: dict[str, str], files: list[Path]
) -> None:
    """Be that process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDWR | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # as Python does at its end
        atexit._run_exitfuncs()
