"""How the commands about likes are carried out, with their rule: nobody likes their own post."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountLikes,
    CreateLike,
    CreateLikes,
    DeleteLike,
    DeleteLikesWhere,
    FindLike,
    FirstLike,
    GetLike,
    Imported,
    ImportLikes,
    LikeKey,
    LikeView,
    ListLikes,
    OneLike,
    Page,
    UpsertLike,
    UpsertLikes,
)
from producers.errors import CommandRejected

from ..models import Like, Post
from ..upserts import insert_or_nothing
from .bulk import BulkVerbs
from .imports import import_rows

likes = BulkVerbs(Like, LikeView)


async def create_like(session: AsyncSession, command: CreateLike) -> LikeView:
    """Insert a like."""
    await refuse_own_post(session, [command])
    return await likes.create(session, command)


async def create_likes(session: AsyncSession, command: CreateLikes) -> list[LikeView | None]:
    """Insert likes."""
    await refuse_own_post(session, command.rows)
    return await likes.create_rows(session, command.rows, command.on_duplicate)


async def import_likes(session: AsyncSession, command: ImportLikes) -> Imported:
    """Insert likes, each by itself."""
    own = dict.fromkeys(await own_posts(session, command.rows), own_post("post_id"))
    return await import_rows(likes, session, command.rows, refused=own)


async def upsert_like(session: AsyncSession, command: UpsertLike) -> LikeView:
    """Insert a like that may be there."""
    await refuse_own_post(session, [command])
    await insert_or_nothing(session, likes.table, likes.values(command))
    return LikeView(user_id=command.user_id, post_id=command.post_id)


async def upsert_likes(session: AsyncSession, command: UpsertLikes) -> list[LikeView]:
    """Insert likes that may be there."""
    await refuse_own_post(session, command.rows)
    await likes.create_rows(session, command.rows, "skip")
    return [LikeView(user_id=row.user_id, post_id=row.post_id) for row in command.rows]


async def delete_like(session: AsyncSession, command: DeleteLike) -> bool:
    """Delete a like."""
    return await likes.delete(session, command)


async def delete_likes_where(session: AsyncSession, command: DeleteLikesWhere) -> int:
    """Delete likes."""
    return await likes.delete_where(session, command)


async def get_like(session: AsyncSession, command: GetLike) -> LikeView | None:
    """Read a like."""
    return await likes.get(session, command)


async def list_likes(session: AsyncSession, command: ListLikes) -> Page[LikeView]:
    """Read a page of likes."""
    return await likes.page(session, command)


async def one_like(session: AsyncSession, command: OneLike) -> LikeView:
    """Read the one like there is."""
    return await likes.one(session, command)


async def find_like(session: AsyncSession, command: FindLike) -> LikeView | None:
    """Read the one like there is, if any."""
    return await likes.find(session, command)


async def first_like(session: AsyncSession, command: FirstLike) -> LikeView | None:
    """Read the first like in an order."""
    return await likes.first(session, command)


async def count_likes(session: AsyncSession, command: CountLikes) -> int:
    """Count likes."""
    return await likes.count(session, command)


async def refuse_own_post(session: AsyncSession, wanted: Sequence[LikeKey]) -> None:
    """Reject likes of one's own post."""
    own = await own_posts(session, wanted)
    if own and len(wanted) == 1:
        raise own_post("post_id")
    if own:
        raise own_post(f"rows.{own[0]}.post_id")


async def own_posts(session: AsyncSession, wanted: Sequence[LikeKey]) -> list[int]:
    """Find the places of likes of one's own post; a missing post is left to the foreign key."""
    of_posts = select(Post.id, Post.user_id).where(Post.id.in_({like.post_id for like in wanted}))
    authored = {(author, post) for post, author in (await session.execute(of_posts))}
    return [place for place, like in enumerate(wanted) if (like.user_id, like.post_id) in authored]


def own_post(field: str) -> CommandRejected:
    """Say that nobody likes their own post."""
    return CommandRejected("a user cannot like their own post", code="own_post", field=field)
