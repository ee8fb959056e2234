"""docs/vocabulary.md: each command on it can be built, each place on it is where it says."""

import re
from typing import Any
from uuid import UUID

import pytest

import producers
import producers.commands
from producers.commands import Command, Registry
from tests.documents import PLACE, VOCABULARY, with_lines

TEXT = VOCABULARY.read_text(encoding="utf-8")
NAMES: dict[str, Any] = {**vars(producers), **vars(producers.commands), "ID": UUID(int=1)}

REGISTRY = Registry.of(producers.commands)

CALLS = [
    span.replace("\\|", "|")
    for line in TEXT.splitlines()
    if line.startswith("| ")
    for span in re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", line)[2])
    if re.match(r"[A-Z][A-Za-z]*(\.pick)?\(", span)
]


@pytest.mark.parametrize("call", CALLS)
def test_a_command_on_the_page_can_be_built(call: str) -> None:
    command = eval(call, NAMES)  # noqa: S307  # our own page
    assert isinstance(command, Command)
    assert type(command).revive(command.to_wire(), REGISTRY).to_wire() == command.to_wire()


def test_each_place_on_the_page_is_where_it_says() -> None:
    assert with_lines(TEXT, VOCABULARY.parent) == TEXT, "run `make docs`"


def test_the_page_has_something_to_hold() -> None:
    assert len(CALLS) > 40
    assert len(PLACE.findall(TEXT)) > 40


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (VOCABULARY.parent / target).exists(), target
