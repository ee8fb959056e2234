"""The commands about profiles, on a real database."""

from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    CountProfiles,
    CreateProfile,
    CreateProfiles,
    CreateUser,
    DeleteProfile,
    GetProfile,
    ListProfiles,
    NewProfileOf,
    ProfileView,
    UpdateProfile,
    UpsertProfile,
    UserView,
)
from producers.commands.profile import OwnerView
from producers.errors import CommandRejected
from worker.handlers.profile import (
    count_profiles,
    create_profile,
    create_profiles,
    delete_profile,
    get_profile,
    list_profiles,
    update_profile,
    upsert_profile,
)
from worker.handlers.user import create_user
from worker.sqlstates import columns, sqlstate_of

pytestmark = pytest.mark.databases


@pytest.fixture
async def ada(session: AsyncSession) -> UserView:
    return await create_user(session, CreateUser(username="ada"))


@pytest.fixture
async def bob(session: AsyncSession) -> UserView:
    return await create_user(session, CreateUser(username="bob"))


async def test_create_gives_the_view(session: AsyncSession, ada: UserView) -> None:
    command = CreateProfile(bio="countess", user_id=ada.id)
    profile = await create_profile(session, command)
    assert profile == ProfileView(id=command.id, bio="countess", user_id=ada.id)
    assert command.parse_result(command.dump_result(profile)) == profile


async def test_a_user_has_one_profile_at_most(session: AsyncSession, ada: UserView) -> None:
    await create_profile(session, CreateProfile(user_id=ada.id))
    with pytest.raises(IntegrityError) as caught:
        await create_profile(session, CreateProfile(user_id=ada.id))
    assert (sqlstate_of(caught.value), columns(caught.value)) == ("23505", "user_id")


async def test_create_many(session: AsyncSession, ada: UserView, bob: UserView) -> None:
    command = CreateProfiles(
        rows=[NewProfileOf(user_id=bob.id), NewProfileOf(bio="countess", user_id=ada.id)]
    )
    views = await create_profiles(session, command)
    assert [(view.bio, view.user_id) for view in views if view] == [(None, bob.id), ("countess", ada.id)]
    assert command.parse_result(command.dump_result(views)) == views


async def test_update_by_key_and_by_user(session: AsyncSession, ada: UserView, bob: UserView) -> None:
    profile = await create_profile(session, CreateProfile(bio="countess", user_id=ada.id))
    assert await update_profile(session, UpdateProfile(user_id=ada.id, bio=None)) == profile.model_copy(
        update={"bio": None}
    )
    moved = await update_profile(session, UpdateProfile(id=profile.id, user_id=bob.id))
    assert moved == ProfileView(id=profile.id, bio=None, user_id=bob.id)
    assert await update_profile(session, UpdateProfile(user_id=ada.id, bio="gone")) is None
    with pytest.raises(CommandRejected) as caught:
        await update_profile(session, UpdateProfile(user_id=ada.id, bio="gone", must_exist=True))
    assert (caught.value.code, caught.value.field) == ("not_found", "user_id")


async def test_upsert_by_user(session: AsyncSession, ada: UserView) -> None:
    created = await upsert_profile(session, UpsertProfile(bio="countess", user_id=ada.id))
    changed = await upsert_profile(session, UpsertProfile(bio=None, user_id=ada.id))
    assert changed == created.model_copy(update={"bio": None})
    assert await upsert_profile(session, UpsertProfile(user_id=ada.id)) == changed


async def test_upsert_by_key(session: AsyncSession, ada: UserView, bob: UserView) -> None:
    created = await upsert_profile(session, UpsertProfile(id=uuid4(), user_id=ada.id))
    moved = await upsert_profile(session, UpsertProfile(id=created.id, user_id=bob.id))
    assert moved == created.model_copy(update={"user_id": bob.id})


async def test_get_includes_the_user(session: AsyncSession, ada: UserView) -> None:
    profile = await create_profile(session, CreateProfile(user_id=ada.id))
    assert await get_profile(session, GetProfile(id=profile.id)) == profile
    command = GetProfile(user_id=ada.id, include="user")
    found = await get_profile(session, command)
    assert found is not None
    assert found.user == OwnerView(id=ada.id, username="ada", name=None)
    assert command.parse_result(command.dump_result(found)) == found


async def test_list_count_and_delete(session: AsyncSession, ada: UserView, bob: UserView) -> None:
    first = await create_profile(session, CreateProfile(bio="a", user_id=ada.id))
    second = await create_profile(session, CreateProfile(user_id=bob.id))
    for order_by, expected in (("bio", (first, second)), ("-bio", (first, second))):
        assert (await list_profiles(session, ListProfiles(order_by=order_by))).items == expected
    assert await count_profiles(session, CountProfiles()) == 2
    assert await delete_profile(session, DeleteProfile(user_id=ada.id)) is True
    assert await delete_profile(session, DeleteProfile(id=first.id)) is False
    assert await count_profiles(session, CountProfiles()) == 1
