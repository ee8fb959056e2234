"""The outbox, and who publishes it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op

# Alembic runs this file by its path, outside any package: a relative import has nothing to start from.
from worker.types import Time, serial, string, text, utcnow, uuid

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    schema: str | None = context.config.attributes["schema"]
    op.create_table(
        "outbox",
        sa.Column("id", serial(), sa.Identity(), nullable=False),
        sa.Column("command_id", uuid(), nullable=False),
        sa.Column("queue", string(100), nullable=False),
        sa.Column("sending", text(), nullable=False),
        sa.Column("written_at", Time(), server_default=utcnow(), nullable=False),
        sa.Column("published_at", Time(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema=schema,
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_outbox_queue_published_at_id"), "outbox", ["queue", "published_at", "id"], schema=schema
    )
    op.create_table(
        "relays",
        sa.Column("queue", string(100), nullable=False),
        sa.Column("owner", string(64), nullable=False),
        sa.Column("seen_at", Time(), server_default=utcnow(), nullable=False),
        sa.Column("epoch", string(100), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_relays")),
        schema=schema,
    )


def downgrade() -> None:
    """Take back."""
    schema: str | None = context.config.attributes["schema"]
    for table in ("relays", "outbox"):
        op.drop_table(table, schema=schema)
