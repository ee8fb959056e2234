"""Small charts as inline SVG, drawn on the server: their colours are classes of the style sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 480, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 4, 4, 18, 16
_GRID = 3


class Line(NamedTuple):
    """One series, the oldest value first; None is a gap. `name` is a class of the style sheet."""

    name: str
    label: str
    values: Sequence[float | None]


def lines(title: str, series: Sequence[Line], written: Callable[[float], str], span: str) -> Markup:
    """Draw series as lines over each other; `written` writes a value, `span` says how far back it goes."""
    top = _nice(max((value for line in series for value in line.values if value), default=0.0))
    drawn = []
    for line in series:
        for run in _runs(line.values):
            points = " ".join(f"{_x(at, len(line.values)):.1f},{_y(value, top):.1f}" for at, value in run)
            if len(run) > 1:
                drawn.append(f'<polyline class="line {line.name}" points="{points}"/>')
            else:
                x, y = points.split(",")
                drawn.append(f'<circle class="dot {line.name}" cx="{x}" cy="{y}" r="2"/>')
    return _chart(title, series, "".join(drawn), written=written, span=span, top=top)


def bars(title: str, series: Sequence[Line], written: Callable[[float], str], span: str) -> Markup:
    """Draw series as bars upon each other, the first one at the bottom."""
    count = max((len(line.values) for line in series), default=0)
    sums = [sum(line.values[at] or 0.0 for line in series) for at in range(count)]
    top = _nice(max(sums, default=0.0))
    width = (WIDTH - _LEFT - _RIGHT) / max(1, count)
    drawn = []
    for at in range(count):
        below = 0.0
        for line in series:
            value = line.values[at] or 0.0
            if value:
                y, foot = _y(below + value, top), _y(below, top)
                place = f'x="{_LEFT + at * width:.1f}" y="{y:.1f}"'
                size = f'width="{max(1.0, width - 1):.1f}" height="{foot - y:.1f}"'
                drawn.append(f'<rect class="bar {line.name}" {place} {size}/>')
            below += value
    return _chart(title, series, "".join(drawn), written=written, span=span, top=top)


def _chart(
    title: str, series: Sequence[Line], drawn: str, *, written: Callable[[float], str], span: str, top: float
) -> Markup:
    grid = "".join(
        f'<line class="grid" x1="0" x2="{WIDTH}" y1="{_y(top * step / _GRID, top):.1f}" '
        f'y2="{_y(top * step / _GRID, top):.1f}"/>'
        for step in range(_GRID + 1)
    )
    told = "; ".join(f"{line.label} now {_latest(line, written)}" for line in series)
    return Markup(  # noqa: S704  # numbers, and what is escaped here
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}: {escape(told)}">'
        f'{grid}{drawn}<text class="axis" x="{_LEFT}" y="11">{escape(written(top))}</text>'
        f'<text class="axis" x="{_LEFT}" y="{HEIGHT - 3}">{escape(span)} ago</text>'
        f'<text class="axis end" x="{WIDTH - _RIGHT}" y="{HEIGHT - 3}">now</text></svg>'
    )


def _latest(line: Line, written: Callable[[float], str]) -> str:
    value = next((value for value in reversed(line.values) if value is not None), None)
    return "nothing" if value is None else written(value)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Cut a series where it has gaps."""
    runs: list[list[tuple[int, float]]] = [[]]
    for at, value in enumerate(values):
        if value is not None:
            runs[-1].append((at, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _x(at: int, count: int) -> float:
    return _LEFT + at * (WIDTH - _LEFT - _RIGHT) / max(1, count - 1)


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top


def _nice(most: float) -> float:
    """Round the top of an axis up to 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0
    power = 1.0
    while power > most:
        power /= 10
    while power * 10 <= most:
        power *= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= most)
