"""The progress of a load on stderr: a bar on a terminal, and in any case what came out of it."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..errors import BadRow
from ..load.loaded import Loaded
from .output import say


class Watch:
    """Watches one load; used with `with`, it says on an error what was sent before."""

    def __init__(self, file: Path, *, wait: bool, dry_run: bool = False) -> None:
        self._file, self._wait, self._dry_run = file, wait, dry_run
        self._loaded = Loaded()
        self._begun = time.monotonic()
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task(file.name, total=None, rows=0, rate=0.0, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._list(told=error.line if isinstance(error, BadRow) else None)
        loaded, sent = self._loaded, self._loaded.accepted + self._loaded.duplicate
        if loaded.rejects is not None:
            say(f"{loaded.rejects}: the rows that came to nothing, with their reasons: mend it, and load it")
        if error is None:
            told = f"{loaded.rows:,} rows in {self._seconds:.1f} s ({self._rate:,.0f} rows/s)"
            told += "; nothing was sent" if self._dry_run else ""
        elif sent:
            told = f"stopped; {sent:,} rows were sent before. Load it again: only what is new is added"
        elif isinstance(error, Exception):
            told = "stopped; nothing was sent"
        else:  # Ctrl-C may have come while Redis was answering
            told = "stopped; the first rows may have been sent. Load it again: only what is new is added"
        say(f"{self._file}: {told}")

    def show(self, loaded: Loaded) -> None:
        """Move the bar."""
        self._loaded = loaded
        self._progress.update(
            self._task,
            completed=loaded.read,
            total=loaded.size or None,
            rows=loaded.rows,
            rate=self._rate,
            note=loaded.note or self._counts(),
        )

    def _counts(self) -> str:
        loaded = self._loaded
        outcomes = ("applied", "rejected", "dead") if self._wait else ("duplicate", "rejected")
        counts = {name: getattr(loaded, name) for name in (*outcomes, "bad")}
        return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)

    def _list(self, told: int | None) -> None:
        for problem in self._loaded.problems:
            if problem.line == told:  # it ends the load, so it is about to be said as the error
                continue
            say(f"{self._file} line {problem.line}: {problem.what}: {problem.reason}")
        if self._loaded.unlisted:
            say(f"and {self._loaded.unlisted:,} more")

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    @property
    def _rate(self) -> float:
        return self._loaded.rows / max(self._seconds, 0.001)
