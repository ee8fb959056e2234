"""Every command of the example domain: users, posts, profiles and likes.

`ExampleCommand` is the register: the worker's table of handlers is proved complete against it.
"""

from uuid_utils.compat import uuid7

from .atomic import Atomic
from .base import Command, NewId, Payload, Query, Ref, View
from .like import (
    CountLikes,
    CreateLike,
    CreateLikes,
    DeleteLike,
    GetLike,
    LikeKey,
    LikeView,
    ListLikes,
    UpsertLike,
)
from .post import (
    CountPosts,
    CreatePost,
    CreatePosts,
    DeletePost,
    GetPost,
    ListPosts,
    NewPostOf,
    PostView,
    UpdatePost,
    UpsertPost,
)
from .profile import (
    CountProfiles,
    CreateProfile,
    CreateProfiles,
    DeleteProfile,
    GetProfile,
    ListProfiles,
    NewProfileOf,
    ProfileView,
    UpdateProfile,
    UpsertProfile,
)
from .query import Page
from .registry import Registry, UnreadableCommand
from .user import (
    CountUsers,
    CreateUser,
    CreateUsers,
    DeleteUser,
    GetUser,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    UpdateUser,
    UpsertUser,
    UserView,
)

UserCommand = (
    CreateUser | CreateUsers | UpdateUser | UpsertUser | DeleteUser | GetUser | ListUsers | CountUsers
)  # fmt: skip
PostCommand = (
    CreatePost | CreatePosts | UpdatePost | UpsertPost | DeletePost | GetPost | ListPosts | CountPosts
)  # fmt: skip
ProfileCommand = (
    CreateProfile | CreateProfiles | UpdateProfile | UpsertProfile
    | DeleteProfile | GetProfile | ListProfiles | CountProfiles
)  # fmt: skip
LikeCommand = (
    CreateLike | CreateLikes | UpsertLike | DeleteLike | GetLike | ListLikes | CountLikes
)  # fmt: skip

ExampleCommand = UserCommand | PostCommand | ProfileCommand | LikeCommand

__all__ = [
    "Atomic",
    "Command",
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
    "DeletePost",
    "DeleteProfile",
    "DeleteUser",
    "ExampleCommand",
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
    "UpdateProfile",
    "UpdateUser",
    "UpsertLike",
    "UpsertPost",
    "UpsertProfile",
    "UpsertUser",
    "UserCommand",
    "UserView",
    "View",
    "uuid7",
]
