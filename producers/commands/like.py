"""What may be asked about likes: who likes which post.

A like is nothing but its key, so there is nothing to update: to upsert one is to make sure that it is there.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field

from .base import Command, Items, Payload, Query, Ref, View
from .bulk import MOST_ROWS, Imported, OnDuplicate
from .query import Including, Listing, Page

Liker = Annotated[UUID, Ref("user"), Field(description="the user who likes")]
Liked = Annotated[UUID, Ref("post"), Field(description="the post that is liked")]

_COLUMNS = ("user_id", "post_id")
_RELATIONS = ("user", "post")


class LikerView(View):
    """The user of a like."""

    id: UUID
    username: str | None
    name: str | None


class LikedPostView(View):
    """The post of a like."""

    id: UUID
    title: str
    user_id: UUID


class LikeView(View):
    """A like; its user and post are None unless they were included."""

    user_id: UUID
    post_id: UUID
    user: LikerView | None = None
    post: LikedPostView | None = None


class LikeKey(Payload):
    """What names a like: a user and a post."""

    user_id: Liker
    post_id: Liked


class ImportLikes(Command[Imported]):
    """Create 1 to 1,000 likes, each judged by itself: one that is there is left out, a bad one refused."""

    kind: ClassVar[str] = "like.import_many"

    rows: Items[LikeKey] = Field(min_length=1, max_length=MOST_ROWS)


class CreateLike(LikeKey, Command[LikeView]):
    """Let a user like a post; one's own post is rejected."""

    kind: ClassVar[str] = "like.create"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportLikes


class CreateLikes(Command[list[LikeView | None]]):
    """Create 1 to 1,000 likes, or none; the result has one view per row, or None for one that was skipped."""

    kind: ClassVar[str] = "like.create_many"

    rows: Items[LikeKey] = Field(min_length=1, max_length=MOST_ROWS)
    on_duplicate: OnDuplicate = "reject"


class UpsertLike(LikeKey, Command[LikeView]):
    """Make sure that a user likes a post."""

    kind: ClassVar[str] = "like.upsert"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportLikes


class UpsertLikes(Command[list[LikeView]]):
    """Make sure of 1 to 1,000 likes, or none; the result has one view per row."""

    kind: ClassVar[str] = "like.upsert_many"

    rows: Items[LikeKey] = Field(min_length=1, max_length=MOST_ROWS)


class DeleteLike(LikeKey, Command[bool]):
    """Delete a like; the result says whether there was one."""

    kind: ClassVar[str] = "like.delete"


class GetLike(LikeKey, Including, Query[LikeView | None]):
    """Read one like, or None."""

    kind: ClassVar[str] = "like.get"
    relations: ClassVar[tuple[str, ...]] = _RELATIONS


class ListLikes(Listing, Query[Page[LikeView]]):
    """Read a page of likes."""

    kind: ClassVar[str] = "like.list"
    columns: ClassVar[tuple[str, ...]] = _COLUMNS
    relations: ClassVar[tuple[str, ...]] = _RELATIONS


class CountLikes(Query[int]):
    """Count the likes."""

    kind: ClassVar[str] = "like.count"
