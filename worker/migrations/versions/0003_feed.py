"""What was changed, for those who want to hear of it; how far endings are pruned."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op

# Alembic runs this file by its path, outside any package: a relative import has nothing to start from.
from worker.types import Time, serial, string, text, utcnow, uuid

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    schema: str | None = context.config.attributes["schema"]
    op.create_table(
        "feed",
        sa.Column("id", serial(), sa.Identity(), nullable=False),
        sa.Column("queue", string(100), nullable=False),
        sa.Column("command_id", uuid(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("entity", text(), nullable=False),
        sa.Column("key", text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("written_at", Time(), server_default=utcnow(), nullable=False),
        sa.Column("published_at", Time(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed")),
        schema=schema,
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_feed_queue_published_at_id"), "feed", ["queue", "published_at", "id"], schema=schema
    )
    op.create_index(op.f("ix_outbox_command_id"), "outbox", ["command_id"], schema=schema)
    feed_epoch = sa.Column("feed_epoch", string(100), server_default="", nullable=False)
    for column in (feed_epoch, sa.Column("pruned_until", Time()), sa.Column("emptied_until", Time())):
        op.add_column("relays", column, schema=schema)


def downgrade() -> None:
    """Take back."""
    schema: str | None = context.config.attributes["schema"]
    with op.batch_alter_table("relays", schema=schema) as relays:
        for column in ("emptied_until", "pruned_until", "feed_epoch"):
            relays.drop_column(column)
    op.drop_index(op.f("ix_outbox_command_id"), "outbox", schema=schema)
    op.drop_table("feed", schema=schema)
