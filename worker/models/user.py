"""A user: the root of the example's other tables."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..types import string
from .base import Base, Timestamped, Versioned

if TYPE_CHECKING:
    from .like import Like
    from .post import Post
    from .profile import Profile


class User(Timestamped, Versioned, Base):
    """Someone with a username, an email address or at least a name."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("username IS NOT NULL OR email IS NOT NULL OR name IS NOT NULL", name="named"),
        CheckConstraint("length(username) >= 1", name="username"),
        CheckConstraint("age BETWEEN 0 AND 150", name="age"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)  # chosen by the producer
    username: Mapped[str | None] = mapped_column(string(50), unique=True)
    email: Mapped[str | None] = mapped_column(string(255), unique=True)
    name: Mapped[str | None] = mapped_column(string(255))
    age: Mapped[int | None]
    hashed_password: Mapped[str | None] = mapped_column(string(255))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())

    # None of these can live without its user. The session deletes what it has loaded, the database the rest.
    posts: Mapped[list["Post"]] = relationship(
        back_populates="author", cascade="all, delete-orphan", passive_deletes=True, lazy="raise"
    )
    profile: Mapped["Profile | None"] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True, lazy="raise"
    )
    likes: Mapped[list["Like"]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True, lazy="raise"
    )
    # To be read only: a like is written as a Like.
    liked_posts: Mapped[list["Post"]] = relationship(
        secondary="likes", back_populates="liked_by", viewonly=True, lazy="raise"
    )
