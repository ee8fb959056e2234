"""The FastAPI notes: engine, models, CRUD. The service is examples/service.py, with tests of its own."""

import pytest

from producers import CommandRejected, hash_password
from producers.commands import (
    CountUsers,
    CreatePost,
    CreateUser,
    DeleteUser,
    GetPost,
    GetUser,
    ListUsers,
    UpdateUser,
)
from tests.vocabulary.conftest import Run
from worker.database import create_engine
from worker.settings import WorkerOptions

pytestmark = pytest.mark.databases


def test_the_engine_comes_from_settings(database_url: str) -> None:
    engine = create_engine(WorkerOptions(database_url=database_url, pool_pre_ping=True, echo="statements"))
    assert engine.pool._pre_ping
    assert engine.echo


async def test_hashed_password_is_active_and_created_at(run: Run) -> None:
    user = await run(CreateUser(username="ada", hashed_password=await hash_password("secret")))
    assert user.is_active
    assert user.created_at.utcoffset() is not None
    assert "secret" not in repr(user)


async def test_the_author_of_a_post(run: Run) -> None:
    ada = await run(CreateUser(username="ada"))
    written = await run(CreatePost(title="Notes", user_id=ada.id))
    post = await run(GetPost(id=written.id, include=["author"]))
    assert post is not None
    assert post.author is not None
    assert post.author.username == "ada"


async def test_a_list_with_skip_and_limit(run: Run) -> None:
    for number in range(5):
        await run(CreateUser(username=f"user-{number}"))
    page = await run(ListUsers(order_by="username", offset=1, limit=2))
    assert [user.username for user in page.items] == ["user-1", "user-2"]
    assert ListUsers().limit == 100


async def test_create_with_flush_and_refresh(run: Run) -> None:
    """What the database made is in the result: times and version."""
    user = await run(CreateUser(username="ada"))
    assert (user.version, user.created_at) == (1, user.updated_at)


async def test_update_with_only_what_was_set(run: Run) -> None:
    ada = await run(CreateUser(username="ada", email="ada@example.com", age=36))
    updated = await run(UpdateUser(id=ada.id, email=None))
    assert updated is not None
    assert (updated.email, updated.username, updated.age) == (None, "ada", 36)


async def test_delete_says_whether_there_was_a_row(run: Run) -> None:
    ada = await run(CreateUser(username="ada"))
    assert [await run(DeleteUser(id=ada.id)), await run(DeleteUser(id=ada.id))] == [True, False]


async def test_commit_and_rollback_in_one_place(run: Run) -> None:
    """The place is worker/transaction.py; tests/guarantees/test_session_per_job.py holds it."""
    await run(CreateUser(username="ada"))
    with pytest.raises(CommandRejected, match="username"):
        await run(CreateUser(username="ada"))
    assert await run(CountUsers()) == 1
    assert await run(GetUser(username="ada")) is not None
