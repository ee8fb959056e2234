"""What a person wants to see of a command: when it was accepted and begun, of which row, where it failed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op

# Alembic runs this file by its path, outside any package: a relative import has nothing to start from.
from worker.types import Time, string, text

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    schema: str | None = context.config.attributes["schema"]
    op.add_column("processed_commands", sa.Column("accepted_at", Time()), schema=schema)
    op.add_column("processed_commands", sa.Column("began_at", Time()), schema=schema)
    op.add_column("processed_commands", sa.Column("entity", string(200)), schema=schema)
    op.create_index(
        op.f("ix_processed_commands_entity_ended_at"),
        "processed_commands",
        ["entity", "ended_at"],
        schema=schema,
    )
    place = sa.Column("place", text(), server_default="", nullable=False)
    op.add_column("dead_letters", place, schema=schema)


def downgrade() -> None:
    """Take back."""
    schema: str | None = context.config.attributes["schema"]
    op.drop_index(op.f("ix_processed_commands_entity_ended_at"), "processed_commands", schema=schema)
    with op.batch_alter_table("dead_letters", schema=schema) as letters:
        letters.drop_column("place")
    with op.batch_alter_table("processed_commands", schema=schema) as endings:
        for column in ("entity", "began_at", "accepted_at"):
            endings.drop_column(column)
