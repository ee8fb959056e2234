import pytest

from producers import errors
from producers.__main__ import EXIT_CODES, main, producers
from producers.errors import CommandError, Unsent


def test_every_error_has_an_exit_code() -> None:
    raised = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, CommandError) and value not in {CommandError, Unsent}
    }
    assert set(EXIT_CODES) == raised


def test_every_option_says_what_it_is_for() -> None:
    for command in (producers, *producers.commands.values()):
        assert command.help
        assert all(param.help for param in command.params if param.param_type_name == "option")


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["load", "--help"]])
def test_help_is_no_mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: ")


def test_a_wrong_setting_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--redis-url", "redis://:hunter2@localhost:port", "send", "user.count"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("invalid_settings: REDIS_URL: ")
    assert told.count("\n") == 1
    assert "hunter2" not in told


def test_an_interruption_has_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("producers.cli.caller.Caller.producer", interrupted)
    assert main(["send", "user.count"]) == 130
    assert "Traceback" not in capsys.readouterr().err
