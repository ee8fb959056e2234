"""Every command of the example domain: users, posts, profiles and likes.

`ExampleCommand` is the register: the worker's table of handlers is proved complete against it.
"""

from uuid_utils.compat import uuid7

from .atomic import Atomic
from .attributes import F
from .base import Command, Key, NewId, Payload, Personal, Query, Ref, Secret, View
from .bulk import Imported, Refusal
from .conditions import Condition
from .like import (
    CountLikes,
    CreateLike,
    CreateLikes,
    DeleteLike,
    DeleteLikesWhere,
    FindLike,
    FirstLike,
    GetLike,
    ImportLikes,
    LikeKey,
    LikeView,
    ListLikes,
    OneLike,
    UpsertLike,
    UpsertLikes,
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
    ImportPosts,
    ListPosts,
    NewPostOf,
    OnePost,
    PostView,
    UpdatePost,
    UpdatePostsWhere,
    UpsertPost,
    UpsertPosts,
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
    ImportProfiles,
    ListProfiles,
    NewProfileOf,
    OneProfile,
    ProfileView,
    UpdateProfile,
    UpdateProfilesWhere,
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
    DeleteUsersWhere,
    FindUser,
    FirstUser,
    GetUser,
    ImportUsers,
    KeptPost,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    OneUser,
    SetUserPosts,
    UpdateUser,
    UpdateUsersWhere,
    UpsertUser,
    UpsertUsers,
    UserView,
)

UserCommand = (
    CreateUser | CreateUsers | ImportUsers | UpdateUser | SetUserPosts
    | UpsertUser | UpsertUsers | DeleteUser | UpdateUsersWhere | DeleteUsersWhere
    | GetUser | OneUser | FindUser | FirstUser | ListUsers
    | CountUsers
)  # fmt: skip
PostCommand = (
    CreatePost | CreatePosts | ImportPosts | UpdatePost | UpsertPost
    | UpsertPosts | DeletePost | UpdatePostsWhere | DeletePostsWhere | GetPost
    | OnePost | FindPost | FirstPost | ListPosts | CountPosts
)  # fmt: skip
ProfileCommand = (
    CreateProfile | CreateProfiles | ImportProfiles | UpdateProfile | UpsertProfile
    | UpsertProfiles | DeleteProfile | UpdateProfilesWhere | DeleteProfilesWhere | GetProfile
    | OneProfile | FindProfile | FirstProfile | ListProfiles | CountProfiles
)  # fmt: skip
LikeCommand = (
    CreateLike | CreateLikes | ImportLikes | UpsertLike | UpsertLikes
    | DeleteLike | DeleteLikesWhere | GetLike | OneLike | FindLike
    | FirstLike | ListLikes | CountLikes
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
    "ImportLikes",
    "ImportPosts",
    "ImportProfiles",
    "ImportUsers",
    "Imported",
    "KeptPost",
    "Key",
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
    "Personal",
    "PostCommand",
    "PostView",
    "ProfileCommand",
    "ProfileView",
    "Query",
    "Ref",
    "Refusal",
    "Registry",
    "Secret",
    "SetUserPosts",
    "UnreadableCommand",
    "UpdatePost",
    "UpdatePostsWhere",
    "UpdateProfile",
    "UpdateProfilesWhere",
    "UpdateUser",
    "UpdateUsersWhere",
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
