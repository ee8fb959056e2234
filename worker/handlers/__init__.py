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
    DeletePost,
    DeleteProfile,
    DeleteUser,
    ExampleCommand,
    GetLike,
    GetPost,
    GetProfile,
    GetUser,
    ImportLikes,
    ImportPosts,
    ImportProfiles,
    ImportUsers,
    ListLikes,
    ListPosts,
    ListProfiles,
    ListUsers,
    SetUserPosts,
    UpdatePost,
    UpdateProfile,
    UpdateUser,
    UpsertLike,
    UpsertLikes,
    UpsertPost,
    UpsertPosts,
    UpsertProfile,
    UpsertProfiles,
    UpsertUser,
    UpsertUsers,
)

from ..app import Handler
from .like import (
    count_likes,
    create_like,
    create_likes,
    delete_like,
    get_like,
    import_likes,
    list_likes,
    upsert_like,
    upsert_likes,
)
from .post import (
    count_posts,
    create_post,
    create_posts,
    delete_post,
    get_post,
    import_posts,
    list_posts,
    update_post,
    upsert_post,
    upsert_posts,
)
from .profile import (
    count_profiles,
    create_profile,
    create_profiles,
    delete_profile,
    get_profile,
    import_profiles,
    list_profiles,
    update_profile,
    upsert_profile,
    upsert_profiles,
)
from .user import (
    count_users,
    create_user,
    create_users,
    delete_user,
    get_user,
    import_users,
    list_users,
    set_user_posts,
    update_user,
    upsert_user,
    upsert_users,
)


async def handle(session: AsyncSession, command: ExampleCommand) -> object:  # noqa: C901, PLR0911, PLR0912  # it is a table
    """Carry a command out in the session's open transaction; the type checker holds that none is left out."""
    match command:
        case CreateUser():
            return await create_user(session, command)
        case CreateUsers():
            return await create_users(session, command)
        case ImportUsers():
            return await import_users(session, command)
        case UpdateUser():
            return await update_user(session, command)
        case SetUserPosts():
            return await set_user_posts(session, command)
        case UpsertUser():
            return await upsert_user(session, command)
        case UpsertUsers():
            return await upsert_users(session, command)
        case DeleteUser():
            return await delete_user(session, command)
        case GetUser():
            return await get_user(session, command)
        case ListUsers():
            return await list_users(session, command)
        case CountUsers():
            return await count_users(session, command)
        case CreatePost():
            return await create_post(session, command)
        case CreatePosts():
            return await create_posts(session, command)
        case ImportPosts():
            return await import_posts(session, command)
        case UpdatePost():
            return await update_post(session, command)
        case UpsertPost():
            return await upsert_post(session, command)
        case UpsertPosts():
            return await upsert_posts(session, command)
        case DeletePost():
            return await delete_post(session, command)
        case GetPost():
            return await get_post(session, command)
        case ListPosts():
            return await list_posts(session, command)
        case CountPosts():
            return await count_posts(session, command)
        case CreateProfile():
            return await create_profile(session, command)
        case CreateProfiles():
            return await create_profiles(session, command)
        case ImportProfiles():
            return await import_profiles(session, command)
        case UpdateProfile():
            return await update_profile(session, command)
        case UpsertProfile():
            return await upsert_profile(session, command)
        case UpsertProfiles():
            return await upsert_profiles(session, command)
        case DeleteProfile():
            return await delete_profile(session, command)
        case GetProfile():
            return await get_profile(session, command)
        case ListProfiles():
            return await list_profiles(session, command)
        case CountProfiles():
            return await count_profiles(session, command)
        case CreateLike():
            return await create_like(session, command)
        case CreateLikes():
            return await create_likes(session, command)
        case ImportLikes():
            return await import_likes(session, command)
        case UpsertLike():
            return await upsert_like(session, command)
        case UpsertLikes():
            return await upsert_likes(session, command)
        case DeleteLike():
            return await delete_like(session, command)
        case GetLike():
            return await get_like(session, command)
        case ListLikes():
            return await list_likes(session, command)
        case CountLikes():
            return await count_likes(session, command)
        case _:
            assert_never(command)


HANDLERS: dict[type[Command[Any]], Handler] = dict.fromkeys(get_args(ExampleCommand), handle)
