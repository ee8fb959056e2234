"""A post: what a user wrote."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..types import string, text
from .base import Base, Timestamped, Versioned

if TYPE_CHECKING:
    from .like import Like
    from .user import User


class Post(Timestamped, Versioned, Base):
    """A text with a title, by one author; it goes when its author goes."""

    __tablename__ = "posts"
    __table_args__ = (CheckConstraint("length(title) >= 1", name="title"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)  # chosen by the producer
    title: Mapped[str] = mapped_column(string(200))
    content: Mapped[str] = mapped_column(text(), default="", server_default="")
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)

    author: Mapped["User"] = relationship(back_populates="posts", lazy="raise")
    likes: Mapped[list["Like"]] = relationship(
        back_populates="post", cascade="all, delete-orphan", passive_deletes=True, lazy="raise"
    )
    # To be read only: a like is written as a Like.
    liked_by: Mapped[list["User"]] = relationship(
        secondary="likes", back_populates="liked_posts", viewonly=True, lazy="raise"
    )
