"""The table, as text."""

from __future__ import annotations

from collections.abc import Iterator

from .backlog import name as behind
from .summary import OURS, RATES, TUNED, Requirement, Spread, Summary

_WIDTH = 41


def lines(summary: Summary, titles: dict[str, str], required: list[Requirement]) -> Iterator[str]:
    """Write the table: figures, contenders, medians, spreads, ratios."""
    head = ("", "median", "min - max", "x tuned arq", "ours is", "CPU ms/job", "servers", "MiB")
    yield _row(*head)
    for figure in (*RATES, *_behind(summary)):
        names = [name for name in summary.names if summary.value(name, figure)]
        if names:
            yield ""
            yield f"{figure}, jobs/s"
            yield from (
                _rate_line(summary, titles, figure, name) for name in _ordered(summary, figure, names)
            )
    yield from _latency(summary, titles)
    yield from _memory(summary, titles)
    yield ""
    head_of = f"{'median':>9} {'min - max':>17}  {'required':>9} {'aim':>6}"
    yield f"{'ours, against what is asked for':{_WIDTH + 12}}{head_of}"
    for line in required:
        mark = {True: "met", False: "MISSED", None: ""}[line.met]
        found = f"{line.found.median:9.2f} {_between(line.found, 2):>17}" if line.found else ""
        title = f"  {line.text}" + (f" ({titles.get(line.remark, line.remark)})" if line.remark else "")
        yield f"{title:{_WIDTH + 12}}{found}  {line.required:>9} {line.aim:>6}  {mark}"


def _behind(summary: Summary) -> list[str]:
    return [
        figure for waiting in (1000, 100_000, 1_000_000) if summary.value(OURS, figure := behind(waiting))
    ]


def _ordered(summary: Summary, figure: str, names: list[str]) -> list[str]:
    def rate(name: str) -> float:
        spread = summary.value(name, figure)
        return -spread.median if spread else 0

    return sorted(names, key=rate)


def _rate_line(summary: Summary, titles: dict[str, str], figure: str, name: str) -> str:
    rate = summary.value(name, figure)
    return _row(
        titles[name],
        f"{rate.median:,.0f}" if rate else "",
        _between(rate, 0),
        _times(summary.ratio(name, figure, TUNED)),
        _times(summary.ratio(OURS, figure, name)) if name != OURS else "",
        _number(summary.value(name, figure, "worker_cpu_ms"), 2),
        _number(summary.value(name, figure, "servers_cpu_ms"), 2),
        _number(summary.value(name, figure, "mib"), 0),
    )


def _latency(summary: Summary, titles: dict[str, str]) -> Iterator[str]:
    names = [name for name in summary.names if summary.percentile(name, 0.5)]
    if names:
        yield ""
        head = (f"{'p50':>9} {'rounds':>17}", f"{'p99':>9} {'rounds':>17}", f"{'sends':>6}")
        yield f"{'send to result, idle, ms':{_WIDTH}} {' '.join(head)}"
    for name in names:
        half, most = summary.percentile(name, 0.5), summary.percentile(name, 0.99)
        if half and most:
            cells = (f"{one.median:9.1f} {_between(one, 1):>17}" for one in (half, most))
            yield f"  {titles[name]:{_WIDTH - 2}} {' '.join(cells)} {half.number:>6}"


def _memory(summary: Summary, titles: dict[str, str]) -> Iterator[str]:
    names = [name for name in summary.names if summary.value(name, "idle memory", "mib")]
    if names:
        yield ""
        yield "memory of an idle worker, all its processes, MiB"
    for name in names:
        held = summary.value(name, "idle memory", "mib")
        yield _row(titles[name], _number(held, 0), _between(held, 0))
    grown = summary.value(OURS, "memory over the run", "grown_mib")
    jobs = summary.value(OURS, "memory over the run", "jobs")
    if grown and jobs:
        yield f"  ours grew by {grown.median:.1f} MiB over {jobs.median:,.0f} no-ops"


def _row(title: str, *cells: str) -> str:
    widths = (9, 17, 12, 8, 11, 8, 5)
    told = "".join(f" {cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
    return f"{'  ' + title:{_WIDTH}}{told}".rstrip()


def _between(spread: Spread | None, digits: int) -> str:
    return f"{spread.least:,.{digits}f} - {spread.most:,.{digits}f}" if spread else ""


def _number(spread: Spread | None, digits: int) -> str:
    return f"{spread.median:,.{digits}f}" if spread else ""


def _times(spread: Spread | None) -> str:
    return f"{spread.median:.2f}" if spread else ""
