"""What `alembic revision --autogenerate` writes names column types as the models do."""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import DefaultClause, Integer

from worker.migrate import rendered
from worker.types import Time, string, text, utcnow, uuid


@pytest.mark.parametrize(
    ("kind", "item", "written"),
    [
        ("type", Time(), "Time()"),
        ("type", uuid(), "uuid()"),
        ("type", string(20), "string(20)"),
        ("type", text(), "text()"),
        ("server_default", DefaultClause(utcnow()), "utcnow()"),
    ],
    ids=["time", "uuid", "string", "text", "utcnow"],
)
def test_a_type_of_ours_is_written_as_in_a_model(kind: str, item: Any, written: str) -> None:
    context = SimpleNamespace(imports=set())
    assert rendered(kind, item, context) == written
    assert context.imports == {f"from worker.types import {written.partition('(')[0]}"}


def test_other_types_are_left_to_alembic() -> None:
    context = SimpleNamespace(imports=set())
    assert rendered("type", Integer(), context) is False
    assert rendered("column", None, context) is False
    assert context.imports == set()
