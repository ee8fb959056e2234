"""The worker's settings: WORKER_* and DATABASE_URL."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from producers.settings import Settings

from .database_url import normalized_url

_HIGHEST_PORT = 65535


def host_and_port(address: str) -> tuple[str, int]:
    """Read host:port; an IPv6 address is in brackets. Without a host it is all addresses of this machine."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal() and int(port) <= _HIGHEST_PORT):
        raise ValueError("write HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)


def _is_address(address: str) -> str:
    if address:
        host_and_port(address)
    return address


class WorkerOptions(Settings):
    """How a worker process carries commands out."""

    model_config = SettingsConfigDict(env_prefix="WORKER_")

    database_url: Annotated[str, AfterValidator(normalized_url)] = Field(
        default="",
        validate_default=False,  # an App with an engine of its own needs none
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        repr=False,
        description="postgresql+asyncpg://user:password@host/name (postgres:// and sslmode are understood), "
        "sqlite+aiosqlite:///file or mariadb+asyncmy://user:password@host/name.",
    )
    read_database_url: Annotated[str, AfterValidator(normalized_url)] = Field(
        default="",
        validate_default=False,
        repr=False,
        description="A replica for reads that say `stale_ok`; the database itself by default.",
    )
    db_schema: str | None = Field(
        default=None,
        validation_alias=AliasChoices("WORKER_SCHEMA", "db_schema"),
        description="Schema of the worker's own tables; the connection's search path by default.",
    )
    concurrency: int = Field(
        default=20, ge=1, le=1000, description="Commands that one process runs side by side."
    )
    pool_size: int | None = Field(
        default=None,
        ge=1,
        description="Connections to the database, and so the most slots; "
        "WORKER_CONCURRENCY by default, 2 on SQLite.",
    )
    pool_pre_ping: bool = Field(
        default=False, description="Test a connection before each use, at the cost of a round trip."
    )
    prepared_statements: bool = Field(
        default=True,
        description="Keep statements prepared on connections to PostgreSQL; "
        "false behind a pooler in transaction mode that cannot, as PgBouncer before 1.21.",
    )
    job_timeout: float = Field(
        default=30, gt=0, description="Seconds that one attempt may take, up to its COMMIT."
    )
    commit_timeout: float = Field(
        default=10, gt=0, description="Seconds for COMMIT, and for each look at or record of an ending."
    )
    max_attempts: int = Field(default=6, ge=1, description="Counted failures after which a command is dead.")
    backoff: float = Field(
        default=1,
        gt=0,
        description="Longest pause, in seconds, before the second attempt; it doubles each time.",
    )
    backoff_cap: float = Field(
        default=300, gt=0, description="Longest pause, in seconds, before any attempt."
    )
    unreadable_timeout: float = Field(
        default=3600,
        ge=0,
        description="Seconds that a command no worker can read is kept, for a deploy to bring one that can.",
    )
    shutdown_timeout: float = Field(
        default=30,
        gt=0,
        description="Seconds that running commands get to finish after SIGTERM; the rest is handed back.",
    )
    poll_delay: float = Field(
        default=0.25, gt=0, description="Seconds between two looks into the queue where nobody gives a hint."
    )
    retention: float = Field(
        default=7 * 86400,
        ge=3600,
        description="Seconds that endings are kept, and with them the knowledge of what was applied.",
    )
    result_retention: float = Field(
        default=86400, ge=0, description="Seconds that the database keeps results in them."
    )
    result_limit: int = Field(
        default=64 * 1024,
        ge=1024,
        description="Bytes up to which a result is kept whole; beyond, its counts and ids.",
    )
    feed: bool = Field(default=False, description="Publish what is changed to a stream of Redis.")
    feed_length: int = Field(default=100_000, ge=1, description="About how many changes that stream holds.")
    echo: Literal["", "statements", "values"] = Field(
        default="", description="Log SQL, for learning: its statements, or with their values."
    )
    http: Annotated[str, AfterValidator(_is_address)] = Field(
        default="",
        description="Serve /metrics, /livez and /readyz at this HOST:PORT, such as 127.0.0.1:9464.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="Form of the log: console on a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )

    @field_validator("db_schema")
    @classmethod
    def _has_schemas(cls, schema: str | None, info: ValidationInfo) -> str | None:
        if schema is not None and info.data.get("database_url", "").startswith("sqlite"):
            raise ValueError("SQLite has no schemas: leave it out")
        return schema
