"""The first page: is all well, what waits, how quick is it, what fails."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..halt import halted
from ..health import workers
from ..monitoring.state import queue, records
from ..monitoring.statistics import series
from ..refused import refused_sentence
from .board import Board, board_of
from .charts import Line, bars, lines
from .words import number, span

if TYPE_CHECKING:
    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from ..monitoring.statistics import Bucket

SECONDS, STEP = 1200, 20
_FAILED = ("rejected", "dead")
_OLD, _PATIENCE = 60.0, 3.0


class Chart(NamedTuple):
    """A chart with its heading, the value of now, and what its colours mean: pairs of class and label."""

    title: str
    now: str
    drawing: Markup
    legend: list[tuple[str, str]]


class Verdict(NamedTuple):
    """What a person on call has to know first; `tone` is "good", "bad" or "warn"."""

    tone: str
    told: str


async def overview(request: Request) -> Response:
    """Show the first page."""
    board = board_of(request)
    return board.page(request, "overview.html", **await look(board))


async def look(board: Board) -> dict[str, Any]:
    """Find out what the page shows: Redis and the database are asked at once."""
    redis, keys = board.redis, board.keys
    queued, halt, rows, members, told = await asyncio.gather(
        board.ask(partial(queue, redis, keys)),
        board.ask(partial(halted, redis, keys)),
        board.ask(partial(_records, board)),
        board.ask(partial(workers, redis, keys)),
        board.ask(partial(series, redis, keys, seconds=SECONDS, step=STEP)),
    )
    problems = [queued.problem, halt.problem, rows.problem, members.problem, told.problem]
    return {
        "queued": queued.value,
        "rows": rows.value,
        "members": members.value,
        "charts": charts(told.value[:-1]) if told.value else [],  # the last one still grows
        "verdicts": verdicts(queued.value, halt.value, rows.value, members.value)
        if not any(problems)
        else [],
        "problems": problems,
    }


async def _records(board: Board) -> dict[str, Any]:
    async with asyncio.timeout(_PATIENCE):
        return await records(board.app)


def verdicts(queued: Any, halt: Any, rows: Any, members: Any) -> list[Verdict]:
    """Say what is not well, the worst first; or that all is."""
    found = []
    if not members:
        found.append(Verdict("bad", "No worker is at work: start one with `python -m worker run`."))
    opened = [member["name"] for member in members if member.get("breaker", "closed") != "closed"]
    if opened:
        found.append(Verdict("bad", f"{len(opened)} of {len(members)} workers wait for the database."))
    if halt.is_any:
        found.append(
            Verdict("warn", f"Stopped by hand: {halt.sentence}. `python -m worker queue resume` goes on.")
        )
    if members and queued["queue"]["due"] and queued["queue"]["oldest_s"] > _OLD:
        found.append(
            Verdict("warn", f"The oldest command has waited for {span(queued['queue']['oldest_s'])}.")
        )
    if rows["outbox"]["oldest_s"] > _OLD:
        found.append(
            Verdict(
                "warn", f"The outbox is behind: its oldest row waits for {span(rows['outbox']['oldest_s'])}."
            )
        )
    if queued["queue"]["parked"]:
        told = f"{number(queued['queue']['parked'])} dead commands hold their rows; what comes after waits."
        found.append(Verdict("warn", told))
    if kept := queued["refused"]["kept"]:
        found.append(Verdict("warn", f"{refused_sentence(kept)}."))
    if dead := rows["dead_letters"].get("dead", 0):
        found.append(Verdict("warn", f"{number(dead)} dead commands wait for a person: see Failures."))
    return found or [Verdict("good", "All is well.")]


def charts(buckets: list[Bucket]) -> list[Chart]:
    """Draw what was finished, how long it took, and what failed."""
    back = f"{SECONDS // 60} min"
    finished = [sum(bucket.finished.values()) / STEP for bucket in buckets]
    failed = [
        sum(count for (_, ending), count in bucket.finished.items() if ending in _FAILED) / STEP
        for bucket in buckets
    ]
    well = [all_of - bad for all_of, bad in zip(finished, failed, strict=True)]
    throughput = bars(
        "Throughput", [Line("good", "well", well), Line("bad", "failed", failed)], _per_second, back
    )
    failures = bars("Failures", [Line("bad", "failed", failed)], _per_second, back)
    return [
        Chart("Throughput", _per_second(_last(finished)), throughput, [("good", "well"), ("bad", "failed")]),
        _times("Wait in the queue", [bucket.waited for bucket in buckets], back),
        _times("Run", [bucket.ran for bucket in buckets], back),
        Chart("Failures", _per_second(_last(failed)), failures, [("bad", "rejected or dead")]),
    ]


def _times(title: str, histograms: list[Any], back: str) -> Chart:
    drawn = [
        Line(f"p{percent}", f"p{percent}", [found.quantile(percent / 100) for found in histograms])
        for percent in (50, 95, 99)
    ]
    latest = next((value for value in reversed(drawn[1].values) if value is not None), None)
    now = "–" if latest is None else f"p95 {span(latest)}"  # noqa: RUF001
    return Chart(title, now, lines(title, drawn, span, back), [(line.name, line.label) for line in drawn])


def _per_second(value: float) -> str:
    return f"{value:,.0f}/s" if value >= 10 or value == 0 else f"{value:.2g}/s"  # noqa: PLR2004


def _last(values: list[float]) -> float:
    return values[-1] if values else 0.0
