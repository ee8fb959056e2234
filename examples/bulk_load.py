"""A bulk load: `python examples/bulk_load.py [FILE]`, CSV or JSON Lines; by default the users.csv beside it.

The username names a row. Load the file again, reordered, mended or grown, and only what is new is added.
From the shell: `python -m producers load FILE --as user.create --key username --on-error skip --wait`.
"""

import asyncio
import sys
from pathlib import Path

from producers import Producer
from producers.commands import CreateUser
from producers.load import load
from producers.load.loaded import Loaded


def show(loaded: Loaded) -> None:
    """Show how far it is, on stderr, in one line that is written over and over."""
    share = loaded.read / loaded.size if loaded.size else 1
    line = f"{share:.0%} read, {loaded.applied:,} applied {loaded.note}"
    print(f"\r{line:<60}", end="", file=sys.stderr)


async def main(path: Path) -> None:
    """Load a file; list the rows that came to nothing."""
    async with Producer() as producer:
        loaded = await load(
            producer, path, CreateUser, key="username", on_error="skip", wait=True, report=show
        )
    print(file=sys.stderr)
    for problem in loaded.problems:  # the first twenty
        print(f"line {problem.line}: {problem.what}: {problem.reason}")
    refused = loaded.bad + loaded.rejected + loaded.dead
    print(f"{loaded.rows} rows: {loaded.accepted} new, {loaded.duplicate} known, {refused} refused")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("users.csv")))
