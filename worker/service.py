"""What a worker process has, the engine and a plain arq worker alike: connections, a sign of life, logs."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from arq.connections import ArqRedis

from producers.connection import connect
from producers.wire import Answer, Keys

from . import executor
from .deposits import Answered
from .epochs import Epochs
from .feeder import Feeder
from .leader import Leader
from .logs import configure, is_on, log
from .monitoring.statistics import Statistics
from .presence import Presence
from .pruner import Pruner
from .received import deserialize, serialize
from .relay import Relay
from .sweep import Sweeper
from .transport import Transport

if TYPE_CHECKING:
    from .app import App
    from .monitoring.tally import Tally


NEVER = 2**31 - 1
"""arq's max_tries: attempts are counted by us."""
UNSETTLED_PAUSE = 1.0
"""Seconds until a job is tried again that could not be settled."""
_SHOWN = 100
SIGN_OF_LIFE = 15
"""Seconds between two, for `arq --check`; arq's own is an hour."""


def longest(app: App) -> float:
    """Seconds that one run can take by its own limits, and then some: arq's timeout is a last resort."""
    return app.options.job_timeout + 6 * app.options.commit_timeout


def ended(tally: Tally, answered: Answered, due: float, began: float) -> None:
    """Count and log the end of a command that was due at `due`, in ms since 1970, or 0 where nobody knows.

    It was begun at `began`, by the monotonic clock.
    """
    answer, delivery, spent = answered.answer, answered.delivery, time.monotonic() - began
    waited = max(0.0, delivery.began_at.timestamp() - due / 1000) if due and delivery.began_at else None
    tally.end(delivery.kind, answer.ending.value, waited, spent)
    if not is_on(logging.INFO):
        return
    told = {"ending": answer.ending.value, "code": _code(answer), "ms": round(spent * 1000)}
    log.info("command.ended", **executor.about(answered.delivery), **told)


def _code(answer: Answer) -> str | None:
    return None if answer.error is None else str(answer.error.get("code"))


def redis_pool(app: App) -> ArqRedis:
    """Make connections that time out and try again, which arq's own do not."""
    pool: ArqRedis = connect(app.queue, ArqRedis)
    pool.job_serializer, pool.job_deserializer = serialize, deserialize
    pool.default_queue_name = app.queue.name
    return pool


async def start(app: App, ctx: dict[str, Any], *, burst: bool = False) -> None:
    """Say that this process is there; before a burst, publish all that is in the outbox."""
    if not structlog.is_configured():  # the `arq` command does not come by our command line
        configure(app.options)
    app.keep_connections()
    ctx["transport"] = Transport(app, ctx["redis"], ctx.get("clock"))
    keys = Keys(app.queue.name)
    statistics = Statistics(app.tally, keys, ctx["transport"].clock)
    ctx["presence"] = Presence(ctx["redis"], keys, app.slots, statistics, partial(_about, ctx))
    ctx["presence"].start()
    leader, epochs = Leader(app), ctx.get("epochs") or Epochs(app, ctx["redis"])
    relay = Relay(app, ctx["redis"], leader, epochs)
    # A burst would end before: it publishes whoever else does. Others claim once they know the epoch.
    await relay.attempt(relay.publish_all if burst else relay.turn)
    ctx["chores"] = [Sweeper(app, ctx["transport"]), relay, Pruner(app, leader)]
    if app.options.feed:
        ctx["chores"].append(Feeder(app, ctx["redis"], leader, epochs))
    for chore in ctx["chores"]:
        chore.start()
    log.info("worker.started", queue=app.queue.name, slots=app.slots, kinds=len(app.registry))


def _about(ctx: dict[str, Any]) -> dict[str, str]:
    """Say of the engine what is to be known of it besides; a plain arq worker does not know."""
    if "breaker" not in ctx:
        return {}
    return {"breaker": ctx["breaker"].state.value, "stopped": ctx["progress"].stopped}


async def stop(app: App, ctx: dict[str, Any]) -> None:
    """Take the sign of life down and close the engine."""
    if "breaker" in ctx:
        await ctx["breaker"].close()
    for chore in ctx.get("chores", ()):
        await chore.stop()
    if "presence" in ctx:
        await ctx["presence"].stop()
        log.info("worker.stopped", finished=ctx["presence"].finished)
    await app.close()


async def tell_parked(transport: Transport) -> None:
    """Say at the end of a burst what it has left in lanes: as a rule, behind dead commands."""
    parked, waiting = await transport.lanes.parked(_SHOWN)
    if parked or waiting:
        log.warning(
            "lanes.parked",
            dead=[str(command_id) for command_id in parked],
            waiting=waiting,
            see="python -m worker dead list",
        )
