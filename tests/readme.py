"""The README and the guides in docs/, taken apart: their examples, tables, and what they have to say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click

from producers.__main__ import producers
from producers.commands import Command, ExampleCommand
from producers.settings import QueueSettings, Settings
from worker.cli import cli as worker
from worker.dashboard.settings import DashboardSettings
from worker.settings import WorkerOptions

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS: dict[str, click.Command] = {"python -m worker": worker, "python -m producers": producers}

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block, and the heading that it stands under."""

    heading: str
    language: str
    text: str

    @property
    def path(self) -> str:
        """The file that a block of Python is, by its first line; `script.py` where it does not say."""
        named = re.match(r"# (\S+\.py)\n", self.text)
        return named.group(1) if named else "script.py"

    @property
    def lines(self) -> list[str]:
        """The lines of a console."""
        return self.text.splitlines()


GUIDES = ("enqueue.md", "domain.md", "operate.md", "guarantees.md", "upgrading.md")
"""The guides whose examples are run."""


def text_of(guide: str) -> str:
    """What a guide says; the README where it is ""."""
    return (ROOT / "docs" / guide).read_text(encoding="utf-8") if guide else TEXT


def blocks(guide: str = "") -> Iterator[Block]:
    """All fenced blocks of the README, or of a guide."""
    text = text_of(guide)
    for fenced in _FENCED.finditer(text):
        before = _FENCED.sub("", text[: fenced.start()])  # a comment of Python looks like a heading
        yield Block(_HEADING.findall(before)[-1], fenced.group(1), fenced.group(2))


def console(heading: str, guide: str = "") -> list[str]:
    """The console lines under a heading."""
    return [
        line
        for block in blocks(guide)
        if (block.heading, block.language) == (heading, "console")
        for line in block.lines
    ]


NOT_RUN = {
    "make demo": "test_demo.py does",
    "make test": "this is a part of it",
    "docker compose ": "it needs docker; compose runs these tests in turn",
    "WORKER_DASHBOARD_PASSWORD=": "as before: by docker compose",
    "python -m worker status --watch": "it goes on until Ctrl-C",
    "python -m worker doctor": "test_doctor.py does; the tests' own PostgreSQL does not wait for its disk",
    "python -m worker dashboard": "it goes on until Ctrl-C; tests/dashboard are about it",
    "export ": "the test has servers and secrets of its own",
}
"""How a line begins that no test runs, and why."""


def lines_of(heading: str, guide: str = "") -> list[str]:
    """The console lines under a heading that are to be run."""
    return [line for line in console(heading, guide) if not line.startswith(tuple(NOT_RUN))]


PROSE = _FENCED.sub("", TEXT)
"""What is not in a fenced block."""

SPANS: list[str] = re.findall(r"`([^`\n]+)`", PROSE)
"""What stands as code in the prose and the tables."""


def table(first: str) -> list[list[str]]:
    """The rows, without the header, of the table whose first column is called `first`, cell by cell."""
    for found in re.findall(r"(?:^\|.*\n)+", PROSE, re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in found.splitlines()]
        if header[0] == first:
            return rows
    raise LookupError(first)


def settings_table() -> str:
    """What stands between the marks of the settings: made from the settings themselves."""
    rows = [*_of(QueueSettings), *_of_program(producers), *_of(WorkerOptions), *_of_program(worker)]
    rows += _of(DashboardSettings)
    return _table(("variable", "default", "says"), rows)


def bench_table() -> str:
    """What stands between the marks of the bench: the last whole run of it, as it wrote it down."""
    told: dict[str, Any] = json.loads((ROOT / "tests" / "bench" / "results.json").read_text(encoding="utf-8"))
    rows = [
        (
            line["text"] + (f" ({told['contenders'][line['remark']]['title']})" if line["remark"] else ""),
            f"{line['found']['median']:.2f}",
            f"{line['found']['least']:.2f} to {line['found']['most']:.2f}",
            line["required"] + ("" if line["met"] in {True, None} else ", missed"),
        )
        for line in told["required"]
    ]
    return _table(("ours", "median", "rounds", "asked for"), rows)


def chaos_table() -> str:
    """What stands between the marks of the chaos: the last run of each fault, as it was written down."""
    told: dict[str, Any] = json.loads((ROOT / "tests" / "chaos" / "results.json").read_text(encoding="utf-8"))
    rows = [
        (
            found["says"] + ("" if found["scale"] == 1 else f" (at {found['scale']:g} of the size)"),
            f"{found['commands']:,}",
            " / ".join(f"{found[name]}" for name in ("lost", "twice", "out_of_order", "wrong")),
            ", ".join(f"{count:,} {ending}" for ending, count in found["endings"].items()),
            "; ".join(found["notes"]),
            f"{found['seed']}",
        )
        for found in told.values()
    ]
    heads = ("fault", "commands", "lost / twice / out of order / rows wrong", "endings", "besides", "seed")
    return _table(heads, rows)


def _of(settings: type[Settings]) -> Iterator[tuple[str, str, str]]:
    for name, field in settings.model_fields.items():
        words = ", ".join(
            f"`{word}`" for word in get_args(field.annotation) if word and isinstance(word, str)
        )
        says = f"{field.description} {f'One of {words}.' if words else ''}".strip()
        yield f"`{settings.variable(name)}`", _default(field.default), says


def _of_program(program: click.Command) -> Iterator[tuple[str, str, str]]:
    for option in program.params:
        if isinstance(option, click.Option) and option.envvar:
            says = f"{(option.help or '').partition(';')[0].rstrip('.')}; `{option.opts[0]}` goes before it."
            yield f"`{option.envvar}`", _default(option.default), says


def _default(value: Any) -> str:
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands_table() -> str:
    """What stands between the marks of the commands: made from the payloads themselves."""
    by_verb: dict[str, dict[str, type[Command[Any]]]] = {}
    for command in get_args(ExampleCommand):
        entity, verb = command.kind.split(".")
        by_verb.setdefault(verb, {})[entity] = command
    entities = list(dict.fromkeys(entity for commands in by_verb.values() for entity in commands))
    rows = [
        (f"`{verb}`", *(f"`{commands[name].__name__}`" if name in commands else "" for name in entities))
        for verb, commands in by_verb.items()
    ]
    return _table(("verb", *entities), rows)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ("---",) * len(header), *rows])


def leaves(program: str) -> Iterator[tuple[str, click.Command]]:
    """All commands of a program, with the words that call them."""

    def below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group) and command.commands:
            for name, child in command.commands.items():
                yield from below(f"{words} {name}", child)
        else:
            yield words, command

    yield from below(program, PROGRAMS[program])
