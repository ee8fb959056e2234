"""How a worker process stands at a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.pool import QueuePool

from ..breaker import State
from ..database import pool_capacity

if TYPE_CHECKING:
    from ..app import App
    from ..breaker import Breaker
    from .progress import Progress


class Standing(NamedTuple):
    """How a process stands: `running` of its `slots`, connections in use of those that it may have.

    `at_work` is whether it takes commands by now, and still. `idle` is how long it has made no progress, in
    seconds; `stopped` says what stands still, and how to mend it, if that is too long.
    """

    running: int = 0
    slots: int = 0
    connections_in_use: int = 0
    connections: int = 0
    breaker: str = State.CLOSED
    at_work: bool = False
    idle: float = 0.0
    stopped: str = ""


def standing(app: App, running: int, breaker: Breaker, progress: Progress) -> Standing:
    """Tell how this process stands, which runs so many commands; another thread may ask."""
    pool, kept = app.engine.pool, 0 if app.kept is None else app.kept.free
    in_use = max(0, pool.checkedout() - kept) if isinstance(pool, QueuePool) else running
    connections = pool_capacity(app.engine) or app.slots
    work = running, app.slots, in_use, connections, breaker.state.value
    return Standing(*work, progress.at_work, progress.idle, progress.stopped)
