"""How each command ended, and the dead letters."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op

# Alembic runs this file by its path, outside any package: a relative import has nothing to start from.
from worker.types import Time, binary, json, string, text, utcnow, uuid

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    schema: str | None = context.config.attributes["schema"]
    op.create_table(
        "processed_commands",
        sa.Column("command_id", uuid(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("fingerprint", string(64), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ending", string(16), nullable=False),
        sa.Column("result", json(), nullable=True),
        sa.Column("summary", json(), nullable=True),
        sa.Column("error", json(), nullable=True),
        sa.Column("ended_at", Time(), server_default=utcnow(), nullable=False),
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
        sa.Column("command_id", uuid(), nullable=False),
        sa.Column("queue", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("state", string(16), nullable=False),
        sa.Column("body", binary(), nullable=False),
        sa.Column("error_class", text(), nullable=False),
        sa.Column("sqlstate", string(5), nullable=True),
        sa.Column("code", text(), nullable=False),
        sa.Column("field", text(), nullable=True),
        sa.Column("message", text(), nullable=False),
        sa.Column("traceback", text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("accepted_at", Time(), nullable=True),
        sa.Column("died_at", Time(), server_default=utcnow(), nullable=False),
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
