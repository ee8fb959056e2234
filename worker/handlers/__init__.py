"""The index of the example: which handler carries out which command."""

from typing import Any, assert_never, get_args

from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import (
    Command,
    CountLikes,
    CountPosts,
    CountProfiles,
    CountUsers,
    CreateLike,
    CreateLikes,
    CreatePost,
    CreatePosts,
    CreateProfile,
    CreateProfiles,
    CreateUser,
    CreateUsers,
    DeleteLike,
    DeleteLikesWhere,
    DeletePost,
    DeletePostsWhere,
    DeleteProfile,
    DeleteProfilesWhere,
    DeleteUser,
    DeleteUsersWhere,
    ExampleCommand,
    FindLike,
    FindPost,
    FindProfile,
    FindUser,
    FirstLike,
    FirstPost,
    FirstProfile,
    FirstUser,
    GetLike,
    GetPost,
    GetProfile,
    GetUser,
    ListLikes,
    ListPosts,
    ListProfiles,
    ListUsers,
    OneLike,
    OnePost,
    OneProfile,
    OneUser,
    UpdatePost,
    UpdatePostsWhere,
    UpdateProfile,
    UpdateProfilesWhere,
    UpdateUser,
    UpdateUsersWhere,
    UpsertLike,
    UpsertPost,
    UpsertProfile,
    UpsertUser,
)

from ..app import Handler
from .like import (
    count_likes,
    create_like,
    create_likes,
    delete_like,
    delete_likes_where,
    find_like,
    first_like,
    get_like,
    list_likes,
    one_like,
    upsert_like,
)
from .post import (
    count_posts,
    create_post,
    create_posts,
    delete_post,
    delete_posts_where,
    find_post,
    first_post,
    get_post,
    list_posts,
    one_post,
    update_post,
    update_posts_where,
    upsert_post,
)
from .profile import (
    count_profiles,
    create_profile,
    create_profiles,
    delete_profile,
    delete_profiles_where,
    find_profile,
    first_profile,
    get_profile,
    list_profiles,
    one_profile,
    update_profile,
    update_profiles_where,
    upsert_profile,
)
from .user import (
    count_users,
    create_user,
    create_users,
    delete_user,
    delete_users_where,
    find_user,
    first_user,
    get_user,
    list_users,
    one_user,
    update_user,
    update_users_where,
    upsert_user,
)


async def handle(  # noqa: C901, PLR0911, PLR0912, PLR0915  # it is a table
    session: AsyncSession, command: ExampleCommand
) -> object:
    """Carry a command out in the session's open transaction; the type checker holds that none is left out."""
    match command:
        case CreateUser():
            return await create_user(session, command)
        case CreateUsers():
            return await create_users(session, command)
        case UpdateUser():
            return await update_user(session, command)
        case UpsertUser():
            return await upsert_user(session, command)
        case DeleteUser():
            return await delete_user(session, command)
        case UpdateUsersWhere():
            return await update_users_where(session, command)
        case DeleteUsersWhere():
            return await delete_users_where(session, command)
        case GetUser():
            return await get_user(session, command)
        case ListUsers():
            return await list_users(session, command)
        case CountUsers():
            return await count_users(session, command)
        case OneUser():
            return await one_user(session, command)
        case FindUser():
            return await find_user(session, command)
        case FirstUser():
            return await first_user(session, command)
        case CreatePost():
            return await create_post(session, command)
        case CreatePosts():
            return await create_posts(session, command)
        case UpdatePost():
            return await update_post(session, command)
        case UpsertPost():
            return await upsert_post(session, command)
        case DeletePost():
            return await delete_post(session, command)
        case UpdatePostsWhere():
            return await update_posts_where(session, command)
        case DeletePostsWhere():
            return await delete_posts_where(session, command)
        case GetPost():
            return await get_post(session, command)
        case ListPosts():
            return await list_posts(session, command)
        case CountPosts():
            return await count_posts(session, command)
        case OnePost():
            return await one_post(session, command)
        case FindPost():
            return await find_post(session, command)
        case FirstPost():
            return await first_post(session, command)
        case CreateProfile():
            return await create_profile(session, command)
        case CreateProfiles():
            return await create_profiles(session, command)
        case UpdateProfile():
            return await update_profile(session, command)
        case UpsertProfile():
            return await upsert_profile(session, command)
        case DeleteProfile():
            return await delete_profile(session, command)
        case UpdateProfilesWhere():
            return await update_profiles_where(session, command)
        case DeleteProfilesWhere():
            return await delete_profiles_where(session, command)
        case GetProfile():
            return await get_profile(session, command)
        case ListProfiles():
            return await list_profiles(session, command)
        case CountProfiles():
            return await count_profiles(session, command)
        case OneProfile():
            return await one_profile(session, command)
        case FindProfile():
            return await find_profile(session, command)
        case FirstProfile():
            return await first_profile(session, command)
        case CreateLike():
            return await create_like(session, command)
        case CreateLikes():
            return await create_likes(session, command)
        case UpsertLike():
            return await upsert_like(session, command)
        case DeleteLike():
            return await delete_like(session, command)
        case DeleteLikesWhere():
            return await delete_likes_where(session, command)
        case GetLike():
            return await get_like(session, command)
        case ListLikes():
            return await list_likes(session, command)
        case CountLikes():
            return await count_likes(session, command)
        case OneLike():
            return await one_like(session, command)
        case FindLike():
            return await find_like(session, command)
        case FirstLike():
            return await first_like(session, command)
        case _:
            assert_never(command)


HANDLERS: dict[type[Command[Any]], Handler] = dict.fromkeys(get_args(ExampleCommand), handle)
