import asyncio
from pathlib import Path

import pytest

from producers.wire import Answer, Ending
from tests.unit.command_line import CommandLine

APPLIED = Answer(Ending.APPLIED, None)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A CSV of three users."""
    path = tmp_path / "users.csv"
    path.write_text("username,age\nada,36\nbob,\neve,7\n")
    return path


def test_the_counts_are_printed(line: CommandLine, users: Path) -> None:
    assert line.run("load", str(users), "--as", "user.create") == 0
    assert line.result == {"rows": 3, "bad": 0, "accepted": 3, "duplicate": 0, "rejected": 0}
    assert line.out.count("\n") == 1
    assert line.err.startswith(f"{users}: 3 rows in ")
    assert line.err.count("\n") == 1
    assert len(asyncio.run(line.sent())) == 3


def test_a_second_load_adds_nothing(line: CommandLine, users: Path) -> None:
    line.run("load", str(users), "--as", "user.create")
    assert line.run("load", str(users), "--as", "user.create") == 0
    assert (line.result["accepted"], line.result["duplicate"]) == (0, 3)


@pytest.mark.parametrize(
    ("answers", "exit_code", "counts"),
    [
        ([APPLIED] * 3, 0, (3, 0, 0)),
        (
            [APPLIED, Answer(Ending.REJECTED, error={"code": "unique", "message": "taken"}), APPLIED],
            3,
            (2, 1, 0),
        ),
        (
            [Answer(Ending.DEAD, error={"code": "dead", "message": "given up"}), APPLIED, APPLIED],
            4,
            (2, 0, 1),
        ),
    ],
)
def test_the_exit_code_tells_whether_all_were_applied(
    line: CommandLine, users: Path, answers: list[Answer], exit_code: int, counts: tuple[int, int, int]
) -> None:
    line.answers = list(answers)
    assert line.run("load", str(users), "--as", "user.create", "--wait") == exit_code
    assert (line.result["applied"], line.result["rejected"], line.result["dead"]) == counts
    if exit_code == 3:
        assert f"{users} line 3: rejected: taken" in line.err


def test_a_bad_row_stops_with_its_line(line: CommandLine, users: Path) -> None:
    users.write_text("username,age\nada,36\nbob,x\n")
    assert line.run("load", str(users), "--as", "user.create") == 2
    stopped, error = line.err.splitlines()
    assert stopped == f"{users}: stopped; 1 rows were sent before. Load it again: only what is new is added"
    assert error.startswith(f"bad_row: {users} line 3: age: ")
    assert line.out == ""


def test_skipped_rows_are_listed_up_to_twenty(line: CommandLine, users: Path) -> None:
    users.write_text("username,age\n" + "ada,x\n" * 23 + "bob,1\n")
    assert line.run("load", str(users), "--as", "user.create", "--on-error", "skip") == 0
    assert (line.result["bad"], line.result["accepted"]) == (23, 1)
    listed = line.err.splitlines()
    assert listed[0].startswith(f"{users} line 2: bad: age: ")
    assert (len(listed), listed[20]) == (22, "and 3 more")


def test_a_key_may_be_named(line: CommandLine, users: Path) -> None:
    users.write_text("legacy,username\n1,ada\n2,bob\n1,eve\n")
    assert line.run("load", str(users), "--as", "user.create", "--key", "legacy") == 3
    assert (line.result["accepted"], line.result["rejected"]) == (2, 1)


def test_json_lines_may_have_any_suffix(line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    path.write_text('{"username": "ada"}\n')
    assert line.run("load", str(path), "--as", "user.create") == 2
    assert "--format" in line.err
    assert line.run("load", str(path), "--as", "user.create", "--format", "jsonl") == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.csv", "--as", "user.create"], "nowhere.csv"),
        (["{users}"], "--as"),
        (["{users}", "--as", "user.creat"], "did you mean 'user.create'"),
        (["{users}", "--as", "post.create"], "field 'username' is unknown"),
        (["{users}", "--as", "user.create", "--key", "legacy"], "no column 'legacy'"),
        (["{users}", "--as", "user.create", "--on-error", "perhaps"], "--on-error"),
    ],
)
def test_a_mistake_is_explained(line: CommandLine, users: Path, arguments: list[str], reason: str) -> None:
    assert line.run("load", *(argument.format(users=users) for argument in arguments)) == 2
    assert reason in line.err
    assert asyncio.run(line.sent()) == []


def test_a_redis_that_is_away_has_an_exit_code(line: CommandLine, users: Path) -> None:
    line.server.connected = False
    assert line.run("load", str(users), "--as", "user.create") == 6
    assert line.err.splitlines()[0] == f"{users}: stopped; nothing was sent"


def test_an_interrupted_load_says_what_was_sent(
    line: CommandLine, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("producers.load.batches.Batches._settle", interrupted)
    assert line.run("load", str(users), "--as", "user.create") == 130
    assert "stopped; 3 rows were sent before" in line.err
    assert "Traceback" not in line.err
