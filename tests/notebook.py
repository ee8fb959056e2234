"""Runs a notebook as Jupyter does, by IPython and inside a running loop: `python notebook.py FILE`."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell


def cells(path: Path) -> Iterator[str]:
    """The code of a notebook, cell by cell."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


async def run(path: Path) -> None:
    """Run all cells; the first error ends it."""
    kernel: Any = InteractiveShell  # IPython is typed in part
    shell = kernel()
    for cell in cells(path):
        code = shell.transform_cell(cell)
        done = await shell.run_cell_async(code, transformed_cell=code, store_history=True)
        done.raise_error()


if __name__ == "__main__":
    manager: Any = HistoryManager
    manager.enabled = False  # what a test runs is nobody's history
    asyncio.run(run(Path(sys.argv[1])))
