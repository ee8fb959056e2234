"""`status`: how the queue stands, as tables that a person reads, once or again and again."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

import click
from redis.exceptions import RedisError
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from ..monitoring.state import state
from ..refused import refused_sentence
from .group import load_app, opened, settle
from .table import console, show, table

_NUMBERS = "due", "running", "delayed", "in lanes", "parked", "oldest", "outbox", "its oldest"

_HALTS = {
    "paused_at": "PAUSED: workers claim nothing",
    "draining_at": "DRAINING: producers are refused",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--watch",
    type=click.FloatRange(min=0.1),
    is_flag=False,
    flag_value=2.0,
    metavar="SECONDS",
    help="Look again and again, every 2 seconds by default, until Ctrl-C.",
)
@click.pass_obj
def status(path: str, *, as_json: bool, watch: float | None) -> None:
    """Show the queue, the workers, the endings of the last hour and the dead letters."""
    app = load_app(path)

    async def once() -> dict[str, Any]:
        async with opened(app) as redis:
            return await state(app, redis)

    async def again(every: float) -> None:
        async with opened(app) as redis:
            with Live(console=console(), auto_refresh=False, transient=False) as live:
                while True:
                    try:
                        found = await state(app, redis)
                    except (RedisError, SQLAlchemyError, OSError) as error:
                        _print_again({"error": type(error).__name__}, live, as_json=as_json)
                    else:
                        _print_again(found, live, as_json=as_json)
                    await asyncio.sleep(every)

    if watch is not None:
        with suppress(KeyboardInterrupt):
            settle(again(watch))
        return
    found = settle(once())
    if as_json:
        click.echo(json.dumps(found))
    else:
        show(*_tables(found))


def _print_again(found: dict[str, Any], live: Live, *, as_json: bool) -> None:
    """Replace what is on a terminal; a pipe is given one after the other."""
    if as_json:
        click.echo(json.dumps(found))
        return
    away = Text(f"no answer ({found.get('error')}); see `python -m worker check`", style="bold red")
    shown = [away] if "error" in found else _tables(found)
    if sys.stdout.isatty():
        live.update(Group(*shown), refresh=True)
    else:
        show(*shown, Text())


def _tables(found: dict[str, Any]) -> list[RenderableType]:
    queue, outbox = found["queue"], found["outbox"]
    counts = [queue["due"], found["running"], queue["delayed"], queue["in_lanes"], queue["parked"]]
    ages = [f"{queue['oldest_s']:.1f} s", outbox["unpublished"], f"{outbox['oldest_s']:.1f} s"]
    parts: list[RenderableType] = [
        table("queue", *_NUMBERS, rows=[(queue["name"], *counts, *ages)], numbers=_NUMBERS)
    ]
    for name, meaning in _HALTS.items():
        if found[name] is not None:
            words = f"{meaning} since {found[name]}; `python -m worker queue resume` ends it"
            parts.append(Text(words, style="bold yellow"))
    parts += [Text(), _workers(found["workers"]), Text()]
    parts.append(_counted("endings of the last hour", found["endings_last_hour"]))
    parts.append(_counted("dead letters", found["dead_letters"]))
    if found["refused"]["kept"]:
        parts.append(Text(refused_sentence(found["refused"]["kept"]), style="bold yellow"))
    return parts


def _workers(workers: list[dict[str, Any]]) -> RenderableType:
    if not workers:
        return Text("no worker is at work", style="bold red")
    numbers = "slots", "running", "finished"
    rows = [
        (one["name"], one["slots"], one["running"], one["finished"], "stopping" if one["stopping"] else "")
        for one in workers
    ]
    return table("worker", *numbers, "", rows=rows, numbers=numbers)


def _counted(title: str, counts: dict[str, int]) -> Text:
    return Text(f"{title}: " + (", ".join(f"{count} {word}" for word, count in counts.items()) or "none"))
