"""`queue`: pause it, drain it, and have it go on."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import click
from redis.asyncio import Redis

from producers.wire import Keys

from .. import halt
from ..health import workers
from ..monitoring.state import queue as look
from ..monitoring.state import records
from .group import Failed, load_app, opened, settle

_LOOK_EVERY, _TELL_EVERY = 0.25, 5.0
_RESUME = "`python -m worker queue resume`"


@click.group()
def queue() -> None:
    """Pause and drain the queue, for all workers and producers at once."""


@queue.command()
@click.pass_obj
def pause(path: str) -> None:
    """Have workers claim nothing new until `queue resume`.

    What runs may finish, and producers go on sending. It holds for workers that start later, too.
    """
    app = load_app(path)

    async def work() -> int:
        async with opened(app) as redis:
            await halt.pause(redis, Keys(app.queue.name))
            return int((await look(redis, Keys(app.queue.name)))["running"])

    running = settle(work())
    click.echo(f"paused: {running} still run and may finish; go on with {_RESUME}")


@queue.command()
@click.pass_obj
def resume(path: str) -> None:
    """End a pause and a drain: workers claim, and producers are let in."""
    app = load_app(path)

    async def work() -> halt.Halt:
        async with opened(app) as redis:
            before = await halt.halted(redis, Keys(app.queue.name))
            await halt.resume(redis, Keys(app.queue.name))
            return before

    click.echo("resumed" if settle(work()).is_any else "it was neither paused nor draining")


@queue.command()
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long; for ever by default."
)
@click.pass_obj
def drain(path: str, timeout: float | None) -> None:
    """Refuse new commands, and wait until nothing is due or running; then tell what is left.

    Producers get QueueFull (queue_draining), the outbox keeps its rows, replays are let in; a pause ends. It
    stays so until `queue resume`, also where the time is over (exit 1) or you stop waiting.
    """
    app = load_app(path)

    async def work() -> bool:
        async with opened(app) as redis:
            keys = Keys(app.queue.name)
            await halt.drain(redis, keys)
            is_empty = await _emptied(redis, keys, timeout)
            left = await look(redis, keys)
            _tell(left, is_empty=is_empty)
            waiting = (await records(app))["outbox"]["unpublished"]
            click.echo(f"outbox   {waiting} to be published after {_RESUME}")
            return is_empty

    sys.exit(0 if settle(work()) else 1)


async def _emptied(redis: Redis, keys: Keys, timeout: float | None) -> bool:
    """Wait until nothing is due or running; False where that takes longer than `timeout` seconds."""
    begun, told_at = time.monotonic(), -_TELL_EVERY
    while True:
        found = await look(redis, keys)
        due, running = found["queue"]["due"], found["running"]
        if not due and not running:
            return True
        now = await halt.halted(redis, keys)
        if now.draining_at is None:
            raise Failed("somebody has resumed the queue meanwhile, and producers are let in again")
        if time.monotonic() - told_at >= _TELL_EVERY:
            told_at = time.monotonic()
            hindered = (
                now.sentence
                if now.paused_at
                else ""
                if await workers(redis, keys)
                else "no worker is at work"
            )
            click.echo(f"{due} due, {running} running" + (f"; {hindered}" if hindered else ""), err=True)
        if timeout is not None and time.monotonic() - begun >= timeout:
            return False
        await asyncio.sleep(_LOOK_EVERY)


def _tell(left: dict[str, Any], *, is_empty: bool) -> None:
    counts = left["queue"]
    if is_empty:
        click.echo(f"drained: nothing is due or running; producers are refused until {_RESUME}")
    else:
        click.echo(
            f"not drained: {counts['due']} due, {left['running']} running; producers are refused all the same"
        )
    click.echo(f"delayed  {counts['delayed']} are due later, or tried again")
    parked = f"{counts['parked']} dead hold their lanes, {counts['in_lanes']} wait in lanes"
    click.echo(f"parked   {parked}" + ("; see `python -m worker dead list`" if counts["parked"] else ""))
