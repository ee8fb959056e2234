"""Every command of the example domain: users, posts, profiles and likes.

`ExampleCommand` is the register: the worker's table of handlers is proved complete against it.
"""

from uuid_utils.compat import uuid7

from .atomic import Atomic
from .base import Command, NewId, Payload, Query, Ref, View
from .conditions import Condition, F
from .like import (
    CountLikes,
    CreateLike,
    CreateLikes,
    DeleteLike,
    DeleteLikesWhere,
    FindLike,
    FirstLike,
    GetLike,
    LikeKey,
    LikeView,
    ListLikes,
    OneLike,
    UpsertLike,
)
from .post import (
    CountPosts,
    CreatePost,
    CreatePosts,
    DeletePost,
    DeletePostsWhere,
    FindPost,
    FirstPost,
    GetPost,
    ListPosts,
    NewPostOf,
    OnePost,
    PostView,
    UpdatePost,
    UpdatePostsWhere,
    UpsertPost,
)
from .profile import (
    CountProfiles,
    CreateProfile,
    CreateProfiles,
    DeleteProfile,
    DeleteProfilesWhere,
    FindProfile,
    FirstProfile,
    GetProfile,
    ListProfiles,
    NewProfileOf,
    OneProfile,
    ProfileView,
    UpdateProfile,
    UpdateProfilesWhere,
    UpsertProfile,
)
from .query import Page
from .registry import Registry, UnreadableCommand
from .user import (
    CountUsers,
    CreateUser,
    CreateUsers,
    DeleteUser,
    DeleteUsersWhere,
    FindUser,
    FirstUser,
    GetUser,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    OneUser,
    UpdateUser,
    UpdateUsersWhere,
    UpsertUser,
    UserView,
)

UserCommand = (
    CreateUser | CreateUsers | UpdateUser | UpsertUser | DeleteUser
    | UpdateUsersWhere | DeleteUsersWhere | GetUser | ListUsers | CountUsers
    | OneUser | FindUser | FirstUser
)  # fmt: skip
PostCommand = (
    CreatePost | CreatePosts | UpdatePost | UpsertPost | DeletePost
    | UpdatePostsWhere | DeletePostsWhere | GetPost | ListPosts | CountPosts
    | OnePost | FindPost | FirstPost
)  # fmt: skip
ProfileCommand = (
    CreateProfile | CreateProfiles | UpdateProfile | UpsertProfile | DeleteProfile
    | UpdateProfilesWhere | DeleteProfilesWhere | GetProfile | ListProfiles | CountProfiles
    | OneProfile | FindProfile | FirstProfile
)  # fmt: skip
LikeCommand = (
    CreateLike | CreateLikes | UpsertLike | DeleteLike | DeleteLikesWhere
    | GetLike | ListLikes | CountLikes | OneLike | FindLike
    | FirstLike
)  # fmt: skip

ExampleCommand = UserCommand | PostCommand | ProfileCommand | LikeCommand

__all__ = [
    "Atomic",
    "Command",
    "Condition",
    "CountLikes",
    "CountPosts",
    "CountProfiles",
    "CountUsers",
    "CreateLike",
    "CreateLikes",
    "CreatePost",
    "CreatePosts",
    "CreateProfile",
    "CreateProfiles",
    "CreateUser",
    "CreateUsers",
    "DeleteLike",
    "DeleteLikesWhere",
    "DeletePost",
    "DeletePostsWhere",
    "DeleteProfile",
    "DeleteProfilesWhere",
    "DeleteUser",
    "DeleteUsersWhere",
    "ExampleCommand",
    "F",
    "FindLike",
    "FindPost",
    "FindProfile",
    "FindUser",
    "FirstLike",
    "FirstPost",
    "FirstProfile",
    "FirstUser",
    "GetLike",
    "GetPost",
    "GetProfile",
    "GetUser",
    "LikeCommand",
    "LikeKey",
    "LikeView",
    "ListLikes",
    "ListPosts",
    "ListProfiles",
    "ListUsers",
    "NewId",
    "NewPost",
    "NewPostOf",
    "NewProfile",
    "NewProfileOf",
    "NewUser",
    "OneLike",
    "OnePost",
    "OneProfile",
    "OneUser",
    "Page",
    "Payload",
    "PostCommand",
    "PostView",
    "ProfileCommand",
    "ProfileView",
    "Query",
    "Ref",
    "Registry",
    "UnreadableCommand",
    "UpdatePost",
    "UpdatePostsWhere",
    "UpdateProfile",
    "UpdateProfilesWhere",
    "UpdateUser",
    "UpdateUsersWhere",
    "UpsertLike",
    "UpsertPost",
    "UpsertProfile",
    "UpsertUser",
    "UserCommand",
    "UserView",
    "View",
    "uuid7",
]
