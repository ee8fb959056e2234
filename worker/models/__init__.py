"""The register of the example's models: importing it makes all of them known to `Base.metadata`."""

from .base import Base
from .like import Like
from .post import Post
from .profile import Profile
from .user import User

__all__ = ["Base", "Like", "Post", "Profile", "User"]
