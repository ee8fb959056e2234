"""How each command ended, and the dead letters."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    schema: str | None = context.config.attributes["schema"]
    json = sa.JSON().with_variant(JSONB(), "postgresql")
    time = sa.DateTime(timezone=True)
    op.create_table(
        "processed_commands",
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ending", sa.String(16), nullable=False),
        sa.Column("result", json, nullable=True),
        sa.Column("summary", json, nullable=True),
        sa.Column("error", json, nullable=True),
        sa.Column("ended_at", time, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "ending IN ('applied', 'rejected', 'superseded', 'expired', 'cancelled', 'dead', 'dropped')",
            name=op.f("ck_processed_commands_ending"),
        ),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_processed_commands")),
        schema=schema,
    )
    op.create_index(op.f("ix_processed_commands_ended_at"), "processed_commands", ["ended_at"], schema=schema)
    op.create_table(
        "dead_letters",
        sa.Column("command_id", sa.Uuid(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=False),
        sa.Column("sqlstate", sa.String(5), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("accepted_at", time, nullable=True),
        sa.Column("died_at", time, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "state IN ('rejected', 'dead', 'retrying', 'resolved', 'dropped')",
            name=op.f("ck_dead_letters_state"),
        ),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_dead_letters")),
        schema=schema,
    )
    op.create_index(
        op.f("ix_dead_letters_state_died_at"), "dead_letters", ["state", "died_at"], schema=schema
    )


def downgrade() -> None:
    """Take back."""
    schema: str | None = context.config.attributes["schema"]
    for table in ("dead_letters", "processed_commands"):
        op.drop_table(table, schema=schema)
