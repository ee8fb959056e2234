"""docs/vocabulary.md: each command on it can be built, each place on it is where it says."""

import ast
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import producers
import producers.commands
from producers.commands import Command, Registry

PAGE = Path(__file__).parents[2] / "docs" / "vocabulary.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAMES: dict[str, Any] = {**vars(producers), **vars(producers.commands), "ID": UUID(int=1)}

REGISTRY = Registry.of(producers.commands)

CALLS = [
    span.replace("\\|", "|")
    for line in TEXT.splitlines()
    if line.startswith("| ")
    for span in re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", line)[2])
    if re.match(r"[A-Z][A-Za-z]*(\.pick)?\(", span)
]
PLACES = re.findall(r"\[([\w.]+)\]\((\.\./[\w/.]+)#L(\d+)\)", TEXT)


@pytest.mark.parametrize("call", CALLS)
def test_a_command_on_the_page_can_be_built(call: str) -> None:
    command = eval(call, NAMES)  # noqa: S307  # our own page
    assert isinstance(command, Command)
    assert type(command).revive(command.to_wire(), REGISTRY).to_wire() == command.to_wire()


@pytest.mark.parametrize(("name", "path", "line"), PLACES)
def test_a_place_on_the_page_is_where_it_says(name: str, path: str, line: str) -> None:
    body: Any = ast.parse((PAGE.parent / path).read_text(encoding="utf-8")).body
    node: Any = None
    for part in name.split("."):
        node = next(found for found in body if getattr(found, "name", None) == part)
        body = getattr(node, "body", [])
    assert int(line) == node.lineno, f"{name} is at line {node.lineno}"


def test_the_page_has_something_to_hold() -> None:
    assert len(CALLS) > 40
    assert len(PLACES) > 40


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PAGE.parent / target).exists(), target
