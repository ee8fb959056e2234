"""The index of the example: which handler carries out which command."""

from typing import Any, assert_never, get_args

from sqlalchemy.ext.asyncio import AsyncSession

from producers import commands as of
from producers.commands import Command

from ..app import Handler
from . import like, post, profile, user

# Each is a table; the type checker holds that no command is left out.


async def handle_user(session: AsyncSession, command: of.UserCommand) -> object:  # noqa: C901, PLR0911, PLR0912  # a table
    """Carry a command about users out in the session's open transaction."""
    match command:
        case of.CreateUser():
            return await user.create_user(session, command)
        case of.CreateUsers():
            return await user.create_users(session, command)
        case of.ImportUsers():
            return await user.import_users(session, command)
        case of.UpdateUser():
            return await user.update_user(session, command)
        case of.SetUserPosts():
            return await user.set_user_posts(session, command)
        case of.UpsertUser():
            return await user.upsert_user(session, command)
        case of.UpsertUsers():
            return await user.upsert_users(session, command)
        case of.DeleteUser():
            return await user.delete_user(session, command)
        case of.UpdateUsersWhere():
            return await user.update_users_where(session, command)
        case of.DeleteUsersWhere():
            return await user.delete_users_where(session, command)
        case of.GetUser():
            return await user.get_user(session, command)
        case of.OneUser():
            return await user.one_user(session, command)
        case of.FindUser():
            return await user.find_user(session, command)
        case of.FirstUser():
            return await user.first_user(session, command)
        case of.ListUsers():
            return await user.list_users(session, command)
        case of.CountUsers():
            return await user.count_users(session, command)
        case _:
            assert_never(command)


async def handle_post(session: AsyncSession, command: of.PostCommand) -> object:  # noqa: C901, PLR0911, PLR0912  # a table
    """Carry a command about posts out in the session's open transaction."""
    match command:
        case of.CreatePost():
            return await post.create_post(session, command)
        case of.CreatePosts():
            return await post.create_posts(session, command)
        case of.ImportPosts():
            return await post.import_posts(session, command)
        case of.UpdatePost():
            return await post.update_post(session, command)
        case of.UpsertPost():
            return await post.upsert_post(session, command)
        case of.UpsertPosts():
            return await post.upsert_posts(session, command)
        case of.DeletePost():
            return await post.delete_post(session, command)
        case of.UpdatePostsWhere():
            return await post.update_posts_where(session, command)
        case of.DeletePostsWhere():
            return await post.delete_posts_where(session, command)
        case of.GetPost():
            return await post.get_post(session, command)
        case of.OnePost():
            return await post.one_post(session, command)
        case of.FindPost():
            return await post.find_post(session, command)
        case of.FirstPost():
            return await post.first_post(session, command)
        case of.ListPosts():
            return await post.list_posts(session, command)
        case of.CountPosts():
            return await post.count_posts(session, command)
        case _:
            assert_never(command)


async def handle_profile(session: AsyncSession, command: of.ProfileCommand) -> object:  # noqa: C901, PLR0911, PLR0912  # a table
    """Carry a command about profiles out in the session's open transaction."""
    match command:
        case of.CreateProfile():
            return await profile.create_profile(session, command)
        case of.CreateProfiles():
            return await profile.create_profiles(session, command)
        case of.ImportProfiles():
            return await profile.import_profiles(session, command)
        case of.UpdateProfile():
            return await profile.update_profile(session, command)
        case of.UpsertProfile():
            return await profile.upsert_profile(session, command)
        case of.UpsertProfiles():
            return await profile.upsert_profiles(session, command)
        case of.DeleteProfile():
            return await profile.delete_profile(session, command)
        case of.UpdateProfilesWhere():
            return await profile.update_profiles_where(session, command)
        case of.DeleteProfilesWhere():
            return await profile.delete_profiles_where(session, command)
        case of.GetProfile():
            return await profile.get_profile(session, command)
        case of.OneProfile():
            return await profile.one_profile(session, command)
        case of.FindProfile():
            return await profile.find_profile(session, command)
        case of.FirstProfile():
            return await profile.first_profile(session, command)
        case of.ListProfiles():
            return await profile.list_profiles(session, command)
        case of.CountProfiles():
            return await profile.count_profiles(session, command)
        case _:
            assert_never(command)


async def handle_like(session: AsyncSession, command: of.LikeCommand) -> object:  # noqa: C901, PLR0911, PLR0912  # a table
    """Carry a command about likes out in the session's open transaction."""
    match command:
        case of.CreateLike():
            return await like.create_like(session, command)
        case of.CreateLikes():
            return await like.create_likes(session, command)
        case of.ImportLikes():
            return await like.import_likes(session, command)
        case of.UpsertLike():
            return await like.upsert_like(session, command)
        case of.UpsertLikes():
            return await like.upsert_likes(session, command)
        case of.DeleteLike():
            return await like.delete_like(session, command)
        case of.DeleteLikesWhere():
            return await like.delete_likes_where(session, command)
        case of.GetLike():
            return await like.get_like(session, command)
        case of.OneLike():
            return await like.one_like(session, command)
        case of.FindLike():
            return await like.find_like(session, command)
        case of.FirstLike():
            return await like.first_like(session, command)
        case of.ListLikes():
            return await like.list_likes(session, command)
        case of.CountLikes():
            return await like.count_likes(session, command)
        case _:
            assert_never(command)


HANDLERS: dict[type[Command[Any]], Handler] = {
    **dict.fromkeys(get_args(of.UserCommand), handle_user),
    **dict.fromkeys(get_args(of.PostCommand), handle_post),
    **dict.fromkeys(get_args(of.ProfileCommand), handle_profile),
    **dict.fromkeys(get_args(of.LikeCommand), handle_like),
}
