"""`python -m worker` and `crud-worker`: run workers, look after them and their dead letters."""

from __future__ import annotations

import gc
import sys

from .identity import foreign_worker


def main() -> None:
    """Run the command line, unless the `worker` that would run is in doubt."""
    foreign = foreign_worker()
    if foreign is not None:
        sys.exit(f"crud-worker: {foreign}")
    gc.disable()  # nothing of what is imported is garbage, and to look for it takes a fifth of the time
    from .cli import cli  # noqa: PLC0415  # only now is it sure to be ours

    gc.freeze()
    gc.enable()
    cli(prog_name="crud-worker" if sys.argv[0].endswith("crud-worker") else "python -m worker")


if __name__ == "__main__":
    main()
