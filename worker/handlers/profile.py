"""How the commands about profiles are carried out."""

from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountProfiles,
    CreateProfile,
    CreateProfiles,
    DeleteProfile,
    DeleteProfilesWhere,
    FindProfile,
    FirstProfile,
    GetProfile,
    Imported,
    ImportProfiles,
    ListProfiles,
    OneProfile,
    Page,
    ProfileView,
    UpdateProfile,
    UpdateProfilesWhere,
    UpsertProfile,
    UpsertProfiles,
)

from ..models import Profile
from .bulk import BulkVerbs
from .imports import import_rows

profiles = BulkVerbs(Profile, ProfileView)


async def create_profile(session: AsyncSession, command: CreateProfile) -> ProfileView:
    """Insert a profile."""
    return await profiles.create(session, command)


async def create_profiles(session: AsyncSession, command: CreateProfiles) -> list[ProfileView | None]:
    """Insert profiles."""
    return await profiles.create_rows(session, command.rows, command.on_duplicate)


async def import_profiles(session: AsyncSession, command: ImportProfiles) -> Imported:
    """Insert or change profiles, each by itself."""
    return await import_rows(profiles, session, command.rows, by=command.by)


async def update_profile(session: AsyncSession, command: UpdateProfile) -> ProfileView | None:
    """Change a profile."""
    return await profiles.update(session, command)


async def upsert_profile(session: AsyncSession, command: UpsertProfile) -> ProfileView:
    """Insert or change a profile."""
    return await profiles.upsert(session, command)


async def upsert_profiles(session: AsyncSession, command: UpsertProfiles) -> list[ProfileView]:
    """Insert or change profiles."""
    return await profiles.upsert_many(session, command)


async def delete_profile(session: AsyncSession, command: DeleteProfile) -> bool:
    """Delete a profile."""
    return await profiles.delete(session, command)


async def update_profiles_where(session: AsyncSession, command: UpdateProfilesWhere) -> int:
    """Change profiles."""
    return await profiles.update_where(session, command)


async def delete_profiles_where(session: AsyncSession, command: DeleteProfilesWhere) -> int:
    """Delete profiles."""
    return await profiles.delete_where(session, command)


async def get_profile(session: AsyncSession, command: GetProfile) -> ProfileView | None:
    """Read a profile."""
    return await profiles.get(session, command)


async def list_profiles(session: AsyncSession, command: ListProfiles) -> Page[ProfileView]:
    """Read a page of profiles."""
    return await profiles.page(session, command)


async def one_profile(session: AsyncSession, command: OneProfile) -> ProfileView:
    """Read the one profile there is."""
    return await profiles.one(session, command)


async def find_profile(session: AsyncSession, command: FindProfile) -> ProfileView | None:
    """Read the one profile there is, if any."""
    return await profiles.find(session, command)


async def first_profile(session: AsyncSession, command: FirstProfile) -> ProfileView | None:
    """Read the first profile in an order."""
    return await profiles.first(session, command)


async def count_profiles(session: AsyncSession, command: CountProfiles) -> int:
    """Count profiles."""
    return await profiles.count(session, command)
