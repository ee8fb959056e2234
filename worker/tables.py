"""The worker's own tables: how each command ended, and what could not be carried out."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

ENDINGS = ("applied", "rejected", "superseded", "expired", "cancelled", "dead", "dropped")
DEAD_LETTER_STATES = ("rejected", "dead", "retrying", "resolved", "dropped")

# None is SQL's NULL, never JSON's null: there is one way to say "nothing".
_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_TIME = DateTime(timezone=True)


@dataclass(frozen=True, slots=True)
class WorkerTables:
    """The worker's tables in one schema, with the MetaData that holds them and nothing else."""

    metadata: MetaData
    processed_commands: Table
    dead_letters: Table


# Why a function and not a `schema_translate_map`: the map is an option of an engine or a connection, one
# for all statements on it, and both may be an adopter's, with a map of their own; it also rewrites the SQL
# at each execution. Tables built for their schema compile once and mean the same on every session. The
# cache makes them one object for each schema, so that they also hit SQLAlchemy's cache of statements.
@cache
def worker_tables(schema: str | None, /) -> WorkerTables:
    """Return the tables in `schema` (the setting WORKER_SCHEMA); None is the connection's own search path."""
    metadata = MetaData(
        schema=schema,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        },
    )
    return WorkerTables(metadata, _processed_commands(metadata), _dead_letters(metadata))


def _processed_commands(metadata: MetaData) -> Table:
    """One row for each command that ended: the first committed is the truth."""
    return Table(
        "processed_commands",
        metadata,
        Column("command_id", Uuid(), primary_key=True),
        Column("kind", Text(), nullable=False),
        Column("fingerprint", String(64), nullable=False),
        Column("generation", Integer(), nullable=False, default=0, server_default="0"),
        Column("ending", String(16), nullable=False),
        Column("result", _JSON, nullable=True),
        Column("summary", _JSON, nullable=True),  # in place of a result too large to keep
        Column("error", _JSON, nullable=True),
        Column("ended_at", _TIME, nullable=False, server_default=func.now(), index=True),
        CheckConstraint(_one_of("ending", ENDINGS), name="ending"),
    )


def _dead_letters(metadata: MetaData) -> Table:
    """One row for each command that was rejected or died, with all it takes to understand and replay it."""
    return Table(
        "dead_letters",
        metadata,
        Column("command_id", Uuid(), primary_key=True),
        Column("queue", Text(), nullable=False),
        Column("kind", Text(), nullable=False),
        Column("state", String(16), nullable=False),
        Column("body", LargeBinary(), nullable=False),  # as it came: it may be no JSON at all
        Column("error_class", Text(), nullable=False),
        Column("sqlstate", String(5), nullable=True),
        Column("code", Text(), nullable=False),
        Column("field", Text(), nullable=True),
        Column("message", Text(), nullable=False),
        Column("traceback", Text(), nullable=False),
        Column("attempts", Integer(), nullable=False),
        Column("generation", Integer(), nullable=False, default=0, server_default="0"),
        Column("accepted_at", _TIME, nullable=True),
        Column("died_at", _TIME, nullable=False, server_default=func.now()),
        CheckConstraint(_one_of("state", DEAD_LETTER_STATES), name="state"),
        Index(None, "state", "died_at"),  # the listing: those that wait, the latest first
    )


def _one_of(column: str, words: tuple[str, ...]) -> str:
    """Check a word as text, not as an enumerated type: another word is a plain change of the constraint."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"
