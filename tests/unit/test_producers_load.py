import asyncio
from pathlib import Path

import pytest

from producers.wire import Answer, Ending
from tests.unit.command_line import CommandLine

TAKEN = {"code": "unique_violation", "field": "username", "message": "taken", "rows": [1]}


def imported(written: int, **others: object) -> Answer:
    """Answer as the worker does."""
    return Answer(Ending.APPLIED, {"written": written, "duplicates": [], "rejected": [], **others})


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
    [sent] = asyncio.run(line.sent())
    assert (sent.kind, len(sent.payload["rows"])) == ("user.import_many", 3)


def test_a_second_load_hears_from_the_worker_what_was_there(line: CommandLine, users: Path) -> None:
    line.run("load", str(users), "--as", "user.create")
    assert line.run("load", str(users), "--as", "user.create") == 0
    assert (line.result["accepted"], line.result["duplicate"]) == (3, 0)
    line.answers = [imported(3), imported(0, duplicates=[0, 1, 2])]
    for counts in (3, 0), (0, 3):
        assert line.run("load", str(users), "--as", "user.create", "--wait") == 0
        assert (line.result["accepted"], line.result["duplicate"]) == counts


@pytest.mark.parametrize(
    ("answer", "exit_code", "counts"),
    [
        (imported(3), 0, (3, 0, 0)),
        (imported(1, duplicates=[2], rejected=[TAKEN]), 3, (2, 1, 0)),
        (Answer(Ending.DEAD, error={"code": "dead", "message": "given up"}), 4, (0, 0, 3)),
    ],
)
def test_the_exit_code_tells_whether_all_were_applied(
    line: CommandLine, users: Path, answer: Answer, exit_code: int, counts: tuple[int, int, int]
) -> None:
    line.answers = [answer]
    assert line.run("load", str(users), "--as", "user.create", "--wait") == exit_code
    assert (line.result["applied"], line.result["rejected"], line.result["dead"]) == counts
    if exit_code == 3:
        assert (line.result["accepted"], line.result["duplicate"]) == (2, 1)
        assert f"{users} line 3: rejected: taken" in line.err
        rejects = users.with_name("users.rejected.csv")
        assert f"{rejects}: the rows that came to nothing" in line.err
        assert rejects.read_text() == "username,age,_error\nbob,,taken\n"


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
    assert (len(listed), listed[20]) == (23, "and 3 more")
    assert listed[21].startswith(f"{users.with_name('users.rejected.csv')}: the rows")


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
        (["{users}", "--as", "user.create", "--map", "age"], "--map"),
        (["{users}", "--as", "user.create", "--map", "age=ag"], "did you mean 'age'"),
        (["{users}", "--as", "user.create", "--map", "login=username"], "no column 'login'"),
        (["{users}", "--as", "user.create", "--map", "age=username"], "are both the field 'username'"),
        (["{users}", "--as", "user.create", "--by", "username"], "--by"),
        (["{users}", "--as", "user.upsert", "--by", "name"], "--by"),
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


def test_a_column_may_be_mapped_to_a_field_or_left_out(line: CommandLine, users: Path) -> None:
    users.write_text("login,years,shoe\nada,36,38\n")
    options = ["--map", "login=username", "--map", "years=age", "--map", "shoe="]
    assert line.run("load", str(users), "--as", "user.create", *options) == 0
    [sent] = asyncio.run(line.sent())
    [row] = sent.payload["rows"]
    assert (row["username"], row["age"], len(row)) == ("ada", 36, 3)


def test_an_upsert_finds_its_rows_by_a_field(line: CommandLine, users: Path) -> None:
    users.write_text("username,email\nada,ada@example.com\n")
    assert line.run("load", str(users), "--as", "user.upsert") == 2
    assert "say which field finds the row" in line.err
    assert line.run("load", str(users), "--as", "user.upsert", "--by", "email") == 0
    [sent] = asyncio.run(line.sent())
    assert sent.payload["by"] == "email"
    assert "by" not in sent.payload["rows"][0]


def test_a_dry_run_reads_everything_and_sends_nothing(line: CommandLine, users: Path) -> None:
    users.write_text("username,age\nada,36\nbob,x\neve,7\nzoe,y\n")
    assert line.run("load", str(users), "--as", "user.create", "--dry-run") == 2
    assert (line.result["rows"], line.result["bad"], line.result["accepted"]) == (4, 2, 0)
    assert f"{users} line 5: bad: age: " in line.err
    assert line.err.endswith("nothing was sent\n")
    assert line.run("load", str(users), "--as", "user.create", "--dry-run", "--on-error", "skip") == 0
    assert asyncio.run(line.sent()) == []
    assert [path.name for path in users.parent.iterdir()] == ["users.csv"]
