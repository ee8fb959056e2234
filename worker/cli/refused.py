"""`refused`: the jobs that nobody with a key has made; see docs/security.md."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from producers.wire import Keys

from ..refused import REASONS, Refused
from .group import Failed, load_app, opened, settle


@click.group()
def refused() -> None:
    """Look at jobs that were refused: unsigned, changed on their way, or under another's name."""


@refused.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="Most jobs to list, the latest first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
def list_(path: str, limit: int, *, as_json: bool) -> None:
    """List the latest of them, and count all."""

    async def work(jobs: Refused) -> tuple[Any, Any]:
        return await jobs.latest(limit), await jobs.counts()

    latest, counts = _with(path, work)
    for refusal in latest:
        told = refusal.about()
        line = "{at}  {job_id}  {reason}, {size} bytes".format(**told)
        click.echo(json.dumps(told) if as_json else line)
    counted = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    click.echo(f"in all: {counted}" if counts else "nothing was refused", err=True)


@refused.command()
@click.argument("job_id")
@click.option("--body", is_flag=True, help="Write the bytes of the job to stdout, and nothing else.")
@click.pass_obj
def show(path: str, job_id: str, *, body: bool) -> None:
    """Show the latest of one job id; its bytes only with --body, since nobody knows what they hold."""
    found = _with(path, lambda jobs: jobs.latest())
    refusal = next((refusal for refusal in found if refusal.job_id == job_id), None)
    if refusal is None:
        raise Failed(f"no refused job {job_id} is kept; see `python -m worker refused list`")
    if body:
        sys.stdout.buffer.write(refusal.body)
        return
    for name, value in refusal.about().items():
        click.echo(f"{name:<8} {value}")
    click.echo(f"{'why':<8} {REASONS.get(refusal.reason, refusal.reason)}")


@refused.command()
@click.pass_obj
def clear(path: str) -> None:
    """Forget those that are kept; how many there were is still counted."""
    kept = _with(path, lambda jobs: jobs.clear())
    click.echo(f"{kept} forgotten")


def _with(path: str, work: Any) -> Any:
    app = load_app(path)

    async def run() -> Any:
        async with opened(app) as redis:
            return await work(Refused(redis, Keys(app.queue.name)))

    return settle(run())
