"""MariaDB as the worker needs it: what each connection is told, and what its errors do not say."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from sqlalchemy import Index, Table, UniqueConstraint, event

from .error_numbers import about, mariadb_number

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, ExceptionContext

# Deadlocks end the transaction; a lock waited for too long does where the server is set so.
_ENDED = {1205, 1213, 1614}
_DUPLICATE = 1062
_MODES = (
    "STRICT_ALL_TABLES",  # else it cuts values to what fits
    "NO_ENGINE_SUBSTITUTION",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ONLY_FULL_GROUP_BY",
)


def prepare(engine: Engine, *, patience: float, longest: float, idle: float) -> None:
    """Set up each connection.

    It waits `patience` seconds for a lock, ends a statement after `longest`, and a transaction that has been
    silent for `idle`.
    """
    settings = {
        "sql_mode": f"'{','.join(_MODES)}'",
        "time_zone": "'+00:00'",
        "tx_isolation": "'READ-COMMITTED'",
        "innodb_lock_wait_timeout": max(1, int(patience)),
        # A worker that is frozen, or cut off, in a transaction must not hold its locks for ever.
        "idle_transaction_timeout": ceil(idle),
        "max_statement_time": ceil(longest),  # it goes on when its client is gone, and holds its locks
    }
    statement = "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())

    def connect(connection: Any, _record: object) -> None:
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.execute("SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin")
            cursor.close()
        except BaseException:
            connection.terminate()  # nobody else knows of it yet
            raise

    if event.contains(engine, "begin", _begin):
        return
    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _leave_what_was_rolled_back)
    event.listen(engine, "handle_error", _name_columns)


def _begin(connection: Connection) -> None:
    """Say of the worker's own transactions that they read, or begin where each statement commits."""
    driver: Any = connection.connection.dbapi_connection
    match connection.get_execution_options().get("read_only"):
        case True:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # the next one
            connection.exec_driver_sql("START TRANSACTION READ ONLY")
        case False if driver.get_autocommit():
            connection.exec_driver_sql("START TRANSACTION")


def _leave_what_was_rolled_back(context: ExceptionContext) -> None:
    """Give a connection up when an error has ended its transaction: the next statement would begin another.

    A handler that swallowed the error would see the second half of its effect committed.
    """
    if mariadb_number(context.original_exception) in _ENDED:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _name_columns(context: ExceptionContext) -> None:
    """Write the columns of a duplicate key into its error, which says no more than the name of the key."""
    error: Any = context.original_exception
    if mariadb_number(error) != _DUPLICATE or context.execution_context is None:
        return
    statement = getattr(getattr(context.execution_context, "compiled", None), "statement", None)
    table, (_, key) = getattr(statement, "table", None), about(error)
    if isinstance(table, Table) and key:
        columns = _columns(table, key)
        error.column_name = ", ".join(columns) or None


def _columns(table: Table, key: str) -> list[str]:
    if key == "PRIMARY":
        return [column.name for column in table.primary_key]
    for found in (*table.constraints, *table.indexes):
        if isinstance(found, UniqueConstraint | Index):
            columns = [column.name for column in found.columns]
            if key == (found.name or columns[0]):  # MariaDB's own name for one that has none
                return columns
    return []
