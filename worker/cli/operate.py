"""`migrate`, `check`, `why` and `demo`: what an operator asks first."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from uuid import UUID

import click

from producers.commands.lanes import lane
from producers.wire import Keys

from ..health import ailment, checks, workers
from ..migrate import migrate as run_migrations
from ..why import Place, Why, lines
from .group import load_app, opened, settle

_UUID_LENGTH = 36


@click.command()
@click.pass_obj
def migrate(path: str) -> None:
    """Bring the database up to date: the worker's own tables, and the App's migrations if it has any."""
    app = load_app(path)

    async def work() -> list[str]:
        async with opened(app):
            return await run_migrations(app.engine, schema=app.options.db_schema, also=app.migrations)

    ran = settle(work())
    for step in ran:
        click.echo(step)
    click.echo("migrated" if ran else "nothing to migrate")


@click.command()
@click.option("--alive", is_flag=True, help="Fail as well when no worker is at work on this host.")
@click.pass_obj
def check(path: str, *, alive: bool) -> None:
    """Look whether a worker can work here; exit 1, and say how to mend it, if not."""
    app = load_app(path)

    async def work() -> bool:
        well = True
        async with opened(app) as redis:
            async for found in checks(app, redis):
                well = well and not found.problem
                told = found.problem or found.warning
                click.echo(f"{found.name:<16} " + (f"{told}; {found.mend}" if told else "ok"))
            if well:
                found_alive = await workers(redis, Keys(app.queue.name))
                at_work = [worker for worker in found_alive if not worker.get("stopped")]
                here = [worker for worker in at_work if worker["name"].startswith(f"{_host()}:")]
                click.echo(f"{'workers':<16} {len(at_work)} at work, {len(here)} of them on this host")
                for worker in found_alive:
                    if problem := ailment(worker):
                        click.echo(f"{'':<16} {worker['name']}: {problem}")
                well = bool(here) or not alive
        return well

    sys.exit(0 if settle(work()) else 1)


@click.command()
@click.argument("entity")
@click.argument("key", nargs=-1, required=True, metavar="KEY...")
@click.option("--limit", default=20, metavar="N", help="Show at most so many commands.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def why(path: str, entity: str, key: tuple[str, ...], limit: int, *, as_json: bool) -> None:
    """Tell what stands before a row now, as in `why user 0198...`; a key of several parts is several KEYs."""
    app = load_app(path)
    name = lane(entity, tuple(map(_canonical, key)))

    async def work() -> tuple[int, list[Place]]:
        async with opened(app) as redis, app.sessions() as session:
            return await Why(app, redis, session).lane(name, limit)

    length, places = settle(work())
    if as_json:
        click.echo(
            json.dumps({"lane": name, "length": length, "places": [asdict(place) for place in places]})
        )
        return
    for line in lines(places):
        click.echo(line)
    if length > len(places):
        click.echo(f"and {length - len(places)} more")
    if not length:
        click.echo(f"nothing stands in the lane of {' '.join((entity, *key))}", err=True)


def _canonical(part: str) -> str:
    with suppress(ValueError):
        return str(UUID(part)) if len(part) == _UUID_LENGTH else part
    return part


@click.command()
def demo() -> None:
    """Tell the whole story on a PostgreSQL and a Redis of its own, and clean up."""
    from ..demo.tour import main  # noqa: PLC0415  # it needs the extra [demo]

    sys.exit(main())


def _host() -> str:
    import socket  # noqa: PLC0415

    return socket.gethostname()
