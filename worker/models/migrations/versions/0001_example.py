"""Users, posts, profiles and likes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

# Alembic runs this file by its path, outside any package: a relative import has nothing to start from.
from worker.types import Time, string, text, utcnow, uuid

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "users",
        sa.Column("id", uuid(), nullable=False),
        sa.Column("username", string(50), nullable=True),
        sa.Column("email", string(255), nullable=True),
        sa.Column("name", string(255), nullable=True),
        sa.Column("age", sa.Integer(), nullable=True),
        sa.Column("hashed_password", string(255), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", Time(), server_default=utcnow(), nullable=False),
        sa.Column("updated_at", Time(), server_default=utcnow(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "username IS NOT NULL OR email IS NOT NULL OR name IS NOT NULL", name=op.f("ck_users_named")
        ),
        sa.CheckConstraint("length(username) >= 1", name=op.f("ck_users_username")),
        sa.CheckConstraint("age BETWEEN 0 AND 150", name=op.f("ck_users_age")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "posts",
        sa.Column("id", uuid(), nullable=False),
        sa.Column("title", string(200), nullable=False),
        sa.Column("content", text(), server_default="", nullable=False),
        sa.Column("user_id", uuid(), nullable=False),
        sa.Column("created_at", Time(), server_default=utcnow(), nullable=False),
        sa.Column("updated_at", Time(), server_default=utcnow(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("length(title) >= 1", name=op.f("ck_posts_title")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_posts_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posts")),
    )
    op.create_index(op.f("ix_posts_user_id"), "posts", ["user_id"])
    op.create_table(
        "profiles",
        sa.Column("id", uuid(), nullable=False),
        sa.Column("bio", text(), nullable=True),
        sa.Column("user_id", uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_profiles_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profiles")),
        sa.UniqueConstraint("user_id", name=op.f("uq_profiles_user_id")),
    )
    op.create_table(
        "likes",
        sa.Column("user_id", uuid(), nullable=False),
        sa.Column("post_id", uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_likes_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["post_id"], ["posts.id"], name=op.f("fk_likes_post_id_posts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "post_id", name=op.f("pk_likes")),
    )
    op.create_index(op.f("ix_likes_post_id"), "likes", ["post_id"])


def downgrade() -> None:
    """Take back."""
    for table in ("likes", "profiles", "posts", "users"):
        op.drop_table(table)
