"""`doctor`: everything that can be set in a way that will hurt, and how to mend it."""

from __future__ import annotations

import json
import sys

import click
from rich.text import Text

from ..doctor import examine
from ..health import Check
from .group import load_app, opened, settle
from .table import show, table

_STYLES = {"ok": "green", "warning": "bold yellow", "problem": "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
def doctor(path: str, *, as_json: bool) -> None:
    """Look at settings, versions, Redis, the database, clocks and connections, and say how to mend each.

    Exit 1 where there is a problem; `check` is the quick one.
    """
    app = load_app(path)

    async def work() -> list[Check]:
        async with opened(app) as redis:
            return [found async for found in examine(app, redis)]

    found = settle(work())
    if as_json:
        for one in found:
            told = {"name": one.name, "state": _state(one), "found": _told(one), "mend": _mend(one)}
            click.echo(json.dumps(told))
    else:
        rows = [(one.name, Text(_state(one), style=_STYLES[_state(one)]), _line(one)) for one in found]
        show(table("", "", "", rows=rows))
    sys.exit(1 if any(one.problem for one in found) else 0)


def _state(check: Check) -> str:
    return "problem" if check.problem else "warning" if check.warning else "ok"


def _told(check: Check) -> str:
    return check.problem or check.warning or check.found


def _mend(check: Check) -> str:
    return "" if _state(check) == "ok" else check.mend


def _line(check: Check) -> str:
    return "; ".join(filter(None, (_told(check), _mend(check))))
