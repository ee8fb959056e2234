"""A profile: what a user says about themselves, one for each user at most."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..types import text
from .base import Base

if TYPE_CHECKING:
    from .user import User


class Profile(Base):
    """One-to-one with its user: the foreign key is unique."""

    __tablename__ = "profiles"

    id: Mapped[UUID] = mapped_column(primary_key=True)  # chosen by the producer
    bio: Mapped[str | None] = mapped_column(text())
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)

    user: Mapped["User"] = relationship(back_populates="profile", lazy="raise")
