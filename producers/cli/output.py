"""Results go to stdout as JSON, for programs; what a person wants to know besides goes to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from pydantic_core import to_jsonable_python
from rich.console import Console


def print_result(value: Any) -> None:
    """Write a result: one line, or laid out and coloured on a terminal."""
    plain = to_jsonable_python(value)
    if sys.stdout.isatty():
        Console().print_json(data=plain)
    else:
        click.echo(json.dumps(plain, ensure_ascii=False))


def say(text: str) -> None:
    """Tell a person something."""
    click.echo(text, err=True)
