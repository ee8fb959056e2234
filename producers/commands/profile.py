"""What may be asked about profiles, of which a user has at most one."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field
from uuid_utils.compat import uuid7

from .address import Addressed, Updating, Upserting
from .base import Command, Items, NewId, Payload, Personal, Query, Ref, View
from .bulk import MOST_ROWS, Imported, OnDuplicate, UpsertingMany
from .listing import Listing
from .query import Counting, Finding, Including, Ordering, Page
from .where import UpdatingWhere, WritingWhere

Bio = Annotated[str, Personal()]
Owner = Annotated[UUID, Ref("user"), Field(description="the user it belongs to, unique")]

_UNIQUE = ("id", "user_id")


class OwnerView(View):
    """The user of a profile."""

    id: UUID
    username: str | None
    name: Annotated[str | None, Personal()]


class ProfileView(View):
    """A profile; its user is None unless it was included."""

    id: UUID
    bio: Annotated[str | None, Personal()]
    user_id: UUID
    user: OwnerView | None = None


class NewProfileOf(Payload):
    """The fields of a new profile, its user among them."""

    id: NewId = Field(default_factory=uuid7)
    bio: Bio | None = None
    user_id: Owner


class ImportProfiles(Command[Imported]):
    """Create 1 to 1,000 profiles, each judged by itself: one that is there is left out, a bad one refused.

    With `by`, one that is there is changed in what its row sets.
    """

    kind: ClassVar[str] = "profile.import_many"

    rows: Items[NewProfileOf] = Field(min_length=1, max_length=MOST_ROWS)
    by: Literal["id", "user_id"] | None = Field(default=None, description="what finds a profile")


class CreateProfile(NewProfileOf, Command[ProfileView]):
    """Create the profile of a user."""

    kind: ClassVar[str] = "profile.create"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportProfiles


class CreateProfiles(Command[list[ProfileView | None]]):
    """Create 1 to 1,000 profiles, or none; one view per row, or None for one that was skipped."""

    kind: ClassVar[str] = "profile.create_many"

    rows: Items[NewProfileOf] = Field(min_length=1, max_length=MOST_ROWS)
    on_duplicate: OnDuplicate = "reject"


class UpdateProfile(Updating, Command[ProfileView | None]):
    """Change what is set of one profile."""

    kind: ClassVar[str] = "profile.update"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE
    required: ClassVar[frozenset[str]] = frozenset({"user_id"})

    id: UUID | None = None
    bio: Bio | None = None
    user_id: Owner | None = None


class UpsertProfile(Upserting, Command[ProfileView]):
    """Create a profile, or change what is set of the one that `by` finds: id or user_id."""

    kind: ClassVar[str] = "profile.upsert"
    imported_by: ClassVar[type[Command[Any]] | None] = ImportProfiles
    unique: ClassVar[tuple[str, ...]] = _UNIQUE

    id: NewId = Field(default_factory=uuid7)
    bio: Bio | None = None
    user_id: Owner


class UpsertProfiles(UpsertingMany, Command[list[ProfileView]]):
    """Create or change 1 to 1,000 profiles, or none: `by` finds them: id or user_id."""

    kind: ClassVar[str] = "profile.upsert_many"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE

    rows: Items[NewProfileOf] = Field(min_length=1, max_length=MOST_ROWS)


class DeleteProfile(Addressed, Command[bool]):
    """Delete a profile; the result says whether there was one."""

    kind: ClassVar[str] = "profile.delete"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE

    id: UUID | None = None
    user_id: Owner | None = None


class UpdateProfilesWhere(UpdatingWhere, Command[int]):
    """Change what is set of all profiles for which a condition holds; the result is their number."""

    kind: ClassVar[str] = "profile.update_where"
    view: ClassVar[type[View]] = ProfileView

    bio: Bio | None = None


class DeleteProfilesWhere(WritingWhere, Command[int]):
    """Delete all profiles for which a condition holds; the result is their number."""

    kind: ClassVar[str] = "profile.delete_where"
    view: ClassVar[type[View]] = ProfileView


class GetProfile(Addressed, Including, Query[ProfileView | None]):
    """Read one profile, or None."""

    kind: ClassVar[str] = "profile.get"
    unique: ClassVar[tuple[str, ...]] = _UNIQUE
    view: ClassVar[type[View]] = ProfileView

    id: UUID | None = None
    user_id: Owner | None = None


class ListProfiles(Listing, Query[Page[ProfileView]]):
    """Read a page of profiles."""

    kind: ClassVar[str] = "profile.list"
    view: ClassVar[type[View]] = ProfileView


class OneProfile(Finding, Query[ProfileView]):
    """Read the one profile for which a condition holds; NotFound or MultipleFound where it is not one."""

    kind: ClassVar[str] = "profile.one"
    view: ClassVar[type[View]] = ProfileView


class FindProfile(Finding, Query[ProfileView | None]):
    """Read the one profile for which a condition holds, or None; MultipleFound where there are more."""

    kind: ClassVar[str] = "profile.find"
    view: ClassVar[type[View]] = ProfileView


class FirstProfile(Ordering, Query[ProfileView | None]):
    """Read the first profile in an order, or None; the last is the first the other way round."""

    kind: ClassVar[str] = "profile.first"
    view: ClassVar[type[View]] = ProfileView


class CountProfiles(Counting):
    """Count the profiles for which a condition holds."""

    kind: ClassVar[str] = "profile.count"
    view: ClassVar[type[View]] = ProfileView
