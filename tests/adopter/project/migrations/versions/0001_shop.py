"""Users, orders and lines."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("login", sa.String(40), nullable=False, unique=True),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger, sa.Identity(start=1000), primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False, index=True),
    )
    op.create_table(
        "lines",
        sa.Column("order_id", sa.BigInteger, sa.ForeignKey("orders.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("article", sa.String(80), nullable=False),
        sa.Column("cents", sa.Integer, nullable=False),
        sa.CheckConstraint("cents > 0", name="cents_are_positive"),
    )


def downgrade() -> None:
    """Take back."""
    for table in ("lines", "orders", "users"):
        op.drop_table(table)
