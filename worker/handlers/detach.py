"""Detaching: what a user has no longer is an orphan, and goes. It is the relationships' work."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from producers.commands import KeptPost
from producers.errors import CommandRejected

from ..models import Post, Profile, User


async def replace_profile(session: AsyncSession, user_id: UUID, profile: Profile | None) -> User:
    """Give a user another profile, or none; the one it had is deleted."""
    user = await session.get_one(User, user_id, options=[selectinload(User.profile)], populate_existing=True)
    user.profile = None
    await session.flush()  # a session inserts before it deletes, and a user has one profile at a time
    user.profile = profile
    await session.flush()
    return user


async def replace_posts(
    session: AsyncSession, named: ColumnElement[bool], wanted: Sequence[KeptPost]
) -> User | None:
    """Give the user who is `named` the wanted posts, in their order; those there were besides are deleted."""
    # Whoever changes the same user's posts waits here, so that none is kept and deleted at once.
    found = select(User).where(named).options(selectinload(User.posts)).with_for_update()
    user = await session.scalar(found, execution_options={"populate_existing": True})
    if user is None:
        return None
    there = {post.id: post for post in user.posts}
    await _refuse_others(session, wanted, there)
    user.posts = [
        _kept(there[post.id], post) if post.id in there else _created(place, post)
        for place, post in enumerate(wanted)
    ]
    await session.flush()
    return user


def _kept(post: Post, wanted: KeptPost) -> Post:
    changes = {name: getattr(wanted, name) for name in ("title", "content")}
    changes = {name: value for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        setattr(post, name, value)
    if changes:
        post.version = Post.version + 1
    return post


def _created(place: int, wanted: KeptPost) -> Post:
    if wanted.title is None:
        message = "this user has no post with this id, and a new one needs a title"
        raise CommandRejected(message, code="missing", field=f"posts.{place}.title")
    return Post(id=wanted.id, title=wanted.title, content=wanted.content or "")


async def _refuse_others(
    session: AsyncSession, wanted: Sequence[KeptPost], there: Mapping[UUID, Post]
) -> None:
    """Reject posts of other users: to take a post from its author is another command's business."""
    news = [post.id for post in wanted if post.id not in there]
    taken = set(await session.scalars(select(Post.id).where(Post.id.in_(news)))) if news else set()
    for place, post in enumerate(wanted):
        if post.id in taken:
            message = "this post belongs to another user"
            raise CommandRejected(message, code="other_author", field=f"posts.{place}.id")
