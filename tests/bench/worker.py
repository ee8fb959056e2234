"""One worker process of a contender that has no command of its own: `python -m tests.bench.worker NAME`."""

from __future__ import annotations

import logging
import sys

from .contender import load

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    load(sys.argv[1]).run()
