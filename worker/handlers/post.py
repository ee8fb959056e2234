"""How the commands about posts are carried out."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountPosts,
    CreatePost,
    CreatePosts,
    DeletePost,
    DeletePostsWhere,
    FindPost,
    FirstPost,
    GetPost,
    Imported,
    ImportPosts,
    ListPosts,
    NewPostOf,
    OnePost,
    Page,
    PostView,
    UpdatePost,
    UpdatePostsWhere,
    UpsertPost,
    UpsertPosts,
)
from producers.errors import CommandRejected

from ..models import Like, Post
from .bulk import BulkVerbs
from .imports import import_rows

posts = BulkVerbs(Post, PostView)


async def create_post(session: AsyncSession, command: CreatePost) -> PostView:
    """Insert a post."""
    return await posts.create(session, command)


async def create_posts(session: AsyncSession, command: CreatePosts) -> list[PostView | None]:
    """Insert posts."""
    return await posts.create_rows(session, command.rows, command.on_duplicate)


async def import_posts(session: AsyncSession, command: ImportPosts) -> Imported:
    """Insert or change posts, each by itself."""
    liked = await liked_by_authors(session, command.rows) if command.by else []
    refused = dict.fromkeys(liked, liked_by_author("user_id"))
    return await import_rows(posts, session, command.rows, by=command.by, refused=refused)


async def update_post(session: AsyncSession, command: UpdatePost) -> PostView | None:
    """Change a post."""
    await refuse_liker(session, command.id, command.user_id)
    return await posts.update(session, command)


async def upsert_post(session: AsyncSession, command: UpsertPost) -> PostView:
    """Insert or change a post."""
    await refuse_liker(session, command.id, command.user_id)
    return await posts.upsert(session, command)


async def upsert_posts(session: AsyncSession, command: UpsertPosts) -> list[PostView]:
    """Insert or change posts."""
    for place in await liked_by_authors(session, command.rows):
        raise liked_by_author(f"rows.{place}.user_id")
    return await posts.upsert_many(session, command)


async def delete_post(session: AsyncSession, command: DeletePost) -> bool:
    """Delete a post; its likes go along."""
    return await posts.delete(session, command)


async def update_posts_where(session: AsyncSession, command: UpdatePostsWhere) -> int:
    """Change posts."""
    return await posts.update_where(session, command)


async def delete_posts_where(session: AsyncSession, command: DeletePostsWhere) -> int:
    """Delete posts."""
    return await posts.delete_where(session, command)


async def get_post(session: AsyncSession, command: GetPost) -> PostView | None:
    """Read a post."""
    return await posts.get(session, command)


async def list_posts(session: AsyncSession, command: ListPosts) -> Page[PostView]:
    """Read a page of posts."""
    return await posts.page(session, command)


async def one_post(session: AsyncSession, command: OnePost) -> PostView:
    """Read the one post there is."""
    return await posts.one(session, command)


async def find_post(session: AsyncSession, command: FindPost) -> PostView | None:
    """Read the one post there is, if any."""
    return await posts.find(session, command)


async def first_post(session: AsyncSession, command: FirstPost) -> PostView | None:
    """Read the first post in an order."""
    return await posts.first(session, command)


async def count_posts(session: AsyncSession, command: CountPosts) -> int:
    """Count posts."""
    return await posts.count(session, command)


async def refuse_liker(session: AsyncSession, post_id: UUID, author: UUID | None) -> None:
    """Reject an author who likes the post: nobody likes their own."""
    if author is not None and await session.get(Like, (author, post_id)) is not None:
        raise liked_by_author("user_id")


async def liked_by_authors(session: AsyncSession, rows: Sequence[NewPostOf]) -> list[int]:
    """Find the places of posts whose new author likes them."""
    pairs = [(row.user_id, row.id) for row in rows]
    found = select(Like.user_id, Like.post_id).where(tuple_(Like.user_id, Like.post_id).in_(pairs))
    liked = {tuple(row) for row in await session.execute(found)}
    return [place for place, pair in enumerate(pairs) if pair in liked]


def liked_by_author(field: str) -> CommandRejected:
    """Say that nobody likes their own post."""
    return CommandRejected("the new author likes this post", code="own_post", field=field)
