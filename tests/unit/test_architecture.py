"""What the shape of the code promises: names that derive from each other, an executor to read, one arrow."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from fakeredis import FakeAsyncRedis

import worker.handlers
from producers import Command, Producer
from producers.commands import Atomic, CreatePost, CreateUser, ExampleCommand, NewPost, NewProfile
from producers.wire import Envelope

ROOT = Path(__file__).parents[2]
OURS = [ROOT / name for name in ("producers", "worker", "examples", "tests")]
COMMANDS: list[type[Command[Any]]] = list(get_args(ExampleCommand))
ENTITIES = sorted({command.kind.partition(".")[0] for command in COMMANDS})

EXTRA = ["sqlalchemy", "asyncpg", "alembic", "structlog", "uvloop", "worker"]
"""What only the worker needs."""


def class_name(kind: str) -> str:
    """What the command of a kind is called: user.create_many is CreateUsers, user.set_posts SetUserPosts."""
    entity, verb = kind.split(".")
    if verb.endswith("_where"):
        return class_name(f"{entity}.{verb.removesuffix('_where')}") + "sWhere"
    if verb.startswith("set_"):
        return "Set" + entity.capitalize() + verb.removeprefix("set_").capitalize()
    plural = "s" if verb.endswith("_many") or verb in {"list", "count"} else ""
    return verb.removesuffix("_many").capitalize() + entity.capitalize() + plural


def function_name(command: str) -> str:
    """What its handler is called: that of CreateUsers is create_users."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", command).lower()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.kind)
def test_names_derive_from_each_other(command: type[Command[Any]]) -> None:
    entity = command.kind.partition(".")[0]
    assert command.__name__ == class_name(command.kind)
    assert command.__module__ == f"producers.commands.{entity}"
    handler = getattr(import_module(f"worker.handlers.{entity}"), function_name(command.__name__))
    assert inspect.iscoroutinefunction(handler)
    assert list(inspect.signature(handler).parameters.values())[1].annotation is command


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_handler_has_its_command(entity: str) -> None:
    module = import_module(f"worker.handlers.{entity}")
    handlers = {
        name
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
        if any(of in COMMANDS for of in inspect.get_annotations(function).values())
    }
    of_entity = [command for command in COMMANDS if command.kind.startswith(f"{entity}.")]
    assert handlers == {function_name(command.__name__) for command in of_entity}


def test_the_table_gives_each_command_to_the_handler_of_its_name() -> None:
    source = inspect.getsource(worker.handlers)
    cases = re.findall(r"case of\.(\w+)\(\):\s+return await \w+\.(\w+)\(", source)
    assert dict(cases) == {command.__name__: function_name(command.__name__) for command in COMMANDS}
    assert list(worker.handlers.HANDLERS) == COMMANDS


def test_the_executor_is_a_page_to_read() -> None:
    lines = (ROOT / "worker" / "executor.py").read_text().splitlines()
    assert len(lines) <= 200


def test_the_engine_can_be_read_in_an_hour() -> None:
    files = [path for path in (ROOT / "worker" / "engine").iterdir() if path.suffix in {".py", ".lua"}]
    assert sum(len(path.read_text().splitlines()) for path in files) <= 1200
    for path in files:
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                    assert node.end_lineno - node.lineno < 45, (
                        f"{path.name}: {node.name} is longer than a screen"
                    )


def test_nothing_is_called_after_nothing() -> None:
    names = {path.stem for folder in OURS for path in folder.rglob("*")}
    assert not {name for name in names if re.fullmatch(r"_*(utils?|common|helpers?|misc)", name)}


def test_imports_inside_a_package_are_relative() -> None:
    for package in ("producers", "worker"):
        for path in (ROOT / package).rglob("*.py"):
            if "migrations" in path.parts and path.name != "__init__.py":
                continue  # Alembic runs them by their path: they are in no package then
            for node in ast.walk(ast.parse(path.read_text())):
                absolute = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                absolute += [name.name for name in node.names] if isinstance(node, ast.Import) else []
                assert not [name for name in absolute if name.split(".")[0] == package], path


@pytest.mark.parametrize(
    "script",
    [
        "import producers, producers.commands",
        "sys.argv[1:] = ['--help']; runpy.run_module('producers', run_name='__main__')",
        "sys.argv[1:] = ['send', 'post.get', '--help']; runpy.run_module('producers', run_name='__main__')",
        "runpy.run_path('examples/service.py')",
        "runpy.run_path('examples/bulk_load.py')",
    ],
    ids=["import", "--help", "send --help", "a service", "a bulk load"],
)
def test_a_producer_needs_nothing_that_only_the_worker_needs(script: str) -> None:
    blocked = f"import runpy, sys; sys.modules.update(dict.fromkeys({EXTRA!r})); {script}"
    ran = subprocess.run(
        [sys.executable, "-c", blocked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.kind)
def test_no_envelope_names_a_module_or_a_class(command: type[Command[Any]]) -> None:
    assert_names_nothing(Envelope.of(command.model_construct(), UUID(int=1)).encode().encode())


async def test_nothing_in_redis_names_a_module_or_a_class(
    producer: Producer, fake_redis: FakeAsyncRedis
) -> None:
    ada = CreateUser(username="ada", posts=[NewPost(title="one")], profile=NewProfile(bio="text"))
    await producer.send(Atomic([ada, CreatePost(title="two", user_id=ada.id)]))
    [job] = await fake_redis.keys("arq:job:*")
    body = await fake_redis.get(job)
    assert body is not None
    assert b'"username":"ada"' in body
    assert_names_nothing(b"".join([body, *await fake_redis.keys()]))


def assert_names_nothing(wire: bytes) -> None:
    for name in ("producers", "worker", "handlers", *(command.__name__ for command in COMMANDS)):
        assert name.encode() not in wire
