"""What an adopter gets wrong first: each is told in a line that says which."""

import json
import re
from pathlib import Path

import pytest

from tests.console import Console


@pytest.mark.parametrize("command", ["check", "run", "migrate", "--help"])
async def test_a_package_called_worker_next_to_them_is_named(console: Console, command: str) -> None:
    (console.folder / "worker" / "__init__.py").touch()
    printed = await console.run(f"crud-worker --app shop.jobs:app {command}", code=1)
    theirs = console.folder / "worker" / "__init__.py"
    assert printed == (
        f"crud-worker: {theirs} is a package `worker` too; rename it, or put it inside a package of yours\n"
    )


async def test_another_distribution_with_a_package_called_worker_is_named(
    console: Console, tmp_path: Path
) -> None:
    record = tmp_path / "others" / "celery_tools-1.0.dist-info" / "RECORD"
    record.parent.mkdir(parents=True)
    record.write_text("worker/__init__.py,,\n")
    # Since Python 3.12 a file that is missing counts for nothing.
    package = record.parents[1] / "worker" / "__init__.py"
    package.parent.mkdir()
    package.touch()
    record.with_name("METADATA").write_text("Metadata-Version: 2.1\nName: celery-tools\nVersion: 1.0\n")
    path = f"{console.environment['PYTHONPATH']}:{record.parents[1]}"
    for line in ("crud-worker check", "python -m worker check"):
        printed = await console.run(line, code=1, PYTHONPATH=path)
        assert "distribution 'celery-tools' has a package `worker` too; uninstall one of the two" in printed


async def test_a_folder_and_a_subpackage_called_worker_are_none_of_our_business(console: Console) -> None:
    assert (console.folder / "worker").is_dir()
    assert (console.folder / "shop" / "worker" / "__init__.py").is_file()
    for line in ("crud-worker", "python -m worker"):
        await console.run(f"{line} --app shop.jobs:app migrate")


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("shop.nothing:app", "--app shop.nothing:app: there is no module 'shop.nothing'"),
        ("nothing:app", "--app nothing:app: there is no module 'nothing'"),
        ("shop.jobs:nothing", "--app shop.jobs:nothing: there is no such name"),
        ("shop.jobs:Base", "--app shop.jobs:Base: that is a DeclarativeAttributeIntercept"),
        (":app", "--app ':app': write MODULE:NAME"),
    ],
)
async def test_an_app_that_is_not_there_is_named(console: Console, app: str, told: str) -> None:
    printed = await console.run(f"python -m worker --app {app} status", code=1)
    assert printed.startswith(f"crud-worker: {told}")
    assert printed.count("\n") == 1


async def test_commands_that_are_not_there_are_named(console: Console) -> None:
    printed = await console.run("python -m producers --commands shop.nothing send user.create", code=2)
    assert "cannot import 'shop.nothing' (--commands)" in printed
    printed = await console.run("python -m producers --commands shop.models send user.create", code=2)
    assert "'shop.models' (--commands) has no commands" in printed


@pytest.mark.parametrize("line", ["python -m worker --app shop.jobs:app status", "crud-worker status"])
async def test_a_missing_database_url_is_named(console: Console, line: str) -> None:
    del console.environment["DATABASE_URL"]
    assert (await console.run(line, code=1)).startswith("crud-worker: DATABASE_URL: is missing")


async def test_a_worker_of_another_app_leaves_their_commands_alone(console: Console) -> None:
    """Their queue served by the example's worker: kept, in the hope of a worker that knows them."""
    await console.run("python -m worker migrate")
    sent = await console.run(
        "python -m producers --commands shop.commands send line.split --order-id 1 --position 1 --parts 2"
    )
    await console.run("python -m worker run --burst", WORKER_UNREADABLE_TIMEOUT="0")
    listed = await console.run("python -m worker dead list")
    assert json.loads(sent)["command_id"] in listed
    assert re.search(r"unreadable +kind 'line.split' is unknown", listed)
