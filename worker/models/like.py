"""A like: who likes which post, the association object between the two."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base

if TYPE_CHECKING:
    from .post import Post
    from .user import User


class Like(Base):
    """At most one for each user and post: the pair is the key."""

    __tablename__ = "likes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    # The key finds a user's likes; the index finds those of a post.
    post_id: Mapped[UUID] = mapped_column(
        ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True, index=True
    )

    user: Mapped["User"] = relationship(back_populates="likes", lazy="raise")
    post: Mapped["Post"] = relationship(back_populates="likes", lazy="raise")
