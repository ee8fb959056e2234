"""What may be asked about users."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from uuid import UUID

from pydantic import Field, model_validator
from uuid_utils.compat import uuid7

from .address import Addressed, UpdatingVersion, Upserting
from .base import Command, Items, NewId, Payload, Personal, Query, Secret, View
from .bulk import MOST_ROWS, Imported, OnDuplicate, UpsertingMany
from .email import Email
from .like import LikedPostView, LikerView, LikeView
from .listing import Listing
from .post import AuthorView, Content, PostLikeView, PostView, Title
from .profile import Bio, OwnerView, ProfileView
from .query import Counting, Finding, Including, Ordering, Page
from .where import UpdatingWhere, WritingWhere

Username = Annotated[str, Field(min_length=1, max_length=50, description="1 to 50 characters, unique")]
Name = Annotated[str, Field(min_length=1, max_length=255), Personal()]
Age = Annotated[int, Field(ge=0, le=150, description="0 to 150"), Personal()]
HashedPassword = Annotated[
    str, Secret(), Field(max_length=255, pattern=r"^\$argon2", description="from hash_password()")
]

U = TypeVar("U", "NewUser", "UpsertUser")

_UNIQUE = ("id", "username", "email")


class UserView(View):
    """A user as the world may see it; relations are None unless they were included."""

    id: UUID
    username: str | None
    email: Annotated[str | None, Personal()]
    name: Annotated[str | None, Personal()]
    age: Annotated[int | None, Personal()]
    is_active: bool
    created_at: datetime
    updated_at: datetime
    version: int
    posts: tuple[PostView, ...] | None = None
    profile: ProfileView | None = None
    likes: tuple[LikeView, ...] | None = None
    liked_posts: tuple[PostView, ...] | None = None


# Views that show a part of a row, because the whole would lead back to where it began.
AuthorView.part_of = LikerView.part_of = OwnerView.part_of = UserView
LikedPostView.part_of = PostView
PostLikeView.part_of = LikeView


def _named(user: U) -> U:
    if user.username is None and user.email is None and user.name is None:
        message = "give at least one of username, email and name"
        raise ValueError(message)
    return user


class NewPost(Payload):
    """A post that is created together with its author."""

    entity: ClassVar[str] = "post"

    id: NewId = Field(default_factory=uuid7)
    title: Title
    content: Content = ""


class KeptPost(Payload):
    """A post of a user: one that is there, changed in what is set, or a new one, which needs a title."""

    entity: ClassVar[str] = "post"

    id: NewId = Field(default_factory=uuid7)
    title: Title | None = None
    content: Content | None = None


class NewProfile(Payload):
    """A profile that is created together with its user."""

    entity: ClassVar[str] = "profile"

    id: NewId = Field(default_factory=uuid7)
    bio: Bio | None = None


class NewUser(Payload):
    """The fields of a new user: at least one of username, email and name."""

    id: NewId = Field(default_factory=uuid7)
    username: Username | None = None
    email: Email | None = None
    name: Name | None = None
    age: Age | None = None
    hashed_password: HashedPassword | None = None
    is_active: bool = True

    _has_a_name = model_validator(mode="after")(_named)


class ImportUsers(Command[Imported]):
    """Create 1 to 1,000 users, each judged by itself: one that is there is left out, a bad one refused.

    With `by`, one that is there is changed in what its row sets.
    """

    kind: ClassVar[str] = "user.import_many"

    rows: Items[NewUser] = Field(min_length=1, max_length=MOST_ROWS)
    by: Literal["id", "username", "email"] | None = Field(default=None, description="what finds a user")


class CreateUser(NewUser, Command[UserView]):
    """Create a user, with posts and a profile if they are given."""

    kind: ClassVar[str] = "user.create"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportUsers

    posts: Items[NewPost] = Field(default=(), description="posts to create with the user")
    profile: NewProfile | None = Field(default=None, description="the profile to create with the user")


class CreateUsers(Command[list[UserView | None]]):
    """Create 1 to 1,000 users, or none; the result has one view per row, or None for one that was skipped."""

    kind: ClassVar[str] = "user.create_many"

    rows: Items[NewUser] = Field(min_length=1, max_length=MOST_ROWS)
    on_duplicate: OnDuplicate = "reject"


class UpdateUser(UpdatingVersion, Command[UserView | None]):
    """Change what is set of one user."""

    kind: ClassVar[str] = "user.update"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE
    required: ClassVar[frozenset[str]] = frozenset({"is_active"})

    id: UUID | None = None
    username: Username | None = None
    email: Email | None = None
    name: Name | None = None
    age: Age | None = None
    hashed_password: HashedPassword | None = None
    is_active: bool | None = None
    profile: NewProfile | None = Field(
        default=None, description="the profile in place of the one there is; null takes it away"
    )


class SetUserPosts(Addressed, Command[UserView | None]):
    """Make these the posts of a user, and delete its others; the result has them, or None without a user."""

    kind: ClassVar[str] = "user.set_posts"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE

    id: UUID | None = None
    username: Username | None = None
    email: Email | None = None
    posts: Items[KeptPost] = Field(max_length=MOST_ROWS, description="posts to keep or to create")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({post.id for post in self.posts}) < len(self.posts):
            message = "posts: the same id is there twice"
            raise ValueError(message)
        return self


class UpsertUser(Upserting, Command[UserView]):
    """Create a user, or change what is set of the one that `by` finds: id, username or email."""

    kind: ClassVar[str] = "user.upsert"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportUsers
    unique: ClassVar[tuple[str, ...]] = _UNIQUE
    required: ClassVar[frozenset[str]] = frozenset({"is_active"})

    id: NewId = Field(default_factory=uuid7)
    username: Username | None = None
    email: Email | None = None
    name: Name | None = None
    age: Age | None = None
    hashed_password: HashedPassword | None = None
    is_active: bool | None = None

    _has_a_name = model_validator(mode="after")(_named)  # it has to be able to create


class UpsertUsers(UpsertingMany, Command[list[UserView]]):
    """Create or change 1 to 1,000 users, or none: `by` finds them: id, username or email."""

    kind: ClassVar[str] = "user.upsert_many"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE

    rows: Items[NewUser] = Field(min_length=1, max_length=MOST_ROWS)


class DeleteUser(Addressed, Command[bool]):
    """Delete a user and all that belongs to it; the result says whether there was one."""

    kind: ClassVar[str] = "user.delete"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE

    id: UUID | None = None
    username: Username | None = None
    email: Email | None = None


class UpdateUsersWhere(UpdatingWhere, Command[int]):
    """Change what is set of all users for which a condition holds; the result is their number."""

    kind: ClassVar[str] = "user.update_where"
    view: ClassVar[type[View]] = UserView
    required: ClassVar[frozenset[str]] = frozenset({"is_active"})

    name: Name | None = None
    age: Age | None = None
    is_active: bool | None = None


class DeleteUsersWhere(WritingWhere, Command[int]):
    """Delete all users for which a condition holds; the result is their number."""

    kind: ClassVar[str] = "user.delete_where"
    view: ClassVar[type[View]] = UserView


class GetUser(Addressed, Including, Query[UserView | None]):
    """Read one user, or None."""

    kind: ClassVar[str] = "user.get"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE
    view: ClassVar[type[View]] = UserView

    id: UUID | None = None
    username: Username | None = None
    email: Email | None = None


class ListUsers(Listing, Query[Page[UserView]]):
    """Read a page of users."""

    kind: ClassVar[str] = "user.list"
    view: ClassVar[type[View]] = UserView


class OneUser(Finding, Query[UserView]):
    """Read the one user for which a condition holds; NotFound or MultipleFound where it is not one."""

    kind: ClassVar[str] = "user.one"
    view: ClassVar[type[View]] = UserView


class FindUser(Finding, Query[UserView | None]):
    """Read the one user for which a condition holds, or None; MultipleFound where there are more."""

    kind: ClassVar[str] = "user.find"
    view: ClassVar[type[View]] = UserView


class FirstUser(Ordering, Query[UserView | None]):
    """Read the first user in an order, or None; the last is the first the other way round."""

    kind: ClassVar[str] = "user.first"
    view: ClassVar[type[View]] = UserView


class CountUsers(Counting):
    """Count the users for which a condition holds."""

    kind: ClassVar[str] = "user.count"
    view: ClassVar[type[View]] = UserView
