"""The chart, as SVG that reads well on light and dark ground."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .summary import INSERT, NOOP, OURS, Spread, Summary

_LEFT, _BARS, _ROW, _RIGHT = 270, 330, 20, 130
_STYLE = """<style>
text{font:12px system-ui,sans-serif;fill:#24292f}.h{font-weight:600}.s{fill:#57606a}
.b{fill:#8c959f}.o{fill:#1a7f37}.l{fill:#d0d7de}.w{stroke:#24292f;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.b{fill:#6e7681}.o{fill:#3fb950}
.l{fill:#3d444d}.w{stroke:#e6edf3}}
</style>"""
_LIMITS = {"asyncpg", "session", "executor"}


def chart(summary: Summary, titles: dict[str, str], note: str) -> str:
    """Draw inserts and no-ops: a bar for the median, a line from the least to the most."""
    parts: list[str] = []
    top = 18
    for figure in (INSERT, NOOP):
        rows = [(name, spread) for name in summary.names if (spread := summary.value(name, figure))]
        rows.sort(key=lambda row: -row[1].median)
        parts.append(f'<text class="h" x="8" y="{top}">{escape(figure)}: jobs per second</text>')
        parts += _bars(rows, titles, top + 10)
        top += 10 + _ROW * len(rows) + 30
    parts.append(f'<text class="s" x="8" y="{top - 8}">{escape(note)}</text>')
    width, height = _LEFT + _BARS + _RIGHT, top + 4
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    label = 'role="img" aria-label="Jobs per second: ours and others"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>'
    return "\n".join([head, _STYLE, *parts, "</svg>", ""])


def _bars(rows: list[tuple[str, Spread]], titles: dict[str, str], top: int) -> Iterator[str]:
    scale = _BARS / max((spread.most for _, spread in rows), default=1)
    for place, (name, spread) in enumerate(rows):
        y = top + place * _ROW
        kind = "o" if name == OURS else "l" if name in _LIMITS else "b"
        weight = ' class="h"' if name == OURS else ""
        middle, end = y + 8, _LEFT + spread.most * scale + 8
        yield f'<text{weight} x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(titles[name])}</text>'
        length = spread.median * scale
        yield f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{length:.1f}" height="16" rx="2"/>'
        least, most = (_LEFT + value * scale for value in (spread.least, spread.most))
        yield f'<line class="w" x1="{least:.1f}" x2="{most:.1f}" y1="{middle}" y2="{middle}"/>'
        yield f'<text{weight} x="{end:.1f}" y="{y + 12}">{spread.median:,.0f}</text>'
