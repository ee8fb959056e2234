"""The package name `worker` is a common one: make sure that the `worker` we are is the only one about."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from pathlib import Path

DISTRIBUTION = "crud-worker"
_OF_WORKER = re.compile(r"^worker(/|$)", re.MULTILINE)


def foreign_worker() -> str | None:
    """Say which other package called `worker` Python would find as well; None where there is none."""
    for name in _installed():
        if name.lower().replace("_", "-") != DISTRIBUTION:
            theirs = f"the installed distribution {name!r} has a package `worker` too"
            return f"{theirs}; uninstall one of the two"
    ours = Path(__file__).resolve().parent
    for folder in dict.fromkeys(["", *sys.path]):
        spec = PathFinder.find_spec("worker", [folder or str(Path.cwd())])
        # A plain folder, without __init__.py, has no origin, and an installed package goes before it.
        if spec is None or spec.origin is None:
            continue
        found = Path(spec.origin).resolve().parent
        if found != ours and not (found / Path(__file__).name).exists():  # a clone beside an installed copy
            return f"{spec.origin} is a package `worker` too; rename it, or put it inside a package of yours"
    return None


def _installed() -> Iterator[str]:
    """Name the distributions that have brought a package `worker`: importlib would look into all of them."""
    for distribution in distributions():
        if Path(str(distribution.locate_file("worker"))).is_dir():
            files = distribution.read_text("RECORD") or distribution.read_text("top_level.txt") or ""
            if _OF_WORKER.search(files):
                yield distribution.name
