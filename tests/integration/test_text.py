"""Any text comes back from the database as it was sent, or is refused before it is sent."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from producers import F
from producers.commands import CreatePost, CreateUser, GetPost, ListPosts
from worker.handlers.post import create_post, get_post, list_posts
from worker.handlers.user import create_user

pytestmark = pytest.mark.databases

ANY = st.text(st.characters(), max_size=200)  # surrogates and NUL among them

odd = [
    "",
    " a ",
    "'",
    '"; DROP TABLE posts; --',
    "\\",
    "\\'",
    "%_\\%\\_",
    "%s %(x)s :x {x} $1 ?",
    "😀\u200d👩\u0301",
    "\u202e\u2028\ufeff\uffff",
    "\r\n\t\x7f\x01",
    "x" * 10_000,
    "é" * 10_000,
    "\0",
    "a\0b",
    "\ud83d",
    "\udc00\ud83d",
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=ANY)
async def test_random_text_comes_back_or_is_refused(session: AsyncSession, content: str) -> None:
    await comes_back_or_is_refused(session, content)


@pytest.mark.parametrize("content", odd, ids=lambda text: ascii(text)[:20])
async def test_odd_text_comes_back_or_is_refused(session: AsyncSession, content: str) -> None:
    await comes_back_or_is_refused(session, content)


async def comes_back_or_is_refused(session: AsyncSession, content: str) -> None:
    """Send it as the content of a post; find it there, and by conditions on it."""
    author = CreateUser(id=uuid4(), name="Ada")
    if "\0" in content or any("\ud800" <= character <= "\udfff" for character in content):
        with pytest.raises(ValidationError, match=r"must not contain|valid string"):
            CreatePost(title="x", content=content, user_id=author.id)
        with pytest.raises(ValidationError, match=r"must not contain|valid string"):
            ListPosts(where=F.content == content)
        return
    sent = CreatePost(id=uuid4(), title="x", content=content, user_id=author.id)
    command = CreatePost.model_validate_json(sent.model_dump_json())
    assert command == sent
    await create_user(session, author)
    await create_post(session, command)
    found = await get_post(session, GetPost(id=sent.id))
    assert found is not None
    assert found.content == content
    mine = F.user_id == author.id
    same = [F.content == content, F.content.contains(content), F.content.startswith(content)]
    for where in [*same, F.content.endswith(content[-5:]), ~(F.content != content)]:
        page = await list_posts(session, ListPosts(where=mine & where))
        assert [post.id for post in page.items] == [sent.id]
    longer = await list_posts(session, ListPosts(where=mine & (F.content == content + " ")))
    assert longer.items == ()
