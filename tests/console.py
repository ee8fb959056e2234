"""A shell as a reader of the README has it: the two packages installed, in a folder that is not ours."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
_OURS = ("REDIS_URL", "DATABASE_URL", "QUEUE_", "WORKER_", "PRODUCER_", "PYTHONPATH", "COVERAGE_")
"""What a reader does not have; nor does what examples run have to be measured."""
_SECONDS = 50


class Console:
    """Runs lines in `folder`, by `sh`. `installed` is a folder to install the packages in."""

    def __init__(self, folder: Path, installed: Path, **environment: str) -> None:
        self.folder, self._installed = folder, installed
        install(installed)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
            "PYTHONPATH": str(installed),
            "PATH": os.pathsep.join(
                [str(installed / "bin"), sysconfig.get_path("scripts"), os.environ["PATH"]]
            ),
            **environment,
        }

    async def run(self, line: str, *, code: int = 0, **environment: str) -> str:
        """Run a line to its end, which is to exit with `code`; return what it printed, stdout first."""
        process = await self._started(line, environment)
        try:
            out, err = await asyncio.wait_for(process.communicate(), _SECONDS)
        except TimeoutError:
            raise AssertionError(f"{line}: not within {_SECONDS} s") from None
        finally:
            _kill(process)
        printed = out.decode() + err.decode()
        assert process.returncode == code, f"{line}: exit code {process.returncode}\n{printed}"
        return printed

    @asynccontextmanager
    async def running(self, line: str, **environment: str) -> AsyncIterator[None]:
        """Let a line run while the block does; then it is told to stop, by SIGTERM, and is to exit with 0."""
        process = await self._started(line, environment)
        said = asyncio.create_task(process.communicate())
        try:
            yield
            process.send_signal(signal.SIGTERM)
            out, err = await asyncio.wait_for(said, _SECONDS)
            assert process.returncode == 0, f"{line}: exit code {process.returncode}\n{(out + err).decode()}"
        finally:
            _kill(process)
            await asyncio.wait({said})

    async def _started(self, line: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
        # `exec` is what makes SIGTERM reach a command and not the shell around it.
        return await asyncio.create_subprocess_shell(
            line if "|" in line else f"exec {line}",
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def install(folder: Path) -> None:
    """Put the two packages into `folder`, as pip would, and their commands into `bin`."""
    commands = folder / "bin"
    commands.mkdir(parents=True)
    for package in ("worker", "producers"):
        (folder / package).symlink_to(ROOT / package)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in scripts.items():
        module, _, function = entry.partition(":")
        start = f"import sys\nfrom {module} import {function}\nsys.exit({function}())"
        _executable(commands / name, f"#!{sys.executable}\n{start}\n")
    _executable(commands / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
