"""`python -m tests.bench`: ours beside its peers, on servers of its own; a table, a JSON file, a chart."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from . import backlog, chart, limits, measures, servers, sources, table, watched
from .contender import About
from .contenders import APART, NAMES
from .measures import Amounts
from .processes import Failed, NotInstalled, python, told
from .summary import OURS, Rounds, Summary, requirements

RESULTS = Path(__file__).with_name("results.json")
CHART = Path("docs/bench.svg")
_QUICK = Amounts(
    inserts=1500,
    noops=0.25,
    singles=300,
    bulk=3000,
    sends=40,
    updates=1000,
    watched=2,
    turns=1,
    waiting=(1000, 100_000),
)
_CONFINED = (
    "beside one worker process the servers run on one half of the cores; beside two, or one slot, on all"
)
_LIMITS = (*limits.TITLES, "executor_latency")
_OURS = ("hot", "watched", "backlog")
"""What is measured of ours alone."""


def main() -> None:
    """Read the command line, measure, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each with all contenders in turn")
    parser.add_argument(
        "--only", default="", help=f"of these, with commas: {', '.join((*NAMES, *_LIMITS, *_OURS))}"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument(
        "--core", action="store_true", help="peers insert with Core in their session, not ORM objects"
    )
    parser.add_argument(
        "--keep", action="store_true", help="write results and chart also where not all was run"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    if given.core:
        os.environ["BENCH_INSERT"] = "core"
    wanted = set(given.only.split(",")) if given.only else {*NAMES, *_LIMITS, *_OURS}
    whole = not (given.only or given.quick or given.core)
    try:
        Bench(wanted, _QUICK if given.quick else Amounts(), 1 if given.quick else given.rounds).run(
            keep=whole or given.keep
        )
    except KeyboardInterrupt:
        sys.exit(130)


class Bench:
    """One run."""

    def __init__(self, wanted: set[str], amounts: Amounts, rounds: int) -> None:
        self.wanted, self.amounts, self.number = wanted, amounts, rounds
        self.rounds: Rounds = []
        self.about: dict[str, About] = {}
        self.skipped: dict[str, str] = {}
        self.failures: list[str] = []
        self.versions: dict[str, str] = {}
        self.sources = [sources.digest()]

    def run(self, *, keep: bool) -> None:
        """Measure in rounds; print the table; write the files."""
        begun = time.monotonic()
        with servers.started() as started:
            self.versions = started.versions()
            self._meet(started)
            for number in range(self.number):
                self.rounds.append(self._round(started, number))
                self.sources.append(sources.digest())
        took = time.monotonic() - begun
        summary = Summary(self.rounds)
        required = requirements(summary)
        print()
        print("\n".join(table.lines(summary, self.titles(), required)))
        print()
        print("\n".join(self._notes(took)))
        if keep:
            self._write(summary, [asdict(line) for line in required], took)

    def titles(self) -> dict[str, str]:
        """Name contenders and limits."""
        known = {name: about.title for name, about in self.about.items()}
        return {**known, **limits.TITLES, "executor_latency": "no queue: our executor"}

    def _meet(self, started: servers.Servers) -> None:
        """Ask each contender about itself, and have it make its tables."""
        wanted = self.wanted | ({OURS} if self.wanted.intersection(_OURS) else set())
        for name in [name for name in NAMES if name in wanted]:
            apart = name in APART
            command = [python(apart=apart), "-m", "tests.bench.drive", name]
            try:
                about = About(**told([*command, "about"], started.environment))
                told([*command, "prepare"], started.environment)
            except NotInstalled as why:
                self.skipped[name] = str(why)
            else:
                self.about[name] = replace(about, apart=apart)

    def _round(self, started: servers.Servers, number: int) -> dict[str, dict[str, Any]]:
        """Let each have its turn, in another order each time."""
        peers = [name for name in NAMES if name != OURS]  # ours comes soon after what it is measured by
        turns = [
            name
            for name in (*peers, *_LIMITS, OURS, *_OURS)
            if name in self.wanted and name not in self.skipped
        ]
        shift = number * len(turns) // max(1, self.number)
        figures: dict[str, dict[str, Any]] = {}
        for name in turns[shift:] + turns[:shift]:
            begun = time.monotonic()
            try:
                figures.setdefault(OURS if name in _OURS else name, {}).update(
                    self._turn(started, name, number)
                )
            except Failed as error:
                self.failures.append(f"{name}, round {number + 1}: {error}")
            print(
                f"round {number + 1}: {name}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True
            )
        return figures

    def _turn(self, started: servers.Servers, name: str, number: int) -> dict[str, Any]:
        if name in _LIMITS:
            return measures.limit(name, started, self.amounts)
        if name == "hot":
            return measures.hot(started, self.amounts)
        if name == "watched":
            return watched.run(self.about[OURS], started, self.amounts)
        if name == "backlog":
            last = number == self.number - 1
            return backlog.run(self.about[OURS], started, self.amounts, to_the_end=last)
        return measures.Round(self.about[name], started, self.amounts).run()

    def _notes(self, took: float) -> list[str]:
        told_of = (
            f"{about.title}: {about.setup} ({_listed(about.versions)})"
            + (", in an environment of its own, tests/bench/apart.txt" if about.apart else "")
            for about in self.about.values()
        )
        load = f"load {os.getloadavg()[0]:.1f} at the end"
        changed = len(set(self.sources)) > 1
        return [
            *told_of,
            *(["THE CODE CHANGED WHILE IT WAS MEASURED: run it again"] if changed else []),
            *(f"{name}: skipped, not installed: {why}" for name, why in self.skipped.items()),
            *(f"FAILED: {failure}" for failure in self.failures),
            f"Python {platform.python_version()}, {os.cpu_count()} cores, {load}; {_listed(self.versions)}",
            *([_CONFINED] if servers.CONFINES else []),
            f"{len(self.rounds)} rounds in {took / 60:.1f} minutes; a ratio is of figures of one round",
        ]

    def _write(self, summary: Summary, required: list[dict[str, Any]], took: float) -> None:
        result = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "minutes": round(took / 60, 1),
            "python": platform.python_version(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "sources": list(dict.fromkeys(self.sources)),
            "load": round(os.getloadavg()[0], 1),
            "servers": self.versions,
            "servers confined": servers.CONFINES,
            "contenders": {
                name: {
                    "title": about.title,
                    "setup": about.setup,
                    "versions": about.versions,
                    "apart": about.apart,
                }
                for name, about in self.about.items()
            },
            "skipped": self.skipped,
            "failures": [failure.partition(": ")[0] for failure in self.failures],
            "amounts": asdict(self.amounts),
            "required": required,
            "rounds": self.rounds,
        }
        RESULTS.write_text(json.dumps(_rounded(result), indent=1) + "\n")
        note = f"Medians of {len(self.rounds)} rounds, with least and most, on {os.cpu_count()} cores."
        CHART.write_text(chart.chart(summary, self.titles(), note))
        print(f"{RESULTS.name} and {CHART} are written")


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {at}" for name, at in versions.items())


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {key: _rounded(part) for key, part in value.items()}
        case list() | tuple():
            return [_rounded(part) for part in value]
        case _:
            return value


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
