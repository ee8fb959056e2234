"""What a database may forget, what it cuts off, and how many connections it lets in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import text

from ..database import pool_capacity
from ..health import Check
from ..types import MARIADB

if TYPE_CHECKING:
    from ..app import App

_POSTGRESQL = """
    SELECT name, setting FROM pg_settings WHERE name IN (
        'server_version', 'fsync', 'full_page_writes', 'synchronous_commit', 'statement_timeout',
        'idle_in_transaction_session_timeout', 'transaction_timeout', 'max_connections',
        'superuser_reserved_connections', 'reserved_connections')
    UNION ALL SELECT 'in_recovery', pg_is_in_recovery()::text
"""
_MARIADB = """
    SHOW VARIABLES WHERE Variable_name IN (
        'version', 'innodb_flush_log_at_trx_commit', 'max_connections', 'read_only')
"""
_FORGETS = "a crash may lose what was committed, and Redis has forgotten it by then"
_SAFEGUARDS = {
    "fsync": "a crash of its machine may lose or damage what was committed",
    "full_page_writes": "a crash of its machine may damage what was committed",
    "synchronous_commit": _FORGETS,
}
_CUTS_OFF = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
_RESERVED = ("superuser_reserved_connections", "reserved_connections")
_NEARLY = 0.8


async def examine_database(app: App, processes: int) -> list[Check]:
    """Look at the server's settings, as a connection of ours has them; `processes` are at work."""
    kind = app.engine.dialect.name
    if kind == "postgresql":
        found = await _settings(app, _POSTGRESQL)
        most = int(found["max_connections"]) - sum(int(found.get(name, 0)) for name in _RESERVED)
        checks = [Check("database server", "", found=f"PostgreSQL {found['server_version']}")]
        checks += [*safeguards(found), *limits(found, app.options.job_timeout)]
        checks.append(_connections(app, processes, most))
    elif kind in MARIADB:
        found = await _settings(app, _MARIADB)
        checks = [Check("database server", "", found=f"MariaDB {found['version']}"), *of_mariadb(found)]
        checks.append(_connections(app, processes, int(found["max_connections"])))
    else:
        checks = []
    return [*checks, _slots(app)]


async def _settings(app: App, statement: str) -> dict[str, str]:
    async with app.engine.connect() as connection:
        return {name: str(value) for name, value in await connection.execute(text(statement))}


def safeguards(found: Mapping[str, str]) -> list[Check]:
    """Look at what PostgreSQL does so that a commit is one."""
    checks = []
    for name, harm in _SAFEGUARDS.items():
        problem = f"is off: {harm}" if found[name] == "off" else ""
        mend = f"set {name} = on in postgresql.conf, and reload it"
        checks.append(Check(name, problem, mend, found=found[name]))
    problem = "is a replica: nothing can be written to it" if found["in_recovery"] == "true" else ""
    return [*checks, Check("database role", problem, "set DATABASE_URL to its primary", found="primary")]


def limits(found: Mapping[str, str], job_timeout: float) -> list[Check]:
    """Look at the limits that end a statement or a session before WORKER_JOB_TIMEOUT does; 0 is none."""
    checks = []
    for name in _CUTS_OFF:
        limit = int(found.get(name, 0)) / 1000
        told = f"{limit:g} s" if limit else "none"
        early = f"{told}, less than WORKER_JOB_TIMEOUT ({job_timeout:g} s): attempts are cut off, and count"
        mend = f"ALTER ROLE ... SET {name} = 0, or lower WORKER_JOB_TIMEOUT"
        checks.append(Check(name, "", mend, early if 0 < limit < job_timeout else "", told))
    return checks


def of_mariadb(found: Mapping[str, str]) -> list[Check]:
    """Look at what MariaDB does so that a commit is one."""
    flush = found["innodb_flush_log_at_trx_commit"]
    problem = "" if flush == "1" else f"innodb_flush_log_at_trx_commit is {flush}: {_FORGETS}"
    mend = "set innodb_flush_log_at_trx_commit = 1 in my.cnf, and SET GLOBAL it"
    read_only = "" if found["read_only"] in {"OFF", "0"} else "is read-only: nothing can be written to it"
    return [
        Check("database log", problem, mend, found="flushed at each commit"),
        Check("database role", read_only, "set DATABASE_URL to its primary", found="primary"),
    ]


def _slots(app: App) -> Check:
    wanted, slots = app.options.concurrency, app.slots
    fewer = f"{slots} and not {wanted} (WORKER_CONCURRENCY): the pool has no more" if slots < wanted else ""
    return Check("slots", "", "raise WORKER_POOL_SIZE, or your engine's pool", fewer, f"{slots} in a process")


def _connections(app: App, processes: int, most: int) -> Check:
    return connections(max(1, processes), pool_capacity(app.engine) or app.slots, most)


def connections(processes: int, each: int, most: int) -> Check:
    """Judge how many connections all processes at work may open, as many each as this one would."""
    told = f"{processes} process{'es' if processes > 1 else ''} of {each}, {most} let in"
    mend = "raise max_connections, lower WORKER_POOL_SIZE, or put PgBouncer between"
    if processes * each > most:
        return Check("connections", f"{told}: some will be refused", mend)
    return Check("connections", "", mend, told if processes * each > most * _NEARLY else "", told)
