"""How the commands about users are carried out."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountUsers,
    CreateUser,
    CreateUsers,
    DeleteUser,
    DeleteUsersWhere,
    FindUser,
    FirstUser,
    GetUser,
    Imported,
    ImportUsers,
    ListUsers,
    OneUser,
    Page,
    SetUserPosts,
    UpdateUser,
    UpdateUsersWhere,
    UpsertUser,
    UpsertUsers,
    UserView,
)

from ..models import Post, Profile, User
from .bulk import BulkVerbs
from .detach import replace_posts, replace_profile
from .imports import import_rows
from .post import posts
from .profile import profiles

users = BulkVerbs(User, UserView)

ALL_USERS = text("SELECT count(*) FROM users")
"""A constant: what a payload says is only ever bound, never put into SQL."""


async def create_user(session: AsyncSession, command: CreateUser) -> UserView:
    """Insert a user; posts and profile that come with it go in through the relationships."""
    if not command.posts and command.profile is None:
        return await users.create(session, command)
    user = User(
        **users.values(command),
        posts=[Post(**posts.values(post)) for post in command.posts],
        profile=Profile(**profiles.values(command.profile)) if command.profile else None,
    )
    session.add(user)
    await session.flush()
    return shown(session, user, [name for name in ("posts", "profile") if getattr(command, name)])


async def create_users(session: AsyncSession, command: CreateUsers) -> list[UserView | None]:
    """Insert users."""
    return await users.create_rows(session, command.rows, command.on_duplicate)


async def import_users(session: AsyncSession, command: ImportUsers) -> Imported:
    """Insert or change users, each by itself."""
    return await import_rows(users, session, command.rows, by=command.by)


async def update_user(session: AsyncSession, command: UpdateUser) -> UserView | None:
    """Change a user; its profile is detached by its relationship."""
    if "profile" not in command.model_fields_set:
        return await users.update(session, command)
    others = command.model_fields_set - {"profile"}
    plain = UpdateUser.model_construct(others, **{name: getattr(command, name) for name in others})
    changed = await users.update(session, plain)
    if changed is None:
        return None
    profile = Profile(**profiles.values(command.profile)) if command.profile else None
    return shown(session, await replace_profile(session, changed.id, profile), ["profile"])


async def set_user_posts(session: AsyncSession, command: SetUserPosts) -> UserView | None:
    """Give a user the posts; those it had besides are orphans, and deleted."""
    named = getattr(User, command.address) == getattr(command, command.address)
    user = await replace_posts(session, named, command.posts)
    return None if user is None else shown(session, user, ["posts"])


async def upsert_user(session: AsyncSession, command: UpsertUser) -> UserView:
    """Insert or change a user."""
    return await users.upsert(session, command)


async def upsert_users(session: AsyncSession, command: UpsertUsers) -> list[UserView]:
    """Insert or change users."""
    return await users.upsert_many(session, command)


async def delete_user(session: AsyncSession, command: DeleteUser) -> bool:
    """Delete a user; posts, profile and likes go along."""
    return await users.delete(session, command)


async def update_users_where(session: AsyncSession, command: UpdateUsersWhere) -> int:
    """Change users."""
    return await users.update_where(session, command)


async def delete_users_where(session: AsyncSession, command: DeleteUsersWhere) -> int:
    """Delete users."""
    return await users.delete_where(session, command)


async def get_user(session: AsyncSession, command: GetUser) -> UserView | None:
    """Read a user."""
    return await users.get(session, command)


async def list_users(session: AsyncSession, command: ListUsers) -> Page[UserView]:
    """Read a page of users."""
    return await users.page(session, command)


async def one_user(session: AsyncSession, command: OneUser) -> UserView:
    """Read the one user there is."""
    return await users.one(session, command)


async def find_user(session: AsyncSession, command: FindUser) -> UserView | None:
    """Read the one user there is, if any."""
    return await users.find(session, command)


async def first_user(session: AsyncSession, command: FirstUser) -> UserView | None:
    """Read the first user in an order."""
    return await users.first(session, command)


async def count_users(session: AsyncSession, command: CountUsers) -> int:
    """Count users; all of them by SQL as it is, which a session runs as well as what is built."""
    if command.where is None:
        return int((await session.execute(ALL_USERS)).scalar_one())
    return await users.count(session, command)


def shown(session: AsyncSession, user: User, relations: Sequence[str]) -> UserView:
    """Make the view of a user that was written through the relationships."""
    view = users.shape.of_object(user, relations)
    session.expunge(user)  # the other verbs go past the session's objects, so this one would grow stale
    return view
