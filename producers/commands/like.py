"""What may be asked about likes: who likes which post.

A like is nothing but its key, so there is nothing to update: to upsert one is to make sure that it is there.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field

from .base import Command, Items, Key, Payload, Personal, Query, Ref, View
from .bulk import MOST_ROWS, Imported, OnDuplicate
from .listing import Listing
from .query import Counting, Finding, Including, Ordering, Page
from .where import WritingWhere

Liker = Annotated[UUID, Ref("user"), Field(description="the user who likes")]
Liked = Annotated[UUID, Ref("post"), Field(description="the post that is liked")]


class LikerView(View):
    """The user of a like."""

    id: UUID
    username: str | None
    name: Annotated[str | None, Personal()]


class LikedPostView(View):
    """The post of a like."""

    id: UUID
    title: str
    user_id: UUID


class LikeView(View):
    """A like; its user and post are None unless they were included."""

    primary_key: ClassVar[tuple[str, ...]] = ("user_id", "post_id")

    user_id: UUID
    post_id: UUID
    user: LikerView | None = None
    post: LikedPostView | None = None


class LikeKey(Payload):
    """What names a like: a user and a post."""

    user_id: Annotated[Liker, Key()]
    post_id: Annotated[Liked, Key()]


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


class DeleteLikesWhere(WritingWhere, Command[int]):
    """Delete all likes for which a condition holds; the result is their number."""

    kind: ClassVar[str] = "like.delete_where"
    view: ClassVar[type[View]] = LikeView


class GetLike(LikeKey, Including, Query[LikeView | None]):
    """Read one like, or None."""

    kind: ClassVar[str] = "like.get"
    view: ClassVar[type[View]] = LikeView


class ListLikes(Listing, Query[Page[LikeView]]):
    """Read a page of likes."""

    kind: ClassVar[str] = "like.list"
    view: ClassVar[type[View]] = LikeView


class OneLike(Finding, Query[LikeView]):
    """Read the one like for which a condition holds; NotFound or MultipleFound where it is not one."""

    kind: ClassVar[str] = "like.one"
    view: ClassVar[type[View]] = LikeView


class FindLike(Finding, Query[LikeView | None]):
    """Read the one like for which a condition holds, or None; MultipleFound where there are more."""

    kind: ClassVar[str] = "like.find"
    view: ClassVar[type[View]] = LikeView


class FirstLike(Ordering, Query[LikeView | None]):
    """Read the first like in an order, or None; the last is the first the other way round."""

    kind: ClassVar[str] = "like.first"
    view: ClassVar[type[View]] = LikeView


class CountLikes(Counting):
    """Count the likes for which a condition holds."""

    kind: ClassVar[str] = "like.count"
    view: ClassVar[type[View]] = LikeView
