"""The engine: a drop-in for arq's Worker that knows nothing of commands. Read worker.py first."""

from .broker import Say, Script
from .job import Claim, Settlement
from .worker import Worker

__all__ = ["Claim", "Say", "Script", "Settlement", "Worker"]
