"""`python -m worker dead`: failures by group, mended and replayed or dropped, one or many."""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from producers import Atomic, Producer, Receipt
from producers.commands import CreateUser, UserView
from producers.settings import QueueSettings
from tests.processes import command_line
from worker.tables import worker_tables

TABLES = worker_tables(None)
NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
async def producer(redis_url: str, queue_name: str) -> Any:
    async with Producer(settings=QueueSettings(redis_url=redis_url, name=queue_name)) as producer:
        yield producer


async def burst(environment: dict[str, str]) -> None:
    assert (await command_line("run", "--burst", environment=environment)).returncode == 0


@pytest.fixture
async def failed(producer: Producer, environment: dict[str, str]) -> list[Receipt[UserView]]:
    """Two users of a name that is taken, and one of an email that is."""
    await producer.send(CreateUser(username="ada", email="ada@example.com"))
    await burst(environment)
    taken = [CreateUser(username="ada", age=1), CreateUser(username="ada", age=2)]
    receipts = await producer.send_many([*taken, CreateUser(name="eve", email="ada@example.com")])
    await burst(environment)
    return receipts


async def dead(*arguments: str, environment: dict[str, str], stdin: str = "") -> tuple[int, str, str]:
    ended = await command_line("dead", *arguments, environment=environment, stdin=stdin)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


async def test_failures_are_grouped_and_each_group_is_listed(
    failed: list[Receipt[UserView]], environment: dict[str, str]
) -> None:
    code, told, _ = await dead("groups", environment=environment)
    header, line = told.splitlines()
    assert code == 0
    assert header.split()[:5] == ["group", "letters", "kind", "code", "error"]
    assert line.split()[1:5] == ["3", "user.create", "unique_violation", "UniqueViolationError"]
    assert "handlers/" in line
    [found] = [
        json.loads(one) for one in (await dead("groups", "--json", environment=environment))[1].splitlines()
    ]
    assert (found["group"], found["size"], found["kind"]) == (line.split()[0], 3, "user.create")

    code, listed, _ = await dead("list", "--group", found["group"], environment=environment)
    assert code == 0
    assert {one.split()[0] for one in listed.splitlines()[1:]} == {str(one.command_id) for one in failed}
    assert "example.com" not in listed

    code, listed, more = await dead("list", "--limit", "2", "--json", environment=environment)
    assert [json.loads(line)["state"] for line in listed.splitlines()] == ["rejected"] * 2
    assert "the latest 2; --limit shows" in more


async def test_nothing_that_failed_is_said_to_be_nothing(environment: dict[str, str]) -> None:
    assert await dead("groups", environment=environment) == (0, "", "no letters wait\n")
    assert await dead("list", "--kind", "user.create", environment=environment) == (0, "", "no letters\n")
    assert await dead("retry", "--all", "--yes", environment=environment) == (0, "", "no letters\n")
    code, _, told = await dead("list", "--group", "12345678", environment=environment)
    assert code == 1
    assert "no letter of a group 12345678 waits; see `python -m worker dead groups`" in told


async def test_many_are_replayed_once_the_count_is_confirmed(
    failed: list[Receipt[UserView]], producer: Producer, environment: dict[str, str]
) -> None:
    code, told, asked = await dead(
        "retry", "--code", "unique_violation", environment=environment, stdin="n\n"
    )
    assert (code, told) == (1, "")
    assert "replay 3 commands? [y/N]" in asked
    assert await producer.redis.zcard(producer.keys.queue) == 0

    code, told, _ = await dead("retry", "--kind", "user.create", environment=environment, stdin="y\n")
    assert (code, told.splitlines()) == (0, [f"{receipt.command_id}  retrying" for receipt in failed])
    assert await producer.redis.zcard(producer.keys.queue) == 3
    _, told, problem = await dead("groups", environment=environment)
    assert (told, "some are being retried" in problem) == ("", True)


async def test_one_that_fails_does_not_stop_the_others_and_the_exit_code_says_so(
    failed: list[Receipt[UserView]], environment: dict[str, str]
) -> None:
    ids = [str(failed[0].command_id), str(uuid4()), str(failed[1].command_id)]
    code, told, problem = await dead("drop", *ids, environment=environment)
    assert (code, told.splitlines()) == (1, [f"{ids[0]}  dropped", f"{ids[2]}  dropped"])
    assert f"there is no dead letter of command {ids[1]}" in problem

    code, told, _ = await dead("retry", *ids, "--json", environment=environment)
    assert code == 1
    said = [json.loads(line) for line in told.splitlines()]
    assert [(one["state"], one["code"]) for one in said] == [
        ("failed", "cannot_replay"),
        ("failed", "no_such_letter"),
        ("failed", "cannot_replay"),
    ]


async def test_all_of_a_group_are_dropped(
    failed: list[Receipt[UserView]], environment: dict[str, str]
) -> None:
    [found] = [
        json.loads(one) for one in (await dead("groups", "--json", environment=environment))[1].splitlines()
    ]
    code, told, _ = await dead("drop", "--group", found["group"], "--yes", environment=environment)
    assert (code, len(told.splitlines())) == (0, len(failed))
    assert (await dead("groups", environment=environment))[2] == "no letters wait\n"


async def test_where_redis_is_away_the_others_are_not_tried(
    failed: list[Receipt[UserView]], environment: dict[str, str]
) -> None:
    away = environment | {"REDIS_URL": NOBODY, "QUEUE_REDIS_RETRIES": "0"}
    code, told, problem = await dead("retry", "--all", "--yes", environment=away)
    assert (code, told) == (1, "")
    assert f"command {failed[0].command_id} was not sent and stays `retrying`" in problem
    assert "Redis takes none now: the last 2 were not tried" in problem
    states = [
        json.loads(line)["state"] for line in (await dead("list", "--json", environment=away))[1].splitlines()
    ]
    assert sorted(states) == ["rejected", "rejected", "retrying"]


@pytest.mark.parametrize(
    "arguments",
    [(), (str(UUID(int=1)), "--all"), ("--all", "--kind", "user.create")],
    ids=["nothing", "ids and all", "all and a kind"],
)
async def test_letters_are_named_or_chosen_and_never_both(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    for verb in ("retry", "drop"):
        code, _, told = await dead(verb, *arguments, environment=environment)
        assert code == 2
        assert "--all" in told
    code, _, told = await dead("retry", "--all", "--set", "age=1", environment=environment)
    assert (code, "mend one command at a time" in told) == (2, True)


def editor(folder: Path, *edits: tuple[str, str]) -> dict[str, str]:
    """An $EDITOR that replaces a text each time it is opened: the first edit, then the second."""
    script = folder / "editor.py"
    script.write_text(
        "import pathlib, sys\n"
        f"edits, count = {list(edits)!r}, pathlib.Path({str(folder / 'count')!r})\n"
        "done = len(count.read_text()) if count.exists() else 0\n"
        "count.write_text('.' * (done + 1))\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "if done < len(edits): file.write_text(file.read_text().replace(*edits[done]))\n"
    )
    return {"EDITOR": f"{sys.executable} {script}", "VISUAL": ""}


async def test_a_payload_is_mended_in_an_editor_and_replayed(
    failed: list[Receipt[UserView]], environment: dict[str, str], tmp_path: Path
) -> None:
    typing = environment | editor(tmp_path, ('"username": "ada"', '"username": "bob"'))
    code, told, _ = await dead("edit", str(failed[0].command_id), environment=typing)
    assert (code, told) == (0, f"{failed[0].command_id}  retrying\n")
    await burst(environment)
    bob = await failed[0].result(1)
    assert (bob.username, bob.age) == ("bob", 1)


@pytest.mark.usefixtures("failed")
async def test_a_secret_is_not_shown_in_the_editor_and_stays_as_it_is(
    producer: Producer, environment: dict[str, str], tmp_path: Path
) -> None:
    pair = Atomic([CreateUser(username="kurt", hashed_password="$argon2id$x"), CreateUser(username="ada")])
    rejected = await producer.send(pair)
    await burst(environment)
    seen = tmp_path / "seen"
    typing = environment | editor(tmp_path, ('"ada"', '"carl"'))
    typing["EDITOR"] = f"sh -c 'cp $0 {seen} && {typing['EDITOR']} $0'"
    code, _, said = await dead("edit", str(rejected.command_id), environment=typing)
    assert (code, "argon2" in said + seen.read_text()) == (0, False)
    body = await producer.redis.get(producer.keys.job(rejected.command_id, 1))
    assert b'"hashed_password":"$argon2id$x"' in body.replace(b"\\", b"")


async def test_an_edit_that_is_not_valid_is_told_and_may_be_mended(
    failed: list[Receipt[UserView]], producer: Producer, environment: dict[str, str], tmp_path: Path
) -> None:
    edits = ('"age": 1', '"age": 1000'), ('"age": 1000', '"age": 10,'), ('"ada"', '"carl"')
    typing = environment | editor(tmp_path, *edits)
    code, told, problem = await dead("edit", str(failed[0].command_id), environment=typing, stdin="y\nn\n")
    assert (code, told) == (1, "")
    assert "age: Input should be less than or equal to 150" in problem
    assert "the payload: not JSON" in problem
    assert await producer.redis.zcard(producer.keys.queue) == 0


async def test_an_edit_that_changes_nothing_sends_nothing(
    failed: list[Receipt[UserView]], producer: Producer, environment: dict[str, str], tmp_path: Path
) -> None:
    for edits in ((), ((": ", ":  "),)):
        (tmp_path / "count").unlink(missing_ok=True)
        typing = environment | editor(tmp_path, *edits)
        code, told, said = await dead("edit", str(failed[0].command_id), environment=typing)
        assert (code, told, said.splitlines()[1:]) == (0, "", ["nothing was changed, and nothing is sent"])
        assert '"letter.revealed"' in said
    assert await producer.redis.zcard(producer.keys.queue) == 0


async def test_an_editor_that_is_not_there_and_a_letter_that_is_not_there_are_told(
    failed: list[Receipt[UserView]], environment: dict[str, str]
) -> None:
    code, _, told = await dead("edit", str(uuid4()), environment=environment)
    assert (code, "there is no dead letter" in told) == (1, True)
    missing = environment | {"EDITOR": "/nowhere/editor", "VISUAL": ""}
    code, _, told = await dead("edit", str(failed[0].command_id), environment=missing)
    assert code == 1
    assert "/nowhere/editor" in told


async def test_a_letter_is_shown_with_its_payload_and_traceback(
    failed: list[Receipt[UserView]], environment: dict[str, str]
) -> None:
    code, told, _ = await dead("show", str(failed[1].command_id), environment=environment)
    assert code == 0
    assert '"age": "hidden"' in told
    assert "place        handlers/" in told
    assert told.splitlines()[-1].startswith("UniqueViolationError")
