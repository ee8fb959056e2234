"""The engine: a drop-in for arq's Worker that claims in batches, by leases, and outlives its Redis.

It knows nothing of commands or databases. Read worker.py first.
"""

from .broker import Say, Script
from .job import Claim, Settlement
from .worker import Worker

__all__ = ["Claim", "Say", "Script", "Settlement", "Worker"]
