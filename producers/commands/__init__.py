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
    FindPost,
    FirstPost,
    GetPost,
    ListPosts,
    NewPostOf,
    OnePost,
    PostView,
    UpdatePost,
    UpsertPost,
)
from .profile import (
    CountProfiles,
    CreateProfile,
    CreateProfiles,
    DeleteProfile,
    FindProfile,
    FirstProfile,
    GetProfile,
    ListProfiles,
    NewProfileOf,
    OneProfile,
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
    FindUser,
    FirstUser,
    GetUser,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    OneUser,
    UpdateUser,
    UpsertUser,
    UserView,
)

UserCommand = (
    CreateUser | CreateUsers | UpdateUser | UpsertUser | DeleteUser | GetUser | ListUsers | CountUsers
    | OneUser | FindUser | FirstUser
)  # fmt: skip
PostCommand = (
    CreatePost | CreatePosts | UpdatePost | UpsertPost | DeletePost | GetPost | ListPosts | CountPosts
    | OnePost | FindPost | FirstPost
)  # fmt: skip
ProfileCommand = (
    CreateProfile | CreateProfiles | UpdateProfile | UpsertProfile
    | DeleteProfile | GetProfile | ListProfiles | CountProfiles
    | OneProfile | FindProfile | FirstProfile
)  # fmt: skip
LikeCommand = (
    CreateLike | CreateLikes | UpsertLike | DeleteLike | GetLike | ListLikes | CountLikes
    | OneLike | FindLike | FirstLike
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
    "DeletePost",
    "DeleteProfile",
    "DeleteUser",
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
