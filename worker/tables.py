"""The worker's own tables: how each command ended, and what could not be carried out."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import CheckConstraint, Column, Identity, Index, Integer, MetaData, Table

from .types import Time, binary, json, serial, string, text, utcnow, uuid

ENDINGS = ("applied", "rejected", "superseded", "expired", "cancelled", "dead", "dropped")
ENTITY_LENGTH = 200
"""Characters of the name of a row, as its lane has it, that are kept beside an ending."""
DEAD_LETTER_STATES = ("rejected", "dead", "retrying", "resolved", "dropped")


@dataclass(frozen=True, slots=True)
class WorkerTables:
    """The worker's tables in one schema, with the MetaData that holds them and nothing else."""

    metadata: MetaData
    processed_commands: Table
    dead_letters: Table
    outbox: Table
    relays: Table
    feed: Table


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
    made = (make(metadata) for make in (_processed_commands, _dead_letters, _outbox, _relays, _feed))
    return WorkerTables(metadata, *made)


def _processed_commands(metadata: MetaData) -> Table:
    """One row for each command that ended: the first committed is the truth."""
    return Table(
        "processed_commands",
        metadata,
        Column("command_id", uuid(), primary_key=True),
        Column("kind", text(), nullable=False),
        Column("fingerprint", string(64), nullable=False),
        Column("generation", Integer(), nullable=False, default=0, server_default="0"),
        Column("ending", string(16), nullable=False),
        Column("result", json(), nullable=True),
        Column("summary", json(), nullable=True),  # in place of a result too large or too old to keep
        Column("error", json(), nullable=True),
        Column("ended_at", Time(), nullable=False, server_default=utcnow(), index=True),
        Column("accepted_at", Time(), nullable=True),  # NULL: its stamp could not be read
        Column("began_at", Time(), nullable=True),  # the run that ended it; by Redis's clock, as accepted_at
        Column("entity", string(ENTITY_LENGTH), nullable=True),  # NULL: it is not about one row
        Index(None, "entity", "ended_at"),
        CheckConstraint(_one_of("ending", ENDINGS), name="ending"),
    )


def _dead_letters(metadata: MetaData) -> Table:
    """One row for each command that was rejected or died, with all it takes to understand and replay it."""
    return Table(
        "dead_letters",
        metadata,
        Column("command_id", uuid(), primary_key=True),
        Column("queue", text(), nullable=False),
        Column("kind", text(), nullable=False),
        Column("state", string(16), nullable=False),
        Column("body", binary(), nullable=False),  # as it came: it may be no JSON at all
        Column("error_class", text(), nullable=False),
        Column("sqlstate", string(5), nullable=True),
        Column("code", text(), nullable=False),
        Column("field", text(), nullable=True),
        Column("message", text(), nullable=False),
        Column("traceback", text(), nullable=False),
        Column("place", text(), nullable=False, default="", server_default=""),  # in the code: file:line
        Column("attempts", Integer(), nullable=False),
        Column("generation", Integer(), nullable=False, default=0, server_default="0"),
        Column("accepted_at", Time(), nullable=True),
        Column("died_at", Time(), nullable=False, server_default=utcnow()),
        CheckConstraint(_one_of("state", DEAD_LETTER_STATES), name="state"),
        Index(None, "state", "died_at"),  # the listing: those that wait, the latest first
    )


def _outbox(metadata: MetaData) -> Table:
    """One row for each command that was written in a transaction of its sender's, until it has ended."""
    return Table(
        "outbox",
        metadata,
        Column("id", serial(), Identity(), primary_key=True),
        Column("command_id", uuid(), nullable=False),
        Column("queue", string(100), nullable=False),
        Column("sending", text(), nullable=False),  # as producers/sending.py writes it
        Column("written_at", Time(), nullable=False, server_default=utcnow()),
        Column("published_at", Time(), nullable=True),  # NULL: Redis does not know of it
        Index(None, "queue", "published_at", "id"),
        Index(None, "command_id"),
        sqlite_autoincrement=True,  # an id is never given again
    )


def _relays(metadata: MetaData) -> Table:
    """One row for each queue: which process leads, to which Redis it publishes, how far it has pruned."""
    return Table(
        "relays",
        metadata,
        Column("queue", string(100), primary_key=True),
        Column("owner", string(64), nullable=False),
        Column("seen_at", Time(), nullable=False, server_default=utcnow()),
        Column("epoch", string(100), nullable=False, default="", server_default=""),
        Column("feed_epoch", string(100), nullable=False, default="", server_default=""),
        Column("pruned_until", Time(), nullable=True),  # endings of that time may be gone
        Column("emptied_until", Time(), nullable=True),  # results of that time are
    )


def _feed(metadata: MetaData) -> Table:
    """One row for each change that is to be told, or was told a while ago."""
    return Table(
        "feed",
        metadata,
        Column("id", serial(), Identity(), primary_key=True),
        Column("queue", string(100), nullable=False),
        Column("command_id", uuid(), nullable=False),
        Column("kind", text(), nullable=False),
        Column("entity", text(), nullable=False),
        Column("key", text(), nullable=False),  # "" where the command does not tell
        Column("version", Integer(), nullable=True),
        Column("written_at", Time(), nullable=False, server_default=utcnow()),
        Column("published_at", Time(), nullable=True),  # NULL: Redis does not know of it
        Index(None, "queue", "published_at", "id"),
        sqlite_autoincrement=True,  # an id is never given again
    )


def _one_of(column: str, words: tuple[str, ...]) -> str:
    """Check a word as text, not as an enumerated type: another word is a plain change of the constraint."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"
