"""Structured logs: one line per transition of a command, and never a value of a row or payload."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from .settings import WorkerOptions

log: Any = structlog.get_logger("worker")


def is_on(level: int) -> bool:
    """Whether lines of this level are written: to make one takes its time, written or not."""
    return bool(getattr(log, "is_enabled_for", _always)(level))


def _always(_level: int) -> bool:
    return True


def configure(options: WorkerOptions) -> None:
    """Send our lines and those of arq, SQLAlchemy and Alembic to stderr, in the form that is set."""
    as_json = options.log_format == "json" or (options.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_process,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer]
        if as_json
        else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(options.log_level),
        # A line in one write: several processes share a stderr, and print() writes its newline apart.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # arq tells of each job twice, and Alembic of each step; ours is the line that counts.
    for name in ("arq", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if options.echo:
        logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)


def _with_process(_: Any, __: str, event: Any) -> Any:
    event["pid"] = os.getpid()
    return event
