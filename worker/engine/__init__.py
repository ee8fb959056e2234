"""The engine: a drop-in for arq's Worker that knows nothing of commands. Read worker.py first."""

from .broker import CLAIM, Broker, Look, Say, Saying, Script
from .job import Claim, Settlement
from .worker import Worker

__all__ = ["CLAIM", "Broker", "Claim", "Look", "Say", "Saying", "Script", "Settlement", "Worker"]
