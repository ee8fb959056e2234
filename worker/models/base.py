"""What the example's tables have in common: one MetaData, times and a version."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ..types import Time, utcnow, uuid


class Base(DeclarativeBase):
    """The root of the example's models."""

    # Every constraint has a name that can be foretold: migrations drop them by it, and an error that
    # carries it can be traced to its field.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Time(), UUID: uuid()}  # noqa: RUF012 (SQLAlchemy's own declaration)
    # An UPDATE brings back what the database computed (updated_at). Left to be read later, it would be
    # read by an attribute access, which cannot await.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 (as above)


class Timestamped:
    """When a row was made and last changed, by the database's clock: aware, UTC."""

    created_at: Mapped[datetime] = mapped_column(server_default=utcnow(), sort_order=1)
    updated_at: Mapped[datetime] = mapped_column(server_default=utcnow(), onupdate=utcnow(), sort_order=1)


class Versioned:
    """How often a row was written; the handlers raise it, a newer one supersedes."""

    version: Mapped[int] = mapped_column(default=1, server_default="1", sort_order=2)
