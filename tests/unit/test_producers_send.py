import asyncio
from pathlib import Path
from typing import Any

import pytest

import producers.commands
from producers.commands import Registry
from producers.wire import Answer, Ending, Envelope
from tests.unit.command_line import CommandLine

ADA = "01890000-0000-7000-8000-000000000001"


def sent(line: CommandLine) -> list[Envelope]:
    """Give what waits in the queue."""
    return asyncio.run(line.sent())


def payload(line: CommandLine) -> dict[str, Any]:
    """Give the payload of the only command that was sent, without the id that was made up."""
    [envelope] = sent(line)
    return {name: value for name, value in envelope.payload.items() if name != "id"}


def test_what_was_accepted_is_printed(line: CommandLine) -> None:
    assert line.run("send", "user.create", "--username", "ada", "--age", "36") == 0
    [envelope] = sent(line)
    assert line.result == {"command_id": str(envelope.id), "status": "accepted"}
    assert payload(line) == {"username": "ada", "age": 36}
    assert line.out.count("\n") == 1
    assert line.err == ""


def test_the_same_command_id_is_a_duplicate(line: CommandLine) -> None:
    for status in "accepted", "duplicate":
        assert line.run("send", "user.create", "--username", "ada", "--command-id", "one") == 0
        assert line.result["status"] == status


def test_the_same_command_id_for_another_command_is_a_conflict(line: CommandLine) -> None:
    line.run("send", "user.create", "--username", "ada", "--command-id", "one")
    assert line.run("send", "user.create", "--username", "bob", "--command-id", "one") == 3
    assert line.err.startswith("conflict: ")
    assert line.out == ""


@pytest.mark.parametrize("text", ["-", '{"username": "bob", "age": 36}'])
def test_options_go_over_the_json(line: CommandLine, text: str) -> None:
    stdin = b'\xef\xbb\xbf{"username": "bob", "age": 36}'
    assert line.run("send", "user.create", "--username", "ada", text, stdin=stdin) == 0
    assert payload(line) == {"username": "ada", "age": 36}


def test_nested_values_are_json(line: CommandLine) -> None:
    posts = ["--posts", '{"title": "x"}', "--posts", '[{"title": "y"}]']
    assert line.run("send", "user.create", "--name", "Ada", *posts, "--profile", '{"bio": "b"}') == 0
    assert [post["title"] for post in payload(line)["posts"]] == ["x", "y"]
    assert payload(line)["profile"]["bio"] == "b"


def test_a_list_of_words_is_one_word_after_the_other(line: CommandLine) -> None:
    order = ["--order_by", "-created_at", "--order-by", "name"]
    assert line.run("send", "user.list", *order, "--include", "posts", "--limit", "5") == 0
    assert payload(line) == {"order_by": ["-created_at", "name"], "include": ["posts"], "limit": 5}


def test_null_is_set_explicitly(line: CommandLine) -> None:
    assert line.run("send", "user.update", "--id", ADA, "--null", "email", "--null", "hashed-password") == 0
    [envelope] = sent(line)
    assert envelope.payload == {"id": ADA, "email": None, "hashed_password": None}


def test_an_atomic_is_always_there(line: CommandLine) -> None:
    commands = '[{"kind": "user.create", "payload": {"name": "Ada"}}, {"kind": "user.count", "payload": {}}]'
    assert line.run("send", "atomic", "--commands", commands) == 0
    assert [command["kind"] for command in payload(line)["commands"]] == ["user.create", "user.count"]


def test_it_may_be_sent_for_later(line: CommandLine) -> None:
    assert line.run("send", "user.count", "--delay", "60", "--deadline", "90.5") == 0
    assert len(sent(line)) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["user.creat", "--username", "ada"], "did you mean 'user.create'"),
        (["user.create", "--usernam", "ada"], "--username"),
        (["user.create", '{"usernam": "ada"}'], "did you mean 'username'"),
        (["user.create", "--name", "Ada", "--null", "usernam"], "did you mean 'username'"),
        (["user.create", "--name", "Ada", "--age", "x"], "age: "),
        (["user.create", "--name", "Ada", "--age"], "--age"),
        (["user.create", "--username", "u" * 51], "username: "),
        (["user.create", "--email", "ada"], "email: "),
        (["user.create", "--name", "a\ud800"], "name: "),
        (["user.create", '{"name": "a\\u0000"}'], "NUL"),
        (["user.create", "{"], "broken JSON at line 1 column 2"),
        (["user.create", "[]"], "not an object"),
        (["user.create", "--name", "Ada", "--posts", "[{"], "posts: broken JSON"),
        (["user.create", "--name", "Ada", "--posts", '{"titel": "x"}'], "posts.0.titel: "),
        (["user.create"], "at least one of username, email and name"),
        (["user.update", "--id", ADA, "--null", "is_active"], "is_active cannot be null"),
        (["user.update", "--id", ADA, "--name", "A", "--null", "name"], "name: give it a value or --null"),
        (["user.count", "--timeout", "5"], "--timeout needs --wait"),
        (["user.count", "--delay", "-1"], "--delay"),
        (["user.count", "{}", "{}"], "unexpected"),
        (["atomic", "--commands", '[{"kind": "user.creat", "payload": {}}]'], "did you mean 'user.create'"),
        ([], "KIND"),
    ],
)
def test_a_mistake_is_explained(line: CommandLine, arguments: list[str], reason: str) -> None:
    assert line.run("send", *arguments) == 2
    assert reason in line.err
    assert line.out == ""
    assert sent(line) == []


def test_what_is_not_text_on_stdin_is_explained(line: CommandLine) -> None:
    assert line.run("send", "user.create", "-", stdin=b"\xff\xfe") == 2
    assert "not UTF-8" in line.err


def test_a_wrong_value_is_not_repeated(line: CommandLine) -> None:
    assert line.run("send", "user.create", "--name", "Ada", "--hashed-password", "hunter2") == 2
    assert "hunter2" not in line.err


def test_a_command_that_is_too_large_is_a_mistake(line: CommandLine) -> None:
    content = '{"content": "%s"}' % ("x" * 300_000)
    assert line.run("send", "post.create", "--title", "x", "--user-id", ADA, "-", stdin=content) == 2
    assert "QUEUE_PAYLOAD_LIMIT" in line.err


def test_a_result_is_waited_for(line: CommandLine) -> None:
    line.answers = [Answer(Ending.ANSWERED, 7)]
    assert line.run("send", "user.count", "--wait") == 0
    assert line.result == 7


def test_a_view_is_printed_as_json(line: CommandLine) -> None:
    view = {"id": ADA, "bio": "Ünï", "user_id": ADA, "user": None}
    line.answers = [Answer(Ending.APPLIED, view)]
    assert line.run("send", "profile.create", "--user-id", ADA, "--wait") == 0
    assert line.result == view
    assert "Ünï" in line.out


def test_the_results_of_an_atomic_are_printed(line: CommandLine) -> None:
    view = {"id": ADA, "bio": None, "user_id": ADA, "user": None}
    line.answers = [Answer(Ending.APPLIED, [view, True])]
    commands = [
        f'{{"kind": "profile.create", "payload": {{"user_id": "{ADA}"}}}}',
        f'{{"kind": "user.delete", "payload": {{"id": "{ADA}"}}}}',
    ]
    assert line.run("send", "atomic", "--commands", f"[{', '.join(commands)}]", "--wait") == 0
    assert line.result == [view, True]


def test_the_summary_of_a_result_too_large_to_keep_is_printed(line: CommandLine) -> None:
    error = {"code": "result_expired", "message": "too large to keep", "summary": {"count": 1000}}
    line.answers = [Answer(Ending.APPLIED, error=error)]
    assert line.run("send", "user.list", "--wait") == 0
    assert line.result == {"count": 1000}
    assert "too large to keep" in line.err


@pytest.mark.parametrize(
    ("ending", "code", "exit_code"),
    [
        (Ending.REJECTED, "unique", 3),
        (Ending.REJECTED, "conflict", 3),
        (Ending.EXPIRED, "expired", 3),
        (Ending.DEAD, "timeout", 4),
        (Ending.DEAD, "parked", 4),
        (Ending.APPLIED, "result_expired", 5),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    line: CommandLine, ending: Ending, code: str, exit_code: int
) -> None:
    line.answers = [Answer(ending, error={"code": code, "message": "so it is", "field": "username"})]
    assert line.run("send", "user.create", "--username", "ada", "--wait") == exit_code
    assert line.err.startswith(f"{code}: so it is")
    assert line.out == ""


def test_a_timeout_has_an_exit_code(line: CommandLine) -> None:
    assert line.run("send", "user.count", "--wait", "--timeout", "0") == 5
    assert line.err.startswith("timeout: ")


def test_a_redis_that_is_away_has_an_exit_code(line: CommandLine) -> None:
    line.server.connected = False
    assert line.run("send", "user.count") == 6
    assert line.err.startswith("queue_unavailable: ")


def test_a_full_queue_has_an_exit_code(line: CommandLine) -> None:
    line.max = 1
    assert line.run("send", "user.count") == 0
    assert line.run("send", "user.count") == 6
    assert line.err.startswith("queue_full: ")


@pytest.mark.parametrize("kind", sorted(Registry.of(producers.commands)))
def test_the_help_of_a_kind_lists_its_fields(line: CommandLine, kind: str) -> None:
    assert line.run("send", kind, "--help") == 0
    command = Registry.of(producers.commands)[kind]
    for name in command.model_fields:
        assert f"--{name.replace('_', '-')} " in line.out
    assert "--wait" in line.out


def test_the_help_of_send_lists_the_kinds(line: CommandLine) -> None:
    assert line.run("send", "--help") == 0
    assert all(f" {kind} " in line.out for kind in Registry.of(producers.commands))


THEIRS = '''
from typing import ClassVar
from producers import Command

class CreateInvoice(Command[int]):
    """Create an invoice."""

    kind: ClassVar[str] = "invoice.create"

    number: int
    timeout: float = 0
    field_of_work: str = ""
'''


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with commands in the working directory."""
    (tmp_path / "their_commands.py").write_text(THEIRS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "their_commands"


def test_commands_may_be_the_callers(line: CommandLine, theirs: str) -> None:
    assert line.run("--commands", theirs, "send", "invoice.create", "--number", "17") == 0
    assert payload(line) == {"number": 17}
    assert line.run("--commands", theirs, "send", "atomic", "--help") == 0
    assert line.run("--commands", theirs, "send", "user.create", "--help") == 2


def test_the_environment_may_name_them(
    line: CommandLine, theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODUCER_COMMANDS", theirs)
    assert line.run("send", "invoice.create", '{"number": 17, "timeout": 2}') == 0
    assert payload(line) == {"number": 17, "timeout": 2}


def test_a_field_called_like_an_option_is_given_in_json(line: CommandLine, theirs: str) -> None:
    assert line.run("--commands", theirs, "send", "invoice.create", "--help") == 0
    assert "In JSON only, as an option has this name: timeout." in line.out


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere.at_all", "ModuleNotFoundError"), ("json", "no commands"), ("", "--commands")],
)
def test_a_module_without_commands_is_explained(line: CommandLine, name: str, reason: str) -> None:
    assert line.run("--commands", name, "send", "user.count") == 2
    assert reason in line.err
