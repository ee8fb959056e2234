"""Every command of the example domain: users, posts, profiles and likes.

`ExampleCommand` is the register: the worker's table of handlers is proved complete against it.
"""

from uuid_utils.compat import uuid7

from .atomic import Atomic
from .base import Command, NewId, Payload, Query, Ref, View
from .bulk import Imported, Refusal
from .like import (
    CountLikes,
    CreateLike,
    CreateLikes,
    DeleteLike,
    GetLike,
    ImportLikes,
    LikeKey,
    LikeView,
    ListLikes,
    UpsertLike,
    UpsertLikes,
)
from .post import (
    CountPosts,
    CreatePost,
    CreatePosts,
    DeletePost,
    GetPost,
    ImportPosts,
    ListPosts,
    NewPostOf,
    PostView,
    UpdatePost,
    UpsertPost,
    UpsertPosts,
)
from .profile import (
    CountProfiles,
    CreateProfile,
    CreateProfiles,
    DeleteProfile,
    GetProfile,
    ImportProfiles,
    ListProfiles,
    NewProfileOf,
    ProfileView,
    UpdateProfile,
    UpsertProfile,
    UpsertProfiles,
)
from .query import Page
from .registry import Registry, UnreadableCommand
from .user import (
    CountUsers,
    CreateUser,
    CreateUsers,
    DeleteUser,
    GetUser,
    ImportUsers,
    KeptPost,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    SetUserPosts,
    UpdateUser,
    UpsertUser,
    UpsertUsers,
    UserView,
)

UserCommand = (
    CreateUser | CreateUsers | ImportUsers | UpdateUser | SetUserPosts | UpsertUser | UpsertUsers
    | DeleteUser | GetUser | ListUsers | CountUsers
)  # fmt: skip
PostCommand = (
    CreatePost | CreatePosts | ImportPosts | UpdatePost | UpsertPost | UpsertPosts
    | DeletePost | GetPost | ListPosts | CountPosts
)  # fmt: skip
ProfileCommand = (
    CreateProfile | CreateProfiles | ImportProfiles | UpdateProfile | UpsertProfile | UpsertProfiles
    | DeleteProfile | GetProfile | ListProfiles | CountProfiles
)  # fmt: skip
LikeCommand = (
    CreateLike | CreateLikes | ImportLikes | UpsertLike | UpsertLikes
    | DeleteLike | GetLike | ListLikes | CountLikes
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
    "ImportLikes",
    "ImportPosts",
    "ImportProfiles",
    "ImportUsers",
    "Imported",
    "KeptPost",
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
    "Refusal",
    "Registry",
    "SetUserPosts",
    "UnreadableCommand",
    "UpdatePost",
    "UpdateProfile",
    "UpdateUser",
    "UpsertLike",
    "UpsertLikes",
    "UpsertPost",
    "UpsertPosts",
    "UpsertProfile",
    "UpsertProfiles",
    "UpsertUser",
    "UpsertUsers",
    "UserCommand",
    "UserView",
    "View",
    "uuid7",
]
