"""The example's migrations: where they are, and the table that says how far they ran."""

from pathlib import Path

from ...migrate import Migrations

EXAMPLE = Migrations(location=Path(__file__).parent, version_table="example_alembic_version")
