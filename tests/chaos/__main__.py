"""Do harm to workers, servers and networks under a load; say what became of the commands.

python -m tests.chaos [FAULT ...] [--scale 0.1] [--quick] [--side-by-side N] [--seed N] [--record]

Servers and workers are its own. Without names, all faults. `--quick` is the part of `make check`, each fault
at a scale of its own; `--record` writes what was found where the README takes it from. Exit 1 where a command
was lost, applied twice or out of order, or anything else that has to hold did not.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.faults import FAULTS
from tests.chaos.faults.fault import Fault
from tests.chaos.field import open_field

RESULTS = Path(__file__).with_name("results.json")


async def run(fault: Fault, seed: int, scale: float, patience: float | None) -> dict[str, Any]:
    """Do one harm, and look."""
    async with open_field(seed=seed, scale=scale, patience=patience, **fault.options) as field:
        try:
            await fault.run(field)
        except Exception as error:  # noqa: BLE001  # the others are run all the same
            field.notes.append(f"BAD: {type(error).__name__}: {error}")
        over = time.monotonic()
        if field.found is None:
            await field.until(len(field.sent), patience=fault.patience)
        found = field.found or await field.look()
        for ending in set(found.endings) - set(fault.ends):
            field.notes.append(f"BAD: {found.endings[ending]} {ending}")
        if field.crew.unasked and not fault.options.get("again"):
            field.notes.append(f"BAD: {field.crew.unasked} workers ended unasked")
        if found.waiting:
            field.notes.append(f"BAD: {found.waiting} still wait")
        well = found.is_well and not any(note.startswith("BAD") for note in field.notes)
        if not well:
            print("\n".join(field.crew.log.splitlines()[-20:]), file=sys.stderr)
        return {
            "fault": fault.name,
            "says": fault.says,
            "well": well,
            "commands": found.accepted,
            "lost": len(found.lost),
            "twice": len(found.twice),
            "out_of_order": len(found.out_of_order),
            "wrong": len(found.wrong),
            "endings": dict(sorted(found.endings.items())),
            "notes": field.notes,
            "seconds": round(over - field.began),
            "after": round(time.monotonic() - over),
        }


def line(found: dict[str, Any]) -> str:
    """Say it in one line."""
    wrong = ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in ("lost", "twice", "out_of_order"))
    ended = ", ".join(f"{count} {ending}" for ending, count in found["endings"].items())
    told = "; ".join(
        [f"{found['commands']} commands: {wrong}, {found['wrong']} rows wrong", ended, *found["notes"]]
    )
    head = f"{'ok ' if found['well'] else 'BAD'} {found['fault']:<20}"
    return f"{head} {told} ({found['seconds']} s and {found['after']} s)"


def main() -> int:
    """Run the faults that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--scale", type=float, default=1.0, help="how many of all, 1 for the whole")
    parser.add_argument("--quick", action="store_true", help="the part of `make check`")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311  # not a secret
    parser.add_argument("--side-by-side", type=int, default=1, metavar="N", help="run so many at once")
    parser.add_argument("--patience", type=float, help="seconds for what has not ended, in place of minutes")
    parser.add_argument("--record", action="store_true", help="keep what was found, for the README")
    options = parser.parse_args()
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"there is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    print(f"seed {options.seed}", flush=True)
    return 0 if asyncio.run(run_all(options)) else 1


async def run_all(options: argparse.Namespace) -> bool:
    """Run them, some side by side; say whether all was well."""
    room, well = asyncio.Semaphore(options.side_by_side), True

    async def one(fault: Fault) -> None:
        nonlocal well
        scale = fault.quick if options.quick else options.scale
        async with room:
            found = await run(fault, options.seed, scale, options.patience)
        print(line(found), flush=True)
        well = well and found["well"]
        if options.record:
            record(found, options.seed, scale)

    chosen = [FAULTS[name] for name in options.faults or FAULTS]
    await asyncio.gather(*(one(fault) for fault in chosen if fault.quick or not options.quick))
    return well


def record(found: dict[str, Any], seed: int, scale: float) -> None:
    """Put what was found in the place of what was found before."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    on = datetime.now(UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    python = platform.python_version()
    known[found["fault"]] = {
        **found,
        "seed": seed,
        "scale": scale,
        "date": on,
        "machine": machine,
        "python": python,
    }
    in_order = {name: known[name] for name in FAULTS if name in known}
    RESULTS.write_text(json.dumps(in_order, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
