"""Each way in which a change of a payload would lose commands sent before, and the ways that are fine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import pytest
from click.testing import CliRunner, Result
from pydantic import Field, create_model

from producers.commands import Command, Payload, Registry, View
from producers.commands.query import Finding as FindingRows
from producers.commands.query import Including
from tests.processes import ROOT
from worker import main as example
from worker.app import App
from worker.cli import cli
from worker.schemas import breaks, encode, schemas_of
from worker.schemas.instances import instances
from worker.schemas.narrowing import narrowings

Fields = dict[str, Any]


class Part(Payload):
    weight: int = Field(ge=0)


class Lighter(Payload):
    weight: int = Field(ge=0, le=10)


BEFORE: Fields = {
    "name": (Annotated[str, Field(min_length=1, max_length=50)], ...),
    "age": (Annotated[int, Field(ge=0, le=150)] | None, None),
    "colour": (Literal["red", "blue"], "red"),
    "parts": (list[Part], []),
    "labels": (dict[str, int], {}),
    "code": (Annotated[str, Field(pattern="^a")] | int, 0),
}


def command(changes: Fields | None = None, *, without: str = "", **about: Any) -> type[Command[Any]]:
    """Make the command as it was, changed so; `about` are its class variables."""
    fields = {name: field for name, field in {**BEFORE, **(changes or {})}.items() if name != without}
    made: Any = create_model("Make", __base__=Command[Any], **fields)
    for name, value in {"kind": "thing.make", **about}.items():
        setattr(made, name, value)
    return cast("type[Command[Any]]", made)


KEPT = schemas_of(Registry([command()]))


def found(now: type[Command[Any]]) -> list[str]:
    return [*breaks(Registry([now]), KEPT)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": (int, ...)}, "size: is now required"),
        ({"age": (Annotated[int, Field(ge=0, le=150)], ...)}, "age: is now required"),
        ({"age": (Annotated[int, Field(ge=0, le=150)], 1)}, "age: type is integer, was null"),
        ({"age": (Annotated[int, Field(ge=0, le=120)] | None, None)}, "age: maximum is 120, was 150"),
        ({"age": (Annotated[int, Field(ge=1, le=150)] | None, None)}, "age: minimum is 1, was 0"),
        (
            {"name": (Annotated[str, Field(min_length=1, max_length=20)], ...)},
            "name: maxLength is 20, was 50",
        ),
        ({"name": (Annotated[str, Field(min_length=2, max_length=50)], ...)}, "name: minLength is 2, was 1"),
        (
            {"name": (Annotated[str, Field(min_length=1, max_length=50, pattern="x")], ...)},
            "name: pattern is x",
        ),
        ({"name": (int, ...)}, "name: type is integer, was string"),
        ({"colour": (Literal["red"], "red")}, "colour: no longer takes ['blue']"),
        ({"colour": (Literal["red", "blue"], "blue")}, "where it is left out it is 'blue', was 'red'"),
        ({"parts": (list[Lighter], [])}, "parts[].weight: maximum is 10, was not limited"),
        (
            {"parts": (Annotated[list[Part], Field(max_length=3)], [])},
            "parts: maxItems is 3, was not limited",
        ),
        ({"labels": (dict[str, str], {})}, "labels.*: type is string, was integer"),
        ({"code": (int, 0)}, "code: type is integer, was string"),
        ({"code": (Annotated[str, Field(pattern="^b")] | int, 0)}, "code: pattern is ^b, was ^a"),
        (
            {"labels": (Annotated[dict[str, int], Field(json_schema_extra={"if": True})], {})},
            "labels: if changed, which nothing here can judge",
        ),
    ],
)
def test_a_narrower_payload_is_found_and_it_is_said_what_to_do(changes: Fields, told: str) -> None:
    findings = found(command(changes))
    assert any(told in finding for finding in findings)
    assert all("raise `version` to 2" in finding for finding in findings)


def test_a_field_that_is_gone_is_found() -> None:
    [finding] = found(command(without="age"))
    assert "age: is gone" in finding


def test_a_kind_that_is_gone_is_found() -> None:
    [finding] = breaks(Registry([]), KEPT)
    assert finding.startswith("thing.make: is gone")


def test_a_version_that_went_back_is_found() -> None:
    kept = schemas_of(Registry([command(version=3, lifts={})]))
    [finding] = breaks(Registry([command(version=2)]), kept)
    assert "version is 2, was 3" in finding


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (int, 3)},
        {"age": (Annotated[int, Field(ge=-1, le=200)] | str | None, None)},
        {"age": (float | None, None)},
        {"name": (str, ...)},
        {"name": (Annotated[str, Field(min_length=1, max_length=50)], "nobody")},
        {"colour": (Literal["green", "blue", "red"], "red")},
        {"colour": (str, "red")},
        {"labels": (dict[str, Any], {})},
        {"code": (str | int, 0)},
        {"parts": (Any, [])},
    ],
)
def test_a_wider_payload_is_fine_and_the_file_is_to_be_written_anew(changes: Fields) -> None:
    assert found(command(changes)) == []
    assert schemas_of(Registry([command(changes)]), KEPT) != KEPT


def test_what_takes_anything_is_wider_than_what_refers_to_itself() -> None:
    node = {"properties": {"next": {"$ref": "#/$defs/Node"}}, "type": "object"}
    old = {"$defs": {"Node": node}, "properties": {"first": {"$ref": "#/$defs/Node"}}}
    assert [*narrowings(old, {"properties": {"first": {}}})] == []


def test_a_shared_part_that_is_narrower_is_found_in_each_place() -> None:
    at_two = {"properties": {name: {"$ref": "#/$defs/Part"} for name in ("a", "b")}}
    old, new = (at_two | {"$defs": {"Part": {"type": "integer", "maximum": most}}} for most in (9, 5))
    assert [*narrowings(old, new)] == ["a: maximum is 5, was 9", "b: maximum is 5, was 9"]


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    lifted = {"years" if name == "age" else name: value for name, value in payload.items()}
    return {**lifted, "colour": "red"}


def _demanding(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "age": payload["age"]}


NOW: Fields = {"years": (int | None, None), "colour": (Literal["red"], "red")}


def test_a_raised_version_is_fine_with_a_lift_that_brings_every_older_payload_to_it() -> None:
    assert found(command(NOW, without="age", version=2, lifts={1: _renamed})) == []


@pytest.mark.parametrize(
    ("lifts", "told"),
    [
        ({}, ["nothing lifts version 1 to 2"]),
        ({1: dict}, ["age: Extra inputs are not permitted", "colour: Input should be 'red'"]),
        ({1: _demanding}, ["a payload with name raises KeyError"]),
    ],
)
def test_a_lift_that_is_missing_or_brings_not_all_is_found(lifts: Any, told: list[str]) -> None:
    findings = found(command(NOW, without="age", version=2, lifts=lifts))
    for one in told:
        assert any(one in finding for finding in findings)


class Author(View):
    id: int
    name: str
    tags: tuple[Literal["a", "b"], ...] = ()
    friends: "tuple[Author, ...] | None" = None


class Book(View):
    id: int
    title: str | None
    pages: int
    author: Author | None = None


def asking(without: str = "", version: int = 1, lifts: Any = None, **changes: Any) -> type[Command[Any]]:
    """Make the command that finds books, of a view without one of its fields or with others."""
    fields: Fields = {
        "id": (int, ...),
        "title": (str | None, ...),
        "pages": (int, ...),
        "author": (Author | None, None),
    }
    fields = {name: field for name, field in {**fields, **changes}.items() if name != without}
    whole = create_model("Book", __base__=View, **fields)
    made: Any = create_model("FindBooks", __base__=(FindingRows, Command[Any]))
    about = {"kind": "book.find", "view": whole, "version": version, "lifts": lifts or {}}
    for name, value in about.items():
        setattr(made, name, value)
    return cast("type[Command[Any]]", made)


ASKED = schemas_of(Registry([asking()]))


class Nameless(View):
    id: int
    friends: tuple["Nameless", ...] | None = None


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (asking(without="pages"), ["view.pages: is gone"]),
        (asking(without="author"), ["view.author: is gone"]),
        (asking(pages=(str, ...)), ["view.pages: type is string, was integer"]),
        (asking(author=(tuple[Author, ...], ())), ["view.author: type is array, was object"]),
        (
            asking(author=(Nameless | None, None)),
            ["view.author.name: is gone", "view.author.tags: is gone"],
        ),
    ],
)
def test_what_can_no_longer_be_named_in_a_condition_is_found(
    now: type[Command[Any]], told: list[str]
) -> None:
    findings = [*breaks(Registry([now]), ASKED)]
    for one in told:
        assert any(finding.startswith(f"book.find: {one}") for finding in findings), findings
    assert all("raise `version` to 2" in finding for finding in findings)


def test_a_command_that_only_includes_relations_names_no_columns() -> None:
    def including(view: type[View]) -> type[Command[Any]]:
        made: Any = create_model("GetBook", __base__=(Including, Command[Any]))
        for name, value in {"kind": "book.get", "view": view}.items():
            setattr(made, name, value)
        return cast("type[Command[Any]]", made)

    kept = schemas_of(Registry([including(Book)]))
    fewer = create_model("Book", __base__=View, id=(int, ...), author=(Author | None, None))
    assert [*breaks(Registry([including(fewer)]), kept)] == []
    [finding] = breaks(Registry([including(create_model("Book", __base__=View, id=(int, ...)))]), kept)
    assert finding.startswith("book.get: view.author: is gone")


def test_more_that_can_be_named_is_fine() -> None:
    assert [*breaks(Registry([asking(year=(int, ...))]), ASKED)] == []


def test_a_file_from_before_views_were_kept_is_fine_and_to_be_written_anew() -> None:
    kept = {
        "book.find": {"1": {k: v for k, v in ASKED["book.find"]["1"].items() if k not in {"view", "$defs"}}}
    }
    assert [*breaks(Registry([asking()]), kept)] == []
    assert schemas_of(Registry([asking()]), kept) != kept


def _without_pages(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "where": {"title": None}} if "pages" in (payload.get("where") or {}) else payload


def test_a_lift_has_to_bring_conditions_to_what_can_be_named() -> None:
    findings = [*breaks(Registry([asking(without="pages", version=2, lifts={1: dict})]), ASKED)]
    assert len(findings) == 1
    assert "lifted from version 1, where: Value error, 'pages' is unknown" in findings[0]
    lifted = asking(without="pages", version=2, lifts={1: _without_pages})
    assert [*breaks(Registry([lifted]), ASKED)] == []


def test_the_schemas_of_older_versions_stay() -> None:
    raised = command(NOW, without="age", version=2, lifts={1: _renamed})
    kept = schemas_of(Registry([raised]), KEPT)
    assert [*kept["thing.make"]] == ["1", "2"]
    assert kept["thing.make"]["1"] == KEPT["thing.make"]["1"]
    assert json.loads(encode(kept)) == kept


def test_the_instances_of_a_schema_are_what_its_model_takes() -> None:
    class Thing(Payload):
        a: Annotated[int, Field(gt=1, lt=9, multiple_of=3)] | None = None
        b: tuple[int, str] = (1, "x")
        c: dict[str, bool] = Field(default={})
        d: list[Part] = Field(default=[], min_length=2)
        e: Literal["x"] = "x"
        f: Any = None

    made = [*instances(Thing.model_json_schema())]
    assert {} in made
    assert len(made) > 10
    for one in made:
        Thing.model_validate(one)


class Greet(Command[None]):
    kind: ClassVar[str] = "greet.all"

    loud: bool = False


class Shout(Command[None]):
    kind: ClassVar[str] = "greet.all"

    loud: bool


async def _handle(_session: Any, _command: Any) -> None: ...


greeting, shouting = App({Greet: _handle}), App({Shout: _handle})


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    def run(app: str, *arguments: str) -> Result:
        path = f"{__name__}:{app}"
        return CliRunner().invoke(
            cli, ["--app", path, "schema", *arguments, "--file", str(tmp_path / "s.json")]
        )

    return run


def test_a_person_is_led_from_a_missing_file_to_a_current_one(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    missing = run("greeting", "check")
    assert (missing.exit_code, "schema export" in missing.output) == (1, True)
    assert run("greeting", "export").exit_code == 0
    assert run("greeting", "check").exit_code == 0
    narrower = run("shouting", "check")
    assert (narrower.exit_code, "greet.all: loud: is now required" in narrower.output) == (1, True)
    refused = run("shouting", "export")
    assert (refused.exit_code, "loud: is now required" in refused.output) == (1, True)
    assert run("greeting", "check").exit_code == 0
    assert run("shouting", "export", "--force").exit_code == 0
    stale = run("greeting", "check")
    assert (stale.exit_code, "is not current, though nothing is broken" in stale.output) == (1, True)
    for broken in ("[]", "{", '{"a": {"one": {}}}'):
        (tmp_path / "s.json").write_text(broken)
        assert "is no file of schemas" in run("greeting", "check").output


def test_the_file_of_this_repository_is_current_and_nothing_is_broken() -> None:
    kept = json.loads((ROOT / "docs" / "schemas.json").read_text())
    assert [*breaks(example.app.registry, kept)] == []
    assert schemas_of(example.app.registry, kept) == kept
