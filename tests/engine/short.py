"""The engine's own times, shortened: what takes seconds there is to be waited for here."""

import pytest


def shorten(
    patch: pytest.MonkeyPatch, *, lease: float = 1.0, every: float = 0.2, patience: float = 30.0
) -> None:
    """Shorten the lease, how often it is renewed, and how long a loop may stand still: all in seconds."""
    patch.setattr("worker.engine.worker._LEASE", lease)
    patch.setattr("worker.engine.worker._RENEWED_EVERY", every)
    patch.setattr("worker.engine.worker._LOOP_PATIENCE", patience)


def look_seldom(patch: pytest.MonkeyPatch) -> None:
    """Let the engine look by itself once in half a minute only: what starts at once was not found by luck."""
    patch.setattr("worker.engine.worker._LONGEST_WAIT", 30.0)
