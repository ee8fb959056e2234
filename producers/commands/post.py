"""What may be asked about posts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field
from uuid_utils.compat import uuid7

from .address import Addressed, UpdatingVersion, Upserting
from .base import Command, Items, Lift, NewId, Payload, Personal, Query, Ref, View
from .bulk import MOST_ROWS, Imported, OnDuplicate, UpsertingMany
from .listing import Listing
from .query import Counting, Finding, Including, Ordering, Page
from .where import UpdatingWhere, WritingWhere

Title = Annotated[str, Field(min_length=1, max_length=200, description="1 to 200 characters")]
Content = str
Author = Annotated[UUID, Ref("user"), Field(description="the author")]


class AuthorView(View):
    """The author of a post."""

    id: UUID
    username: str | None
    name: Annotated[str | None, Personal()]


class PostLikeView(View):
    """Who likes a post."""

    user_id: UUID
    post_id: UUID


class PostView(View):
    """A post; relations are None unless they were included."""

    id: UUID
    title: str
    content: str
    user_id: UUID
    created_at: datetime
    updated_at: datetime
    version: int
    author: AuthorView | None = None
    likes: tuple[PostLikeView, ...] | None = None


class NewPostOf(Payload):
    """The fields of a new post, its author among them."""

    id: NewId = Field(default_factory=uuid7)
    title: Title
    content: Content = ""
    user_id: Author


class ImportPosts(Command[Imported]):
    """Create 1 to 1,000 posts, each judged by itself: one that is there is left out, a bad one refused.

    With `by`, one that is there is changed in what its row sets.
    """

    kind: ClassVar[str] = "post.import_many"

    rows: Items[NewPostOf] = Field(min_length=1, max_length=MOST_ROWS)
    by: Literal["id"] | None = Field(default=None, description="what finds a post")


def _description_to_content(payload: dict[str, Any]) -> dict[str, Any]:
    """Version 1 called the text of a post its description."""
    lifted = dict(payload)
    if "description" in lifted:
        lifted["content"] = lifted.pop("description")
    return lifted


class CreatePost(NewPostOf, Command[PostView]):
    """Create a post."""

    kind: ClassVar[str] = "post.create"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportPosts
    version: ClassVar[int] = 2
    lifts: ClassVar[Mapping[int, Lift]] = {1: _description_to_content}


class CreatePosts(Command[list[PostView | None]]):
    """Create 1 to 1,000 posts, or none; the result has one view per row, or None for one that was skipped."""

    kind: ClassVar[str] = "post.create_many"

    rows: Items[NewPostOf] = Field(min_length=1, max_length=MOST_ROWS)
    on_duplicate: OnDuplicate = "reject"


class UpdatePost(UpdatingVersion, Command[PostView | None]):
    """Change what is set of one post."""

    kind: ClassVar[str] = "post.update"
    required: ClassVar[frozenset[str]] = frozenset({"title", "content", "user_id"})

    id: UUID
    title: Title | None = None
    content: Content | None = None
    user_id: Author | None = None


class UpsertPost(Upserting, Command[PostView]):
    """Create a post, or change what is set of the one that has the same id."""

    kind: ClassVar[str] = "post.upsert"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportPosts
    required: ClassVar[frozenset[str]] = frozenset({"content"})

    id: UUID
    title: Title
    content: Content | None = None
    user_id: Author


class UpsertPosts(UpsertingMany, Command[list[PostView]]):
    """Create or change 1 to 1,000 posts, or none; each row says its id."""

    kind: ClassVar[str] = "post.upsert_many"

    rows: Items[NewPostOf] = Field(min_length=1, max_length=MOST_ROWS)


class DeletePost(Addressed, Command[bool]):
    """Delete a post; the result says whether there was one."""

    kind: ClassVar[str] = "post.delete"

    id: UUID


class UpdatePostsWhere(UpdatingWhere, Command[int]):
    """Change what is set of all posts for which a condition holds; the result is their number."""

    kind: ClassVar[str] = "post.update_where"
    view: ClassVar[type[View]] = PostView
    required: ClassVar[frozenset[str]] = frozenset({"title", "content"})

    title: Title | None = None
    content: Content | None = None


class DeletePostsWhere(WritingWhere, Command[int]):
    """Delete all posts for which a condition holds; the result is their number."""

    kind: ClassVar[str] = "post.delete_where"
    view: ClassVar[type[View]] = PostView


class GetPost(Addressed, Including, Query[PostView | None]):
    """Read one post, or None."""

    kind: ClassVar[str] = "post.get"
    view: ClassVar[type[View]] = PostView

    id: UUID


class ListPosts(Listing, Query[Page[PostView]]):
    """Read a page of posts."""

    kind: ClassVar[str] = "post.list"
    view: ClassVar[type[View]] = PostView


class OnePost(Finding, Query[PostView]):
    """Read the one post for which a condition holds; NotFound or MultipleFound where it is not one."""

    kind: ClassVar[str] = "post.one"
    view: ClassVar[type[View]] = PostView


class FindPost(Finding, Query[PostView | None]):
    """Read the one post for which a condition holds, or None; MultipleFound where there are more."""

    kind: ClassVar[str] = "post.find"
    view: ClassVar[type[View]] = PostView


class FirstPost(Ordering, Query[PostView | None]):
    """Read the first post in an order, or None; the last is the first the other way round."""

    kind: ClassVar[str] = "post.first"
    view: ClassVar[type[View]] = PostView


class CountPosts(Counting):
    """Count the posts for which a condition holds."""

    kind: ClassVar[str] = "post.count"
    view: ClassVar[type[View]] = PostView
