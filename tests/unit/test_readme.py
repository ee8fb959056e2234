"""What the README names is there, and what is there it names."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

import producers
from producers.__main__ import EXIT_CODES
from producers.cli.caller import Caller
from producers.settings import QueueSettings
from tests import readme
from tests.documents import with_tables
from worker.dashboard.settings import DashboardSettings
from worker.settings import WorkerOptions
from worker.tables import ENDINGS

ROOT = readme.ROOT
LEAVES = {words: command for program in readme.PROGRAMS for words, command in readme.leaves(program)}
NOT_OURS = {"--autogenerate", "--rev-id"}  # Alembic's


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{guide}" for guide in readme.GUIDES)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    missing = [
        target
        for target in targets
        if not urlsplit(target).scheme and not (path.parent / target.partition("#")[0]).exists()
    ]
    assert missing == []


def test_the_tables_are_those_of_the_code() -> None:
    assert with_tables(readme.TEXT) == readme.TEXT, "run `make docs`"


def test_every_variable_named_is_a_setting() -> None:
    named = set(re.findall(r"\b(?:QUEUE|WORKER|PRODUCER)_[A-Z_]*[A-Z]\b|\b[A-Z]+_URL\b", readme.TEXT))
    assert named == set(re.findall(r"`([A-Z_]+)`", readme.settings_table()))


@pytest.mark.parametrize("guide", readme.GUIDES)
def test_every_variable_that_a_guide_names_is_a_setting(guide: str) -> None:
    named = set(
        re.findall(r"\b(?:QUEUE|WORKER|PRODUCER)_[A-Z_]*[A-Z]\b|\b[A-Z]+_URL\b", readme.text_of(guide))
    )
    assert named <= set(re.findall(r"`([A-Z_]+)`", readme.settings_table()))


@pytest.mark.parametrize("guide", readme.GUIDES)
def test_the_readme_names_every_guide(guide: str) -> None:
    assert f"docs/{guide}" in readme.TEXT


def test_every_setting_says_what_it_is_for() -> None:
    for settings in (QueueSettings, WorkerOptions, DashboardSettings):
        assert all(field.description for field in settings.model_fields.values())


def test_every_command_is_in_the_readme() -> None:
    assert [words for words in LEAVES if words not in readme.TEXT] == []


@pytest.mark.parametrize("row", readme.table("command"), ids=lambda row: row[0])
def test_a_command_in_the_table_is_there_with_its_options(row: list[str]) -> None:
    calls = [call for call in re.findall(r"`([^`]+)`", row[0]) if call.startswith("python -m ")]
    for call in calls:
        found = LEAVES[re.sub(r"( [A-Z]+[.]*)+$", "", call)]
        options = set(re.findall(r"--[a-z][a-z-]+", row[1]))
        assert options <= {option for param in found.params for option in param.opts}


def test_every_option_named_is_an_option_of_some_command() -> None:
    commands = [*LEAVES.values(), *readme.PROGRAMS.values()]
    options = {option for command in commands for param in command.params for option in param.opts}
    options |= {option for param in _send("user.create").params for option in param.opts}
    named = {option for span in readme.SPANS for option in re.findall(r"--[a-z][a-z-]+", span)}
    assert named - NOT_OURS <= options


def _send(kind: str) -> click.Command:
    group = LEAVES["python -m producers send"]
    assert isinstance(group, click.Group)
    found = group.get_command(click.Context(group, obj=Caller("producers.commands")), kind)
    assert found is not None
    return found


def test_the_exit_codes_are_those_of_the_code() -> None:
    said = readme.PROSE.partition("Exit code ")[2].partition("\n\n")[0]
    assert {int(code) for code in re.findall(r"\b\d\b", said)} == {0, *EXIT_CODES.values()}


def test_every_public_error_is_in_the_table() -> None:
    public = {name for name in producers.__all__ if _is_error(getattr(producers, name))}
    assert {row[0].strip("`") for row in readme.table("error")} == public - {"CommandError"}
    assert "CommandError" in readme.SPANS


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, producers.CommandError)


def test_the_endings_are_those_of_the_code() -> None:
    said = readme.PROSE.partition("Every ending is one row")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z]+)`", said)) == set(ENDINGS)


@pytest.mark.parametrize("package", ["producers", "worker"])
def test_the_map_shows_what_is_there(package: str) -> None:
    drawn = next(block.text for block in readme.blocks() if block.heading == "The map")
    part = re.split(r"^(?=\w+/)", drawn, flags=re.MULTILINE)
    named = {
        name
        for text in part
        if text.startswith(f"{package}/")
        for name in re.findall(r"\w+\.\w+\b|\w+/", text)
    } - {f"{package}/"}
    assert {name for name in named if not _below(ROOT / package, name)} == set()
    top = {path.name for path in (ROOT / package).glob("*.py") if not path.name.startswith("__")}
    top |= {f"{path.parent.name}/" for path in (ROOT / package).glob("*/__init__.py")}
    assert top - named == set()


def _below(folder: Path, name: str) -> bool:
    return any(folder.rglob(name.rstrip("/")))
