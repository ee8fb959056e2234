"""The async fundamentals project: users with an age, posts, views, raw SQL, and everything async."""

import ast
import inspect
from pathlib import Path

import pytest
from sqlalchemy.sql.elements import TextClause

import worker.handlers.user
from producers import F
from producers.commands import (
    CountUsers,
    CreatePost,
    CreateUser,
    DeleteUser,
    GetUser,
    ListPosts,
    UpdateUser,
    UserView,
)
from tests.vocabulary.conftest import Run
from worker.database import create_engine
from worker.handlers.user import count_users
from worker.settings import WorkerOptions

pytestmark = pytest.mark.databases

ROOT = Path(__file__).parents[2]


async def test_a_user_with_name_and_age(run: Run) -> None:
    user = await run(CreateUser(name="Ada", age=36))
    assert (user.name, user.age) == ("Ada", 36)


async def test_update_the_age(run: Run) -> None:
    ada = await run(CreateUser(name="Ada", age=36))
    updated = await run(UpdateUser(id=ada.id, age=37))
    assert updated is not None
    assert (updated.age, updated.name) == (37, "Ada")


async def test_posts_for_a_user(run: Run) -> None:
    ada = await run(CreateUser(name="Ada"))
    await run(CreatePost(title="Notes", content="on the engine", user_id=ada.id))
    page = await run(ListPosts(where=F.author.id == ada.id, include=["author"]))
    [post] = page.items
    assert (post.title, post.author and post.author.name) == ("Notes", "Ada")


async def test_pydantic_views(run: Run) -> None:
    ada = await run(CreateUser(name="Ada", hashed_password="$argon2id$x"))
    assert isinstance(ada, UserView)
    assert "hashed_password" not in ada.model_dump()
    assert ada.created_at.utcoffset() is not None


async def test_a_raw_text_count_beside_the_orm(run: Run) -> None:
    await run(CreateUser(name="Ada", age=36))
    await run(CreateUser(name="Bob"))
    assert await run(CountUsers()) == 2
    assert await run(CountUsers(where=F.age == 36)) == 1
    assert isinstance(worker.handlers.user.ALL_USERS, TextClause)
    assert "ALL_USERS" in inspect.getsource(count_users)


def test_echo_by_a_setting(database_url: str) -> None:
    quiet = WorkerOptions(database_url=database_url)
    statements = quiet.model_copy(update={"echo": "statements"})
    values = quiet.model_copy(update={"echo": "values"})
    engines = [create_engine(options).sync_engine for options in (quiet, statements, values)]
    assert [bool(engine.echo) for engine in engines] == [False, True, True]
    assert [engine.hide_parameters for engine in engines] == [True, True, False]


async def test_delete_a_user(run: Run) -> None:
    ada = await run(CreateUser(name="Ada"))
    assert await run(DeleteUser(id=ada.id))
    assert await run(GetUser(id=ada.id)) is None


def test_no_synchronous_engine_anywhere() -> None:
    """The step-by-step demo has tests of its own: tests/integration/test_demo.py."""
    made = {
        f"{path.name}: {name.name}"
        for path in [*(ROOT / "worker").rglob("*.py"), *(ROOT / "producers").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for name in node.names
        if name.name in {"create_engine", "Session", "sessionmaker", "scoped_session"}
    }
    assert made == set()
